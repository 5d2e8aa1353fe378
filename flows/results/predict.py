"""Label images with a finished model and write what it says, for `headstart predict` and its deployment."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from headstart import params
from headstart.base import executor
from headstart.data import clutter, photos
from headstart.features.answered import Answer
from headstart.machinery import terminal
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.words import spreadsheet

if TYPE_CHECKING:
    from headstart.features.predict import Prior

COLUMNS = ("path", "label", "probability", "error", "unsure", "unlike")
_SAID = {True: "yes", False: "no", None: ""}


def write(paths: list[Path], model: Path, file: TextIO, *, kind: str = "csv", top: int = 1, prior: Prior = None) -> Iterator[Answer]:
    """Write a line for every image below `paths`, and yield each answer.

    `file` has to keep line ends as they are. A line of CSV has the COLUMNS, and a label and a probability for the second to the `top`-th likeliest class;
    a line of JSON (`kind` jsonl) has the same by name, the classes in `top`. Raises HeadstartError if there is no model, before anything is written, and if no
    file could be read, at the end.
    """
    yield from answers(paths, model, lambda: WRITERS[kind](file, top), prior=prior)


def check(model: Path) -> None:
    """Raise HeadstartError if there is no model in the folder."""
    cards.check_there(model)


def answers(
    paths: list[Path], model: Path, begin: Callable[[], Callable[[Answer], object]], *, some: bool = True, prior: Prior = None
) -> Iterator[Answer]:
    """Hand the answer for every image below `paths` to what `begin` gives, and yield it. Raises as `write` does; `begin` is called if there is a model. `some`: one that can be read is expected."""
    check(model)
    from headstart.features import predict

    read_any = False
    with executor.using(_executor()):
        found = predict.predict(paths, model, prior=prior, say=_say)
    line = begin()
    for answer in found:
        line(answer)
        read_any = read_any or bool(answer.label)
        yield answer
    if some and not read_any:
        raise HeadstartError("no file could be read as an image")


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


def _executor() -> str:
    """Who works on the images: as params.yaml of the project says, if this is one."""
    try:
        return params.load().executor if params.PATH.exists() else executor.LOCAL
    except HeadstartError:  # a prediction needs the model alone
        return executor.LOCAL


def _csv(file: TextIO, top: int) -> Callable[[Answer], object]:
    """Writes an answer as CSV; the header is written at once."""
    csv.writer(file, lineterminator="\n").writerow(header(top))
    return csv_lines(file, top)


def csv_lines(file: TextIO, top: int) -> Callable[[Answer], object]:
    """Writes an answer as CSV below a header that is there."""
    out = csv.writer(file, lineterminator="\n")

    def line(answer: Answer) -> None:
        path, label, error = (terminal.name(text) for text in (answer.path, answer.label, answer.error))
        more = [cell for name, share in answer.ranked[1:top] for cell in (spreadsheet.cell(terminal.name(name)), f"{share:.6f}")]
        likelihood = "" if answer.probability is None else f"{answer.probability:.6f}"
        cells = [spreadsheet.cell(path), spreadsheet.cell(label), likelihood, error, _SAID[answer.unsure], _SAID[answer.unlike]]
        out.writerow([*cells, *more, *[""] * (2 * (top - 1) - len(more))])

    return line


def _json_lines(file: TextIO, top: int) -> Callable[[Answer], object]:
    """Writes an answer as a line of JSON."""

    def line(answer: Answer) -> None:
        values = {name: getattr(answer, name) for name in COLUMNS}
        values["top"] = [{"label": name, "probability": round(share, 6)} for name, share in answer.ranked[:top]]
        file.write(json.dumps(values) + "\n")  # what is no UTF-8 in a name stays as an escape

    return line


Writer = Callable[[TextIO, int], Callable[[Answer], object]]
WRITERS: dict[str, Writer] = {"csv": _csv, "jsonl": _json_lines}


def header(top: int) -> list[str]:
    """The columns of CSV with the `top` likeliest classes."""
    return [*COLUMNS, *(f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "probability"))]


def sidecars(paths: list[Path]) -> list[str]:
    """The files below folders that say something about photos and are none: they are not labelled."""
    return [str(found) for path in paths if path.is_dir() for found in clutter.walk(path) if photos.is_sidecar(found)]
