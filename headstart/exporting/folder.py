"""An export as a folder: the model, its check, a script of 60 lines that runs it, and what to do with them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd

from headstart.base import outputs
from headstart.data import encoding, manifest
from headstart.exporting import agreement, beside, eight_bits, onnx_file
from headstart.exporting.agreement import Agreement
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.networks.cards import ModelCard
from headstart.words import formats

MODEL, EIGHT_BITS, TOLD = "model.onnx", "model.int8.onnx", "export.json"
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


def write(folder: Path, out: Path, known: Photos | None, *, int8: bool = False) -> Told:
    """Export the model in `folder` to the folder `out`, whole or not at all.

    Raises HeadstartError if there is no model, if it cannot be exported, if what was exported gives other answers than PyTorch, and for `int8` without
    images. A file of 8 bits that loses too much is left out, and the result says so.
    """
    arrays, card = cards.read_model(folder)
    if int8 and known is None:
        raise HeadstartError(
            "int8 needs the images that the model was made from, to set its ranges and to measure what it costs; run it in the model's own project"
        )
    with outputs.folder(out) as new:
        _export(arrays, card, new / MODEL)
        told = _checked(new / MODEL, folder, card, known)
        if int8 and known is not None:
            told["int8"] = _eight_bits(new, card, known)
        shutil.copyfile(Path(beside.__file__).with_name("predict.py"), new / "predict.py")
        (new / "README.md").write_text(_readme(card, told), encoding="utf-8")
        outputs.write_json(new / TOLD, told)
    return told


def _export(arrays: dict[str, np.ndarray], card: ModelCard, path: Path) -> None:
    try:
        onnx_file.write(arrays, card, path)
    except HeadstartError:
        raise
    except Exception as error:  # the exporter raises many kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise HeadstartError(f"{card.library}'s {card.architecture} cannot be exported to ONNX: {first[:200]}") from None


def _checked(path: Path, folder: Path, card: ModelCard, known: Photos | None) -> Told:
    drawn, validation = agreement.drawn(path, folder), None
    if known is not None and (files := known.files("validation")):
        validation = agreement.compare(agreement.answers(path, files), agreement.reference(folder, files))
    for one in filter(None, (drawn, validation)):
        if one["largest_difference"] > TOLERANCE:
            raise HeadstartError(
                f"the exported model gives other answers than PyTorch (a probability differs by {one['largest_difference']:.1e}); nothing was written"
            )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"format": 1, "model_sha256": digest, "drawn": drawn, "validation": validation, "card": card.to_json()}


def _eight_bits(new: Path, card: ModelCard, known: Photos) -> EightBits:
    eight_bits.write(new / MODEL, new / EIGHT_BITS, known.files("train", eight_bits.CALIBRATION))
    files = known.files("validation")
    exact, rough = (agreement.answers(new / name, files) for name in (MODEL, EIGHT_BITS))
    labels = encoding.encode(known.rows("validation")["label"], list(card.classes))
    factors = card.point.factors if card.point else (1.0,) * len(card.classes)
    lost = eight_bits.lost(exact, rough, labels, factors)
    refused = lost > eight_bits.MOST_LOST
    if refused:
        (new / EIGHT_BITS).unlink()
    return {"lost": lost, "images": len(files), "refused": refused, "agreement": agreement.compare(rough, exact)}


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
        lines.append(f"{EIGHT_BITS}: {'refused, ' if small['refused'] else ''}{change}.")
    return lines


def _readme(card: ModelCard, told: Told) -> str:
    """What lies in the folder and how it is used."""
    small = told.get("int8")
    also = f"- `{EIGHT_BITS}`: the same in 8 bits; name it in predict.py to use it\n" if small and not small["refused"] else ""
    return f"""# {card.architecture}: {", ".join(card.classes[:12])}{", ..." if len(card.classes) > 12 else ""}

    pip install onnxruntime pillow numpy
    python predict.py photo.jpg folder/ > labels.csv

- `{MODEL}`: a picture in (`{onnx_file.PICTURE}`: uint8, height x width x 3, RGB, upright, any size), the probability of each class out
  (`{onnx_file.PROBABILITIES}`, float32). Cutting, resizing and scaling are inside. Its metadata hold `classes`, `factors` (the class of the largest product
  of factor and probability is named), `near` (JPEGs may be decoded at a reduced scale, the shorter side not below that) and `card`.
{also}- `predict.py`: runs it, and imports nothing but the three packages above; read it to build the model into something else
- `{TOLD}`: how the file was checked, and the card of the model

{" ".join(said(told))}
Grey of more than 8 bits is refused by predict.py; `headstart predict` reads it.
"""


def _change(lost: float) -> str:
    if not lost:
        return "no accuracy lost"
    return f"{100 * abs(lost):.1f} points of accuracy {'lost' if lost > 0 else 'gained'}"
