"""The data set of the workspace: replace it whole, and have it present and recorded before a run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.projects import indexing, origin
from flows.repository import dvc, git, torn
from headstart import params
from headstart.base import outputs
from headstart.data import batches
from headstart.machinery.errors import DataError, ParamsError, Row
from headstart.statistics import goals
from headstart.words import formats, spreadsheet
from tasks import stage

if TYPE_CHECKING:
    from headstart.importing.datasets import Summary
    from headstart.importing.options import Options


IMAGES = Path("data/images")
RECORD = Path("data/images.dvc")
IMPORTING = Path("data/.importing")  # beside the images: renames need one file system. Fixed name: the run lock admits one import
LEFT_OUT = Path("reports/import/left_out.csv")  # what the last import could not use
REFUSED = Path("reports/import/refused.csv")  # for what an import was refused
PRESENT = stage.STATE / "images.json"  # the version that was last seen to lie here; tells a changed record from changed images


def least() -> int:
    """The fewest images of a class that a run takes (validate_data.min_images_per_class)."""
    return params.load().validate_data.min_images_per_class


def aimless(classes: Sequence[str]) -> str:
    """What to say if the aim of params.yaml names none of these classes, so that a run would be refused; "" if it does, or names none."""
    try:
        goals.check_label(params.load().aim.label, classes)
    except ParamsError as error:
        return f"`headstart run` will refuse this until params.yaml is changed: {error}"
    return ""


def replace(source: str, labels: Path | None = None, how: Options | None = None, batch: str = "") -> Summary:
    """Import `source` as the data set, as a `batch` of this name if one is given, and record it with DVC. Call under the run lock.

    Raises what headstart.importing.datasets.import_dataset raises, and DvcError.
    """
    from headstart.importing import datasets

    refuse_own_folder(source)

    def fill(new: Path) -> Summary:
        summary = datasets.import_dataset(source, new, labels=labels, how=how)
        if batch:
            from headstart.importing import joining

            joining.name_all(new, batch, indexing.wanted())
        return summary

    return swap(fill, lambda: origin.note(RECORD, source, labels, how, version(), batch))


def swap(fill: Callable[[Path], Summary], note: Callable[[], None] = lambda: None) -> Summary:
    """Put what `fill` makes of a fresh folder in the place of the images, and record it with DVC. Call under the run lock.

    The new images replace the old ones only when they are complete, and the old ones come back if DVC cannot record the new:
    a refused, failed or interrupted import changes nothing. `note` adds to the record. Raises what `fill` raises, and DvcError.
    """
    from headstart.importing import remote

    tidy()
    new, previous = IMPORTING / "new", IMPORTING / "previous"
    IMPORTING.mkdir(parents=True)
    records = {path: outputs.read_bytes(path) for path in (RECORD, IMAGES.parent / ".gitignore")}
    try:
        summary = fill(new)
        if IMAGES.exists():
            IMAGES.rename(previous)
        try:
            new.rename(IMAGES)
            dvc.add(IMAGES)
            note()
        except BaseException:
            if IMAGES.exists():
                IMAGES.rename(new)
            outputs.put_back(records)
            raise
        if previous.exists():
            previous.rename(IMPORTING / "done with")  # from here on the import counts
        remember()
        remote.forget()
        _list(LEFT_OUT, summary.left_out)
        _list(REFUSED, ())
    except DataError as error:
        if not error.rows:
            raise
        _list(REFUSED, error.rows)
        raise type(error)(f"{error}\n{formats.count(len(error.rows), 'line')} in {REFUSED} name all of it", error.rows) from None
    finally:
        tidy()
    return summary


def _list(file: Path, rows: Sequence[Row]) -> None:
    """Write all that an import left out or was refused for; remove the list of an earlier import."""
    file.unlink(missing_ok=True)
    if rows:
        with outputs.whole(file) as temporary:
            spreadsheet.write(temporary, ("path", "label", "line", "reason"), rows)


def update(reviewed: str = "") -> Summary:
    """Import the data set again from where it came from, with the labels that a person has `reviewed` (a file). Call under the run lock.

    Of images that came in batches, the labels that were reviewed change in place, and nothing is imported again.
    Raises DataError if that is not on record, or if the images were changed here since, and what `replace` raises.
    """
    content = origin.load(RECORD)
    if content.get("deps"):
        raise DataError(f"{RECORD} was made with the dvc command, which also updates it: `dvc update {RECORD}`")
    known = origin.imported(RECORD)
    if not isinstance(known.get("source"), str):
        raise DataError(f"{RECORD} does not say where its images came from; import them once with `headstart import PATH`")
    if IMAGES.is_dir():
        record()
    arrived = batches.read(IMAGES)
    if arrived and reviewed:
        from headstart.importing import relabelling

        return swap(lambda new: relabelling.apply(new, IMAGES, Path(reviewed)))
    if len(batches.names(arrived)) > 1:
        raise DataError("the images came in several batches, so there is no one place to import again; add new ones with --add")
    if version() != known.get("version"):
        raise DataError(
            f"{IMAGES} was changed here since it was imported from {known['source']}, and an update would undo that; "
            f"`headstart import {known['source']}` replaces it all the same"
        )
    from headstart.importing.options import Options

    how = Options.from_json(known.get("options", {}), RECORD, least())
    how = dataclasses.replace(how, reviewed=reviewed) if reviewed else how
    return replace(known["source"], Path(known["labels"]) if known.get("labels") else None, how, str(known.get("batch", "")))


def version() -> str | None:
    """The version of the images that is on record: DVC's hash of the folder. None if nothing is."""
    return version_in(RECORD.read_bytes()) if RECORD.exists() else None


