"""An export as ONNX: the model, its check, a script of 60 lines that runs it, and what to do with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from headstart.base import outputs
from headstart.data import encoding
from headstart.exporting import agreement, beside, eight_bits, onnx_file, told
from headstart.exporting.told import EightBits, Photos, Told
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.networks.cards import ModelCard

MODEL, EIGHT_BITS = "model.onnx", "model.int8.onnx"


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
        export(arrays, card, cards.read_known(folder, card), new / MODEL)
        done = checked(new / MODEL, folder, card, known)
        if int8 and known is not None:
            done["int8"] = _eight_bits(new, card, known)
        shutil.copyfile(Path(beside.__file__).with_name("predict.py"), new / "predict.py")
        (new / "README.md").write_text(_readme(card, done), encoding="utf-8")
        outputs.write_json(new / told.TOLD, done)
    return done


def export(arrays: dict[str, np.ndarray], card: ModelCard, known: np.ndarray | None, path: Path) -> None:
    """Write the file. Raises HeadstartError, with what the exporter says, for a network that ONNX cannot hold."""
    try:
        onnx_file.write(arrays, card, known, path)
    except HeadstartError:
        raise
    except Exception as error:  # the exporter raises many kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise HeadstartError(f"{card.library}'s {card.architecture} cannot be exported to ONNX: {first[:200]}") from None


def checked(path: Path, folder: Path, card: ModelCard, known: Photos | None) -> Told:
    """What is told of an exported file, which is run beside the model in `folder`. Raises HeadstartError if it gives other answers."""
    drawn, validation = agreement.drawn(path, folder), None
    if known is not None and (files := known.files("validation")):
        validation = agreement.compare(agreement.answers(path, files), agreement.reference(folder, files))
    return told.tell([path], card, drawn, validation)


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


def _readme(card: ModelCard, done: Told) -> str:
    """What lies in the folder and how it is used."""
    small = done.get("int8")
    also = f"- `{EIGHT_BITS}`: the same in 8 bits; name it in predict.py to use it\n" if small and not small["refused"] else ""
    return f"""# {card.architecture}: {", ".join(card.classes[:12])}{", ..." if len(card.classes) > 12 else ""}

    pip install onnxruntime pillow numpy
    python predict.py photo.jpg folder/ > labels.csv

- `{MODEL}`: a picture in (`{onnx_file.PICTURE}`: uint8, height x width x 3, RGB, upright, any size), the probability of each class out
  (`{onnx_file.PROBABILITIES}`, float32), and how far the picture is from all that the model knows (`{onnx_file.DISTANCE}`). Cutting, resizing and scaling
  are inside. Its metadata hold `classes`, `factors` (the class of the largest product of factor and probability is named), `near` (JPEGs may be decoded at a
  reduced scale, the shorter side not below that), `unsure` (an answer whose share of these products is less is better left to a person), `unlike` (a picture
  that is further is none of the classes; both null if not known) and `card`.
{also}- `predict.py`: runs it, and imports nothing but the three packages above; read it to build the model into something else
- `{told.TOLD}`: how the file was checked, and the card of the model

{" ".join(told.said(done))}
More than 8 bits a channel are refused by predict.py; `headstart predict` reads it.
"""
