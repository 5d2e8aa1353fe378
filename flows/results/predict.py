"""Label images with a finished model and write CSV, for `headstart predict` and its deployment."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from headstart.data import clutter
from headstart.machinery import terminal
from headstart.machinery.errors import HeadstartError
from headstart.words import spreadsheet

COLUMNS = ("path", "label", "probability", "error")


def write(paths: list[Path], model: Path, file: TextIO) -> Iterator[tuple[str, str, float | None, str]]:
    """Write a line of CSV for every image below `paths`, and yield each row.

    `file` has to keep line ends as they are. A row is path, label, probability of the label (0 to 1), and why the file could not be
    read, with an empty label and no probability then, or that there is nothing to see in it. Raises HeadstartError if there is no model, before anything is written, and if no
    file could be read, at the end.
    """
    if not (model / "card.json").is_file():
        raise HeadstartError(f"there is no model at {model}; make one with `headstart run`, or name one with --model")
    from headstart.features import predict

    out = csv.writer(file, lineterminator="\n")
    out.writerow(COLUMNS)
    read_any = False
    for path, label, probability, error in predict.predict(paths, model):
        cells = [spreadsheet.cell(terminal.name(text)) for text in (path, label)]
        out.writerow([*cells, "" if probability is None else f"{probability:.6f}", terminal.name(error)])
        read_any = read_any or bool(label)
        yield path, label, probability, error
    if not read_any:
        raise HeadstartError("no file could be read as an image")


def sidecars(paths: list[Path]) -> list[str]:
    """The files below folders that say something about photos and are none: they are not labelled."""
    return [str(found) for path in paths if path.is_dir() for found in clutter.walk(path) if clutter.is_sidecar(found.name)]
