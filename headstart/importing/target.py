"""Put images without labels, of the domain in which the model will be used, beside a data set."""

from __future__ import annotations

import csv
from pathlib import Path

from headstart.data import images, photos
from headstart.data.settings import two_domains
from headstart.importing import labels_file
from headstart.importing.copying import Cloner
from headstart.machinery.errors import DataError, ParamsError
from headstart.words import formats, lists


def add(dataset: Path, target: str, labels: str, classes: list[str], current: Path) -> list[str]:
    """Copy the images below the folder `target` beside those of `dataset`; returns what a reader should know.

    `labels` is a table of labels for a few of them ("": none), whose classes must be among `classes`. Raises DataError for a folder that is
    missing, holds no image or overlaps the data set in use (`current`), and for labels of unknown files or classes.
    """
    if not target:
        if labels:
            raise ParamsError("--target-labels goes with --target: it labels a few images of that folder")
        return []
    folder = Path(target).expanduser()
    files = _files(folder, current)
    cloner = Cloner()
    for path in files:
        place = dataset / two_domains.FOLDER / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        cloner.clone(path, place)
    notes = [f"{formats.count(len(files), 'image')} without labels from {target}: labels are carried over to them if that can be trusted"]
    return [*notes, *_label(dataset, folder, Path(labels), classes)] if labels else notes


def _files(folder: Path, current: Path) -> list[Path]:
    """The images below the folder."""
    if not folder.is_dir():
        raise DataError(f"--target {folder} is no folder; give a folder of images without labels")
    real, used = folder.resolve(), current.resolve()
    if real.is_relative_to(used) or used.is_relative_to(real):
        raise DataError(f"--target {folder} overlaps {current}, where the imported data set lives; copy it elsewhere first")
    files = list(photos.walk(folder))
    for path in files:
        try:
            str(path.relative_to(folder)).encode()
        except UnicodeEncodeError:
            shown = str(path).encode(errors="backslashreplace").decode()
            raise DataError(f"--target: the name of {shown} is not valid UTF-8; rename it") from None
    if all(images.why_not(path) for path in files):
        raise DataError(f"--target {folder} holds no image that can be read; give a folder of images without labels")
    return files


def _label(dataset: Path, folder: Path, labels: Path, classes: list[str]) -> list[str]:
    """Write the labels of a few images beside the data set; rows of the table without a label are passed over."""
    read = labels_file.read(labels, folder, shown=f"--target {folder}", skip_bad=True)
    lost = [one for one in read.left_out if one.label]
    if lost:
        raise DataError(f"--target-labels {labels}: line {lost[0].line} names {lost[0].path}: {lost[0].reason}")
    unknown = sorted({item.label for item in read.items} - set(classes))
    if unknown:
        raise DataError(
            f"--target-labels {labels} names {lists.named(unknown)}, which is no class of the labelled images ({lists.named(classes)})"
        )
    with (dataset / two_domains.LABELS).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("path", "label"))
        table.writerows((f"{two_domains.FOLDER}/{item.path}", item.label) for item in read.items)
    return [f"{formats.count(len(read.items), 'label')} of them: they decide whether that helped, and train nothing"]