def version_in(record: bytes) -> str | None:
    """The version that the content of a data/images.dvc names."""
    found = re.search(rb"^[- ] md5: ([0-9a-f]{32})", record[max(record.find(b"outs:"), 0) :], re.MULTILINE)
    return found[1].decode() if found else None


def remember() -> None:
    """Note that the images here are now those on record. Call under the run lock."""
    stage.note(PRESENT, {"version": version()})


def tidy(say: dvc.Say | None = None) -> None:
    """Mend what a run or import that ended too early left behind: previous images still waiting go back.

    Call under the run lock.

    flows/experiments/recovery.py also finishes a restore.
    """
    tell = say or (lambda line: None)
    dvc.forget_dead()
    torn.forget(tell)
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
        raise DataError(
            f"there are no images: {IMAGES} is missing; give some with `headstart import PATH` (or `headstart import demo`, or `digits`)"
        )


def record(say: dvc.Say | None = None, pauses: Sequence[float] = ()) -> None:
    """Have the images present and on record, so that files added by hand count.

    Call under the run lock, after `tidy`.

    If the record was changed and the images were not (`git pull` brought another version), the images become those on record. A DVC
    remote that they are on and that does not answer is asked again after each of the pauses (seconds).
    Raises DataError if both were changed, or if what is on record cannot be had.
    """
    check()
    if IMAGES.is_dir():
        _refuse_names(IMAGES)
        _add(say, pauses)
    else:
        _fetch(say, pauses)
    remember()


def _add(say: dvc.Say | None, pauses: Sequence[float]) -> None:
    """Record the images as they are; if they only lag behind a changed record, bring them up to it."""
    content, wanted = outputs.read_bytes(RECORD) or b"", version()
    dvc.add(IMAGES, say)
    found = version()
    if wanted in (None, found):
        return
    before = _remembered() or (found if _was_on_record(str(found)) else wanted)
    if before == wanted:  # the images were changed, not the record
        return
    RECORD.write_bytes(content)
    if before != found:
        raise DataError(
            f"both {RECORD} (by git, it seems) and the files in {IMAGES} were changed since the last run; keep the files here with "
            f"`dvc add {IMAGES}`, or take what is on record with `dvc checkout --force {RECORD}` (`dvc pull --force {RECORD}`)"
        )
    if say:
        say(f"{RECORD} names another version: {IMAGES} changes from {str(found)[:8]} to {str(wanted)[:8]}")
    _fetch(say, pauses)


def _fetch(say: dvc.Say | None, pauses: Sequence[float]) -> None:
    """Bring the images that are on record, from the cache or the remote."""
    try:
        dvc.fetch(IMAGES, say, pauses)
    except dvc.DvcError as error:
        last = error.lines[-1] if error.lines else "no reason given"
        raise DataError(
            f"{RECORD} names a data set, but its images are neither in the DVC cache nor could they be pulled ({last}); "
            "name the remote that has them (dvc remote add), or import them again with `headstart import PATH`"
        ) from None


def _remembered() -> str | None:
    """The version that was last seen to lie here."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        known = outputs.read_json(PRESENT)["version"]
        return known if isinstance(known, str) else None
    return None


def _was_on_record(version: str) -> bool:
    """Whether any commit, branch or experiment has these images on record.

    Then they are an older version, and nobody's new work.
    """
    try:
        return bool(git.call("log", "--all", "-1", "--format=%h", f"-S{version}", "--", str(RECORD)).strip())
    except git.GitError:
        return False


def refuse_own_folder(source: str) -> None:
    """A folder that contains data/ would be copied into itself."""
    if not source.strip():
        raise ParamsError("SOURCE is empty; give a folder, an archive or a name, as `headstart import --help` has them")
    folder = Path(source)
    if folder.is_dir() and IMPORTING.parent.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{source} contains this checkout's own {IMPORTING.parent}/ folder; name the folder of images itself")


def _refuse_names(folder: Path) -> None:
    """DVC fails on names that are not UTF-8 and does not say which, and waits without end for a pipe."""
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                try:
                    entry.name.encode()
                except UnicodeEncodeError:
                    shown = os.fsencode(entry.path).decode(errors="backslashreplace")
                    raise DataError(
                        f"the name of {shown} is not valid UTF-8; rename it (or import the folder with `headstart import`)"
                    ) from None
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not (entry.is_file() or entry.is_symlink()):
                    raise DataError(f"{entry.path} is neither a file nor a folder; remove it")
