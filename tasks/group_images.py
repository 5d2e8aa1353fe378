"""Put images without labels into groups, if there are no labels: python -m tasks.group_images"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.base import devices, outputs
from headstart.data import manifest, settings
from headstart.data.settings.no_labels import NO_LABELS
from headstart.grouping import outcome
from headstart.params import Candidates, GroupImages, Shared
from headstart.words import groups as words
from headstart.words import spreadsheet
from tasks import stage

if TYPE_CHECKING:
    from headstart.grouping import grouping


def group_images(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    table: Path = Path("reports/groups.csv"),
    out: Path = Path("reports/groups.json"),
    *,
    block: GroupImages,
    select_source: Candidates,
    shared: Shared,
) -> None:
    """Write the group of every image, and how many groups there are, what stands for each, and how sure that is."""
    setting = settings.of(images)
    if setting is not NO_LABELS:
        reason = "the images have labels (headstart import --no-labels takes such that have none)"
        _write(table, None)
        outputs.write_json(out, outcome.nothing(setting.name, reason))
        print(f"nothing to group: {reason}")
        return
    from headstart.grouping import grouping  # and with it PyTorch, which takes seconds

    done = grouping.group(
        manifest.read(clean), images, select_source, block, seed=shared.seed, device=devices.choose(shared.device, shared.precision)
    )
    _write(table, done)
    outputs.write_json(out, {**done.report, "table_sha256": hashlib.sha256(table.read_bytes()).hexdigest()})
    _say(done.report)


def _say(report: outcome.Report) -> None:
    print(f"{words.number(len(report['groups']), report['asked'], report['interval'], report['images'])}; source: {report['source']}")
    print(words.sure(report["shown"], report["stability"], report["silhouette"], report["by_chance"]))
    print(words.unlike(report["outliers"], report["near_duplicates"]))


def _write(table: Path, done: grouping.Grouping | None) -> None:
    """Write a row for each image; the names of the columns alone if there are no groups."""
    rows: Iterable[tuple[object, ...]] = []
    if done is not None:
        cells = done.table[list(outcome.TABLE)].astype(object)
        rows = cells.where(cells.notna(), "").itertuples(index=False)  # not every image is in the map
    with outputs.whole(table) as temporary:
        spreadsheet.write(temporary, outcome.TABLE, rows)


if __name__ == "__main__":
    stage.run(group_images)
