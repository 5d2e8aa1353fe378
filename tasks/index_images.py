"""Decode, hash, group and split every image: python -m tasks.index_images"""

from __future__ import annotations

from pathlib import Path

from headstart.data import manifest
from headstart.indexing import indexer
from tasks import stage


def index_images(
    images: Path = Path("data/images"),
    out: Path = Path("data/manifest.parquet"),
    *,
    test_share: float,
    validation_share: float,
    duplicate_distance: int,
    duplicate_group_limit: int,
    max_pixels: int,
    seed: int,
) -> None:
    """Write the manifest of the folder `images` to `out`. Raises DataError where the folder is refused."""
    table = indexer.index(
        images,
        test_share=test_share,
        validation_share=validation_share,
        duplicate_distance=duplicate_distance,
        duplicate_group_limit=duplicate_group_limit,
        max_pixels=max_pixels,
        seed=seed,
    )
    manifest.write(table, out)
    unreadable = int((~table["readable"]).sum())
    counts = ", ".join(f"{n} {name}" for name, n in table.loc[table["readable"], "split"].value_counts(sort=False).items())
    print(f"{len(table)} files, {unreadable} of them unreadable; {table['label'].nunique()} classes; {counts}")


if __name__ == "__main__":
    stage.run(index_images)
