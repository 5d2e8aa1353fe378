"""What every export tells of itself in export.json, and how its answers are checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import pandas as pd
import torch

from headstart.data import manifest
from headstart.exporting import agreement
from headstart.exporting.agreement import Agreement
from headstart.machinery.errors import HeadstartError
from headstart.networks.cards import ModelCard
from headstart.words import formats

TOLD = "export.json"
TOLERANCE = 1e-3  # largest difference of a probability from PyTorch's that is let through


class EightBits(TypedDict):
    """What 8 bits cost: accuracy (0-1) that is lost on `images` validation images, and whether the file was refused for it."""

    lost: float
    images: int
    refused: bool
    agreement: Agreement


class Told(TypedDict):
    """The content of export.json."""

    format: int
    model_sha256: str
    drawn: Agreement  # with PyTorch, on random pictures
    validation: Agreement | None  # on the validation images; None if they were not at hand
    card: dict[str, object]
    int8: NotRequired[EightBits]
    prepared: NotRequired[Agreement]  # of the validation images, as the library that loads the export prepares them by itself


@dataclass(frozen=True)
class Photos:
    """The images that a model was made from: their table, and the folder that its paths are below."""

    table: pd.DataFrame
    root: Path

    def files(self, split: str, most: int | None = None) -> list[Path]:
        """The files of a split, at most so many, evenly taken."""
        paths = list(self.rows(split)["path"])
        step = max(1, len(paths) // most) if most else 1
        return [self.root / path for path in paths[::step][:most]]

    def rows(self, split: str) -> pd.DataFrame:
        """The rows of a split."""
        return self.table[self.table["split"] == split]


def photos(clean: Path, images: Path, card: ModelCard) -> Photos | None:
    """The images that a model was made from; None if others, or none, lie there."""
    if not (clean.is_file() and images.is_dir()):
        return None
    table = manifest.read(clean)
    return Photos(table, images) if manifest.split_hash(table) == card.data_sha256 else None


def tell(files: Sequence[Path], card: ModelCard, drawn: Agreement, validation: Agreement | None) -> Told:
    """What is told of exported files. Raises HeadstartError if they give other answers than PyTorch."""
    for one in filter(None, (drawn, validation)):
        if one["largest_difference"] > TOLERANCE:
            raise HeadstartError(
                f"the exported model gives other answers than PyTorch (a probability differs by {one['largest_difference']:.1e}); nothing was written"
            )
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return {"format": 1, "model_sha256": digest, "drawn": drawn, "validation": validation, "card": card.to_json()}


def check(files: Sequence[Path], run: Callable[[torch.Tensor], torch.Tensor], folder: Path, card: ModelCard, known: Photos | None) -> Told:
    """What is told of exported files, of which `run` gives probabilities (n, classes) of squares uint8 (n, size, size, 3).

    They are run beside the model in `folder`, on random pictures and on the validation images. Raises HeadstartError if they give other answers.
    """
    pictures = known.files("validation") if known else []
    validation = agreement.on_squares(run, folder, pictures) if pictures else None
    return tell(files, card, agreement.on_squares(run, folder, []), validation)


def said(told: Told) -> list[str]:
    """What export.json holds, in sentences."""
    checked = told["validation"] or told["drawn"]
    kind = "validation image" if told["validation"] else "random picture"
    lines = [
        f"Against PyTorch on {formats.count(checked['images'], kind)}: {checked['same_class']} of {checked['images']} with the same likeliest class, "
        f"probabilities differ by {checked['largest_difference']:.1e} at most."
    ]
    if small := told.get("int8"):
        change = f"{_change(small['lost'])} on {formats.count(small['images'], 'validation image')}"
        lines.append(
            f"model.int8.onnx: {'refused, ' if small['refused'] else ''}{change}. It cannot tell which pictures are unlike all that it knows."
        )
    if own := told.get("prepared"):
        lines.append(
            f"With the pictures prepared by timm itself: {own['same_class']} of {own['images']} with the same likeliest class, "
            f"probabilities differ by {own['largest_difference']:.1e} at most."
        )
    return lines


def _change(lost: float) -> str:
    if not lost:
        return "no accuracy lost"
    return f"{100 * abs(lost):.1f} points of accuracy {'lost' if lost > 0 else 'gained'}"
