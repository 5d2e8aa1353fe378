"""A folder that is watched: what lies in it joins the data set as a batch, and what was taken is put aside; then a model is promoted, or not.

Photos are moved, never deleted: below INBOX/.taken/BATCH/, which no import looks into. A run that is killed between the import and the
moving finds the same pixels again the next time, takes none twice, and puts them aside then.
"""

from __future__ import annotations

import time
from pathlib import Path

from flows.projects import arriving, images
from flows.repository import dvc
from headstart.data import batches, clutter
from headstart.importing.joining import NothingNew
from headstart.importing.options import Options
from headstart.machinery.errors import HeadstartError
from headstart.words import formats

TAKEN, KNOWN = ".taken", "known"  # the folder below the inbox; in it, one per batch, and one for what was here already
LABELS = "labels.csv"  # a table of labels for files that lie in no class folder
QUIET = 60.0  # seconds since the last change of a file, before which the folder may still be filled


def take(inbox: Path, say: dvc.Say) -> None:
    """Add what lies in the folder as a batch, and put it aside. Call under the run lock.

    What cannot be used stays where it is, and is named in reports/import/left_out.csv. Raises DataError, and changes nothing, if the import
    is refused.
    """
    files = list(clutter.walk(inbox)) if inbox.is_dir() else []
    if not files:
        say(f"{inbox}/ holds nothing new")
        return
    if time.time() - max(path.stat().st_mtime for path in files) < QUIET:
        say(f"{inbox}/ was changed less than {QUIET:g} s ago, so it may still be filled; it is taken by the next run")
        return
    table = inbox / LABELS
    try:
        summary = arriving.add(str(inbox), table if table.is_file() else None, Options(skip_bad=True))
    except NothingNew as error:
        say(str(error).partition("\n")[0])
        _put_aside(inbox, files, set(), KNOWN)
        return
    for note in summary.notes:
        say(note)
    bad = {one.path for one in summary.left_out if not one.reason.startswith(batches.HERE)}
    if bad:
        stay = "stays" if len(bad) == 1 else "stay"
        say(f"{formats.count(len(bad), 'file')} of {inbox}/ cannot be used and {stay} there: see {images.LEFT_OUT}")
    _put_aside(inbox, files, bad, batches.names(batches.read(images.IMAGES))[-1])


def promote(say: dvc.Say) -> None:
    """Make the model of the run the current one, unless it is worse, and say why. Call under the run lock."""
    from flows.results import promote as words
    from headstart import params
    from headstart.base import devices
    from headstart.registry import promotion, shelf

    values = params.load()
    try:
        entry = promotion.promote(device=devices.choose(values.device, values.precision))
    except HeadstartError as error:
        say(f"not promoted: {error}")
        return
    for line in words.describe(entry, shelf.FOLDER).splitlines():
        say(line)


def _put_aside(inbox: Path, files: list[Path], bad: set[str], name: str) -> None:
    """Move the files, but for those that cannot be used and the table of labels while such are left, and remove empty folders."""
    for path in files:
        inside = path.relative_to(inbox)
        if any(inside.as_posix() == one or inside.as_posix().endswith(f"/{one}") for one in bad) or (bad and inside.as_posix() == LABELS):
            continue
        place = _free(inbox / TAKEN / name / inside)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    for folder in sorted((path for path in inbox.rglob("*") if path.is_dir() and TAKEN not in path.parts), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _free(place: Path) -> Path:
    """A path that no file has, by a number before its ending."""
    number, free = 1, place
    while free.exists():
        number += 1
        free = place.with_name(f"{place.stem}_{number}{place.suffix}")
    return free
