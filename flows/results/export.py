"""Hand a finished model over, for `headstart export`."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import cards

if TYPE_CHECKING:
    from headstart.exporting.told import Told

CLEAN, IMAGES = Path("data/clean.parquet"), Path("data/images")
KINDS = {
    "onnx": "onnx_folder",
    "torch": "program",
    "hf": "hub_folder",
    "web": "web_folder",
}  # of headstart.exporting, whose `write` makes it
TOLD = "export.json"  # what tells a folder that an export made from any other, by the field `model_sha256`


def write(kind: str, model: Path, out: Path, *, int8: bool = False, runtime: Path | None = None) -> tuple[Told, list[str]]:
    """Export the model in the folder `model` to `out`; what became of it, and the same in sentences.

    runtime: the file of onnxruntime-web for a page, if it is at hand; else npm fetches it once.

    Raises HeadstartError if there is no model, and if `out` is there and is no export; ParamsError for int8 of another kind than onnx, and for a
    runtime of another kind than web.
    """
    if int8 and kind != "onnx":
        raise ParamsError(f"--int8 is for `headstart export onnx`, not for {kind}")
    if runtime and kind != "web":
        raise ParamsError(f"--runtime is for `headstart export web`, not for {kind}")
    cards.check_there(model)
    if out.exists() and not _replaceable(out):
        raise HeadstartError(f"{out} is there and is no export; name another folder with --out, or move it away")
    from headstart.exporting import told

    known = told.photos(CLEAN, IMAGES, cards.read_model(model)[1])
    room = import_module(f"headstart.exporting.{KINDS[kind]}")
    more: dict[str, object] = {"int8": True} if int8 else {}
    if kind == "web":
        from flows.results.runtime import package

        more["runtime"] = package(runtime)
    done: Told = room.write(model, out, known, **more)
    names = ", ".join(sorted(path.name for path in out.iterdir()))
    return done, [f"{out}: {names}", *told.said(done)]


def _replaceable(out: Path) -> bool:
    """Whether an export made the folder `out`, or nothing is in it."""
    if not out.is_dir():
        return False
    try:
        return not any(out.iterdir()) or "model_sha256" in json.loads((out / TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
