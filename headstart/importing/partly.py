"""Images without a label in what is imported, beside labelled ones: which they are, and their place in the data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from headstart.data import photos
from headstart.data.settings import partly
from headstart.importing import groups, mending
from headstart.importing.labels_file import LeftOut
from headstart.importing.options import Options
from headstart.indexing import layout, split_names
from headstart.indexing.layout import Contents, Item
from headstart.machinery.errors import ParamsError
from headstart.machinery.progress import Progress


def check(how: Options) -> None:
    """Raise ParamsError for options that do not go together."""
    if how.unlabelled and how.target:
        raise ParamsError("--unlabelled is for images of the same kind, --target for those of another; leave out one of them")


def of_folders(root: Path, found: Contents) -> tuple[list[Item], list[str]]:
    """The labelled files below `root`, and the others (posix paths, sorted): beside class folders, and in folders that say so by name.

    These are folders called unlabelled and the like (split_names.UNLABELLED), and splits without class folders.
    """
    nameless = {item.label for item in found.items if split_names.word(item.label) in split_names.UNLABELLED}
    without = [item.path for item in found.items if item.label in nameless]
    without += [path for path in found.beside if not photos.is_sidecar(root / path)]
    for name, _ in found.unlabelled:
        without += [path.relative_to(root).as_posix() for path in photos.walk(root / name)]
    for path in without:
        layout.check_name(path)
    return [item for item in found.items if item.label not in nameless], sorted(without)


def mend(root: Path, without: list[str], how: Options) -> tuple[list[str], dict[str, str], list[LeftOut]]:
    """The files that are kept, their groups, and what is left out, as the options say."""
    items, left = [Item(path, "", "") for path in without], list[LeftOut]()
    for wanted, leave_out in ((how.skip_bad, mending.readable), (how.drop_duplicates, mending.distinct)):
        if wanted and items:
            items, more = leave_out(root, items)
            left += more
    together = groups.of(items, how)[0] if items and (how.group_pattern or how.group_by_folder) else {}
    return [item.path for item in items], together, left


def put(root: Path, target: Path, without: list[str], move: Callable[[Path, Path], object]) -> dict[str, str]:
    """Put files without a label into the data set `target`; returns the new place of each path."""
    places = {path: f"{partly.FOLDER}/{path}" for path in without}
    with Progress(len(places), "copying images without labels") as progress:
        for path, place in places.items():
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            move(root / path, target / place)
            progress.step()
    return places


def placed(groups: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    """The groups of the files by their new places."""
    return {places[path]: group for path, group in groups.items() if path in places}
