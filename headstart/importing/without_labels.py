"""Take images that have no labels: whatever folders they lie in, folders are no classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from headstart.data import belonging, clutter, photos
from headstart.data.settings import no_labels
from headstart.importing import folders, groups, mending
from headstart.importing.copying import Cloner
from headstart.importing.labels_file import LeftOut
from headstart.importing.options import Options
from headstart.indexing.layout import Item
from headstart.machinery.errors import DataError, ParamsError
from headstart.machinery.progress import Progress
from headstart.words.formats import count

_LABELS = ("columns", "unlabelled", "target", "target_labels", "reviewed", "recursive")  # options that say something of labels


@dataclass
class Taken:
    """What was taken: how many files, how many groups of what belongs together, and what a reader should know."""

    files: int
    groups: int
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def check(labels: Path | None, how: Options) -> None:
    """Raise ParamsError for options that go with labels, if the images have none."""
    if not how.no_labels:
        return
    given = ["labels"] * (labels is not None) + [name for name in _LABELS if name in how.to_json()]
    if given:
        raise ParamsError(f"--{given[0].replace('_', '-')} does not go with --no-labels, for images without any; leave out one of them")


def take(root: Path, target: Path, how: Options, shown: str, moved: bool) -> Taken:
    """Put every image below `root` into `target`, in the folders that it lies in; `moved` takes it away from `root`.

    `shown` names what was given in messages. Raises DataError if there is no image that can be read, and for names that are not UTF-8.
    """
    files = [path.relative_to(root) for path in clutter.walk(root)]
    sidecars = sorted(path.as_posix() for path in files if photos.is_sidecar(root / path))
    known = set(sidecars)
    items = sorted(Item(_name(path, shown), "", "") for path in files if path.as_posix() not in known)
    if not items:
        raise DataError(f"{shown} holds no image; give a folder of images, or of folders with images")
    taken = Taken(0, 0, sidecars=sidecars, unreadable=folders.check_readable(root, items, shown))
    for wanted, mend in ((how.skip_bad, mending.readable), (how.drop_duplicates, mending.distinct)):
        if wanted:
            items, left = mend(root, items)
            taken.left_out += left
    together, taken.notes = groups.of(items, how)
    _put(root, target, items, Path.replace if moved else Cloner().clone)
    belonging.write(target, together)
    no_labels.mark(target)
    kept = {item.path for item in items}
    taken.unreadable = [one for one in taken.unreadable if one[0] in kept]
    taken.files, taken.groups = len(items) - len(taken.unreadable), len(set(together.values()))
    taken.notes.append(
        f"no labels: `headstart run` puts {count(taken.files, 'image')} into groups, and `headstart review` asks for their names"
    )
    return taken


def _name(path: Path, shown: str) -> str:
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        told = path.as_posix().encode(errors="backslashreplace").decode()
        raise DataError(f"{shown}: the name of {told} is not valid UTF-8; rename it") from None
    return path.as_posix()


def _put(root: Path, target: Path, items: list[Item], put: Callable[[Path, Path], object]) -> None:
    with Progress(len(items), "copying images") as progress:
        for item in items:
            place = target / item.path
            place.parent.mkdir(parents=True, exist_ok=True)
            put(root / item.path, place)
            progress.step()
