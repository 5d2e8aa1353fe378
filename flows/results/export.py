"""Hand a finished model over, for `headstart export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headstart.machinery.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.exporting.folder import Told

CLEAN, IMAGES = Path("data/clean.parquet"), Path("data/images")
OURS = ("export.json", "model.onnx")  # what tells a folder that an export made from any other


def write(model: Path, out: Path, *, int8: bool) -> tuple[Told, list[str]]:
    """Export the model in the folder `model` to `out`; what became of it, and the same in sentences.

    Raises HeadstartError if there is no model, and if `out` is there and is no export.
    """
    if not (model / "card.json").is_file():
        raise HeadstartError(f"there is no model at {model}; make one with `headstart run`, or name one with --model")
    if (
        out.exists()
        and not (out.is_dir() and all((out / name).is_file() for name in OURS))
        and not (out.is_dir() and not any(out.iterdir()))
    ):
        raise HeadstartError(f"{out} is there and is no export; name another folder with --out, or move it away")
    from headstart.exporting import folder
    from headstart.networks import cards

    known = folder.photos(CLEAN, IMAGES, cards.read_model(model)[1])
    told = folder.write(model, out, known, int8=int8)
    return told, [f"{out}: model.onnx, predict.py, README.md, export.json", *folder.said(told)]
