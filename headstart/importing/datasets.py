"""Fill a fresh folder with a data set in the canonical layout, from wherever it comes.

The canonical layout is class/file, or train|val|test/class/file.

A source is a folder, a .zip or .tar, either of them with a CSV of labels, tar shards (shards.py), an address of any of these (remote.py),
`torchvision:NAME`, or an example (examples.py) by name.
Nothing is written outside the target, and nothing is left there if the source is refused.
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from headstart.data import clutter, provenance
from headstart.importing import archive_kinds, archives, label_doubts, partly, remote, taking, without_labels
from headstart.importing import target as beside
from headstart.importing.copying import Cloner
from headstart.importing.examples import EXAMPLES as EXAMPLES
from headstart.importing.labels_file import LeftOut
from headstart.importing.options import Options
from headstart.importing.reviewed import Corrections
from headstart.importing.shelf import Shelf
from headstart.indexing import layout
from headstart.machinery import system
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.words import formats, lists

TORCHVISION = "torchvision:"
KINDS = f"a folder, a .zip or .tar(.gz, .bz2, .xz), an address (s3://...), torchvision:NAME, {' or '.join(EXAMPLES)}"


@dataclass
class Summary:
    """What was imported.

    Files, class names, files per split ({} if the source gives none), and what was left out or renamed.
    """

    files: int
    classes: list[str]
    splits: dict[str, int]
    skipped: list[str] = field(default_factory=list)  # paths of files that no class folder or label covers
    renamed: int = 0  # files given a suffix because their name was taken
    left_out: list[LeftOut] = field(default_factory=list)  # what cannot be used, with the reason
    groups: int = 0  # of images that stay in one split
    notes: list[str] = field(default_factory=list)  # how the labels were read
    sidecars: list[str] = field(default_factory=list)  # files about photos, left out
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # files that do not even start like an image, and why
    terms: str = ""  # of their use, as far as they are known: a licence and who made them
    unlabelled: int = 0  # images beside these that have no label

    def __str__(self) -> str:
        splits = ", ".join(f"{number} {name}" for name, number in self.splits.items())
        text = f"{self.files} files in {len(self.classes)} classes" + (f" ({splits})" if splits else "")
        if self.unlabelled:
            text += f"; {self.unlabelled:,} without labels"
        if self.renamed:
            text += f"; {self.renamed} renamed because their name was taken"
        if self.groups:
            text += f"; {self.groups:,} groups"
        if self.skipped:
            text += f"; left out, as they have no label: {lists.named(self.skipped, 5)}"
        if self.sidecars:
            text += f"; left out, as they are no photos: {clutter.kinds(self.sidecars)}"
        if self.unreadable:
            text += f"; not counted, as they cannot be read: {lists.named([path for path, _ in self.unreadable], 5)}"
        if self.left_out:
            text += f"; left out, as they cannot be used: {lists.named([one.path for one in self.left_out], 5)}"
        return text


def import_dataset(
    source: str, target: Path, *, labels: Path | None = None, how: Options | None = None, current: Path = Path("data/images")
) -> Summary:
    """Fill the fresh folder `target` from `source`, and return what it holds.

    `labels` is a table with a column of file names and one of labels. `current` is the data set in use, which a source must not overlap.
    Raises DataError for a source that is refused, ParamsError for one that is unknown, HeadstartError for a failed download or a full
    disk; `target` is then removed.
    """
    if target.exists() and any(target.iterdir()):
        raise HeadstartError(f"{target} is not empty; an import needs a fresh folder")
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _fill(source, target, labels, how or Options(), current)
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise _explained(error) from error
        raise


def _fill(source: str, target: Path, labels: Path | None, how: Options, current: Path) -> Summary:
    without_labels.check(labels, how)
    partly.check(how)
    shelf = Shelf(target)
    taken = taking.Taken(target, [])
    corrections = Corrections(Path(how.reviewed) if how.reviewed else None)
    if source in EXAMPLES or source.startswith(TORCHVISION):
        given = ["labels"] * (labels is not None) + sorted(set(how.to_json()) - {"target", "target_labels", "reviewed"})
        if given:
            raise ParamsError(f"--{given[0].replace('_', '-')} goes with a folder or an archive; {source} has labels of its own")
        samples = EXAMPLES[source].samples if source in EXAMPLES else partial(_public, source)
        _save(samples(target / ".downloads"), shelf, corrections)
        taken.left_out += corrections.left
        provenance.write(target, shelf.origins)
    else:
        if labels is None and how.columns:
            raise ParamsError("--columns goes with --labels: it names the columns of that file")
        here = str(remote.fetch(source)) if remote.is_remote(source) else source
        path = _existing(here, target, current)
        if how.no_labels:
            return _unlabelled(path, source, target, how)
        taken = taking.take(path, shelf, labels, how, corrections, source)
    return _told(source, target, taken, shelf, corrections, how, current)


def _told(source: str, target: Path, taken: taking.Taken, shelf: Shelf, corrections: Corrections, how: Options, current: Path) -> Summary:
    """Check what was put into the target, put images of another domain beside it, and say what there is."""
    _clear(target)
    contents = layout.scan(target, shown=source)
    layout.check(contents, source, how.fewest)
    classes = sorted({item.label for item in contents.items})
    notes = [
        *_renaming(shelf),
        *taken.notes,
        *label_doubts.misread(classes),
        *corrections.notes(),
        *_joined(taken.without, how),
        *beside.add(target, how.target, how.target_labels, classes, current),
    ]
    splits = Counter(item.split for item in contents.items if item.split)
    order = [split for split in layout.FOLDERS if split in splits]
    kept = {item.path for item in taken.items}
    unreadable = [(path, reason) for path, reason in taken.unreadable if path in kept]
    return Summary(
        len(contents.items) - len(unreadable),
        classes,
        {split: splits[split] for split in order},
        taken.skipped,
        shelf.renamed,
        taken.left_out,
        len(set(taken.groups.values())),
        notes,
        taken.sidecars,
        unreadable,
        EXAMPLES[source].terms if source in EXAMPLES else "",
        len(taken.without),
    )


def _joined(without: list[str], how: Options) -> list[str]:
    """What a reader should know of images without labels."""
    if not how.unlabelled:
        return []
    if not without:
        return ["every image has a label, so --unlabelled changes nothing"]
    return [f"{formats.count(len(without), 'image')} without labels: they join by self-training if held-out images show that it helps"]


def _clear(target: Path) -> None:
    for scratch in (".downloads", taking.UNPACKED):
        shutil.rmtree(target / scratch, ignore_errors=True)


def _unlabelled(path: Path, source: str, target: Path, how: Options) -> Summary:
    """Fill the target with images that have no labels."""
    given, _ = taking.opened(path, target / taking.UNPACKED, how)
    taken = without_labels.take(given, target, how, source, moved=given != path)
    _clear(target)
    said = (taken.left_out, taken.groups, taken.notes, taken.sidecars, taken.unreadable)
    return Summary(taken.files, [], {}, [], 0, *said)


def _renaming(shelf: Shelf) -> list[str]:
    """Which file got another name, for example."""
    for place, origin in shelf.origins.items():
        if Path(place).name != Path(origin).name:
            return [f"files that got another name keep their origin in the manifest: {place} is {origin}"]
    return []


def _existing(source: str, target: Path, current: Path) -> Path:
    """The path of a source that is there, of a kind we take, and apart from the data set in use."""
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"there is no {source}; give {KINDS}")
    if path.is_file() and not archives.is_archive(path):
        raise DataError(f"{source} {archive_kinds.instead(path) or f'is a file, and no archive Headstart knows; give {KINDS}'}")
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{source} is neither a file nor a folder; give {KINDS}")
    real = path.resolve()
    for other in (current.resolve(), target.resolve()):
        if real.is_relative_to(other) or other.is_relative_to(real):
            raise DataError(
                f"{source} overlaps {current}, where the imported data set lives; copy it elsewhere first, or give another folder"
            )
    return path


def _save(samples: Iterable[tuple[str, str, str, Any]], shelf: Shelf, corrections: Corrections) -> None:
    """Put samples (split, label, file name, file or PIL image) on the shelf, with the labels that they have now."""
    cloner = Cloner()
    for split, given, name, image in samples:
        place = f"{layout.FOLDERS[split]}/{given}/{name}" if split else f"{given}/{name}"
        label = corrections.of(place, given, split)
        if label is None:
            continue
        path = shelf.place(label, split, name, corrections.origins.get(place, place if corrections.path else ""))
        if isinstance(image, Path):
            cloner.clone(image, path)
        else:
            image.save(path)


def _public(source: str, root: Path) -> Iterator[tuple[str, str, str, Any]]:
    from headstart.importing import public_sets

    for number, sample in enumerate(public_sets.load(source.removeprefix(TORCHVISION), root)):
        name = sample.image.name if isinstance(sample.image, Path) else f"{number:06d}.png"
        yield sample.split, sample.label, name, sample.image


def _explained(error: OSError) -> HeadstartError:
    """What the user can do about a failed system call."""
    refused = isinstance(error, PermissionError) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP)
    said = system.words(error) or f"the import failed: {error}"
    return DataError(said) if refused else HeadstartError(said)
