"""What is kept of a batch whose images were forgotten: sums of its features, and hashes of its test images.

They lie in a hidden folder among the images, so one version of the data set holds both. The hashes (of pixels, and perceptual ones of 64
bits) keep a photo that was held out for the test out of training if it ever comes again.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from headstart.machinery.errors import DataError

FOLDER = ".forgotten"
SUMS, CARD, TESTED = ".safetensors", ".json", ".tested.csv"  # behind the name of a batch
_COLUMNS = ("label", "pixels_sha256", "phash", "together")


def names(images: Path) -> list[str]:
    """The batches of which sums are kept, sorted."""
    return sorted(path.name.removesuffix(CARD) for path in (images / FOLDER).glob(f"*{CARD}"))


def write_tested(images: Path, batch: str, rows: pd.DataFrame) -> None:
    """Keep the hashes of the test images among the rows of a manifest."""
    rows = rows[rows["split"] == "test"].sort_values("pixels_sha256")
    with (images / FOLDER / f"{batch}{TESTED}").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        table.writerows(rows[list(_COLUMNS)].itertuples(index=False))


def tested(images: Path) -> pd.DataFrame:
    """The test images that were forgotten, as rows of a manifest: label, pixels_sha256, phash, together, and the split. Raises DataError."""
    rows: list[list[str]] = []
    for path in sorted((images / FOLDER).glob(f"*{TESTED}")):
        with path.open(encoding="utf-8", newline="") as file:
            header, *found = list(csv.reader(file)) or [[]]
        if tuple(header) != _COLUMNS or any(len(row) != len(_COLUMNS) for row in found):
            raise DataError(f"{path} is damaged; get it back with `dvc checkout data/images.dvc`, as it keeps test images out of training")
        rows += found
    return pd.DataFrame(rows, columns=list(_COLUMNS), dtype=object).assign(split="test")
