"""Decode, hash, group and split every image: python -m tasks.index_images"""

from __future__ import annotations

from pathlib import Path

from headstart.data import manifest, settings
from headstart.data.settings.no_labels import NO_LABELS
from headstart.data.settings.partly import PARTLY
from headstart.indexing import indexer, partly
from headstart.params import IndexImages, Seeded
from headstart.words import formats
from tasks import stage


def index_images(
    images: Path = Path("data/images"),
    out: Path = Path("data/manifest.parquet"),
    target: Path = Path("data/target.parquet"),
    *,
    block: IndexImages,
    shared: Seeded,
) -> None:
    """Write the manifest of the folder `images` to `out`, and that of its images without labels to `target`.

    Raises DataError if the folder is refused.
    """
    setting = settings.of(images)
    alike = {"duplicate_distance": block.duplicate_distance, "duplicate_group_limit": block.duplicate_group_limit}
    if setting is NO_LABELS:
        table = indexer.index_without_labels(images, max_pixels=block.max_pixels, **alike)
    else:
        table = indexer.index(
            images,
            test_share=block.test_share,
            validation_share=block.validation_share,
            max_pixels=block.max_pixels,
            seed=shared.seed,
            **alike,
        )
    without = indexer.index_unlabelled(images, setting.unlabelled(images), block.max_pixels)
    if len(without):
        without = partly.settled(table, without, block.duplicate_distance, block.duplicate_group_limit)
        without = partly.on_one_scale(table, without) if setting is PARTLY else without
    manifest.write(table, out)
    manifest.write(without, target)
    unreadable = int((~table["readable"]).sum())
    if setting is NO_LABELS:
        print(f"{len(table)} files, {unreadable} of them unreadable; setting: {setting.title}: {setting.says}")
        return
    counts = ", ".join(f"{n} {name}" for name, n in table.loc[table["readable"], "split"].value_counts(sort=False).items())
    grey = manifest.grey(table)
    if grey:
        print(formats.scale(grey.to_json()))
    print(f"{len(table)} files, {unreadable} of them unreadable; {table['label'].nunique()} classes; {counts}")
    if len(without):
        print(f"setting: {setting.title}: {formats.count(int(without['readable'].sum()), 'image')} without labels")


if __name__ == "__main__":
    stage.run(index_images)
