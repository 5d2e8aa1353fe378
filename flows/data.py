"""The data set of the workspace: replace it whole (`headstart import`), and have it present and recorded before a run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from flows import dvc
from headstart.errors import DataError

if TYPE_CHECKING:
    from headstart.datasets import Summary

IMAGES = Path("data/images")
RECORD = Path("data/images.dvc")
IMPORTING = Path("data/.importing")  # beside the images: renames need one file system. Fixed name: the run lock admits one import


def replace(source: str, labels: Path | None = None) -> Summary:
    """Import `source` as the data set and record it with DVC. Call under the run lock.

    The new images replace the old ones only when they are complete, and the old ones come back if DVC cannot record the new:
    a refused, failed or interrupted import changes nothing. Raises what headstart.datasets.import_dataset raises, and DvcError.
    """
    from headstart import datasets

    _refuse_own_folder(source)
    recover()
    new, previous = IMPORTING / "new", IMPORTING / "previous"
    IMPORTING.mkdir(parents=True)
    records = {path: path.read_bytes() if path.exists() else None for path in (RECORD, IMAGES.parent / ".gitignore")}
    try:
        summary = datasets.import_dataset(source, new, labels=labels)
        if IMAGES.exists():
            IMAGES.rename(previous)
        try:
            new.rename(IMAGES)
            dvc.add(IMAGES)
        except BaseException:
            if IMAGES.exists():
                IMAGES.rename(new)
            _restore(records)
            raise
        if previous.exists():
            previous.rename(IMPORTING / "done with")  # from here on the import counts
    finally:
        recover()
    return summary


def recover() -> None:
    """Undo what a run or import that ended too early left behind: previous images still waiting go back. Call under the run lock."""
    dvc.forget_dead()
    previous = IMPORTING / "previous"
    if previous.exists():
        if IMAGES.exists():
            IMAGES.rename(IMPORTING / "unrecorded")
        previous.rename(IMAGES)
    if IMPORTING.exists():
        shutil.rmtree(IMPORTING)


def check() -> None:
    """Raise DataError if there is no data set, neither here nor on record."""
    if not IMAGES.is_dir() and not RECORD.is_file() and not (IMPORTING / "previous").is_dir():
        raise DataError(f"there are no images: {IMAGES} is missing; give some with `headstart import PATH` (or `headstart import demo`)")


def record(say: dvc.Say | None = None) -> None:
    """Have the images present and recorded as they are now, so that files added by hand count. Call under the run lock."""
    recover()
    check()
    if IMAGES.is_dir():
        _refuse_names(IMAGES)
        dvc.add(IMAGES, say)
        return
    try:
        dvc.fetch(IMAGES, say)
    except dvc.DvcError as error:
        last = error.lines[-1] if error.lines else "no reason given"
        raise DataError(
            f"{RECORD} names a data set, but its images are neither in the DVC cache nor could they be pulled ({last}); "
            "name the remote that has them (dvc remote add), or import them again with `headstart import PATH`"
        ) from None


def _refuse_own_folder(source: str) -> None:
    """A folder that contains data/ would be copied into itself."""
    folder = Path(source)
    if folder.is_dir() and IMPORTING.parent.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{source} contains this checkout's own {IMPORTING.parent}/ folder; name the folder of images itself")


def _restore(contents: dict[Path, bytes | None]) -> None:
    for path, content in contents.items():
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content)


def _refuse_names(folder: Path) -> None:
    """DVC fails on names that are not UTF-8, and does not say which."""
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            try:
                name.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(Path(place, name)).decode(errors="backslashreplace")
                raise DataError(
                    f"the name of {shown} is not valid UTF-8; rename it (or import the folder with `headstart import`)"
                ) from None
