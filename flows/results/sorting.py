"""Put photos into a folder per label, for `headstart predict --sort-into`."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from headstart.features.answered import Answer
from headstart.importing import shelf
from headstart.machinery.errors import HeadstartError

UNREADABLE, UNLIKE, UNSURE = "_unreadable", "_unlike", "_unsure"  # folders beside those of the labels


def prepare(folder: Path, paths: list[Path]) -> None:
    """Make the folder. Raises HeadstartError if it holds something already, or lies in what is sorted or the other way round."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HeadstartError(f"{folder} is not empty; name a new folder with --sort-into")
    place = folder.resolve()
    for path in paths:
        if path.is_dir() and place.is_relative_to(path.resolve()):
            raise HeadstartError(f"{folder} lies in {path}, which is sorted; name a folder outside of it")
    folder.mkdir(parents=True, exist_ok=True)


def place(answer: Answer, folder: Path, *, copy: bool) -> Path:
    """Put the photo of an answer below `folder` as a link, or as a copy; where it lies there now. The photo itself stays as it is.

    What the model does not know, or is not sure of, does not go to a label. A name that is taken gets a number.
    """
    name = _shelf(answer)
    (folder / name).mkdir(exist_ok=True)
    given, wanted = Path(answer.path), folder / name / Path(answer.path).name
    number = 1
    while os.path.lexists(wanted):
        number += 1
        wanted = folder / name / shelf.shortened(given.name, f"-{number}")
    if copy and given.is_file():
        shutil.copy2(given, wanted)
    else:
        wanted.symlink_to(given.resolve())
    return wanted


def _shelf(answer: Answer) -> str:
    """The name of the folder that a photo goes to."""
    if not answer.label:
        return UNREADABLE
    if answer.unlike:
        return UNLIKE
    if answer.unsure:
        return UNSURE
    return re.sub(r"[/\\\x00-\x1f]|^\.+", "_", answer.label)
