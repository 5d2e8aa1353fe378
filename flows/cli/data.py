"""The command that replaces the data set: `headstart import`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli import common
from flows.cli.common import Commands
from headstart.data import clutter
from headstart.machinery.errors import ParamsError
from headstart.words import formats

if TYPE_CHECKING:
    from headstart.importing.datasets import Summary
    from headstart.importing.options import Options

_IMPORT = """\
Replace the data set with SOURCE and record it with DVC. A refused or failed import changes nothing.

SOURCE is one of
  a folder   class/file, or train/ val/ test/ with class/file below, or any files named in --labels FILE.csv
             (train_set, dev, eval, holdout and the like are known too)
  an archive .zip or .tar of such a folder
  an address s3://, gs://, az://, https:// or file:// of such a folder or archive: it is copied to this disk, and a copy that was
             stopped goes on (needs the extra s3, gs or azure)
  shards     a folder, or an address, of .tar files with labels beside the images, as `headstart shard` and WebDataset write them
  torchvision:NAME   a data set that torchvision downloads: flowers102, oxford_iiit_pet, eurosat, dtd, ...
  demo       320 photographs of solar cells, functional and defective, from the package elpv-dataset (91 MB, CC BY-NC-SA 4.0)
  digits     1,797 handwritten digits of 8x8 pixels that come with scikit-learn; need no network

--add NEW puts the images of NEW, a folder or an archive as above, beside those that are here, as a batch. What was here keeps its
split: what was held out for the test stays held out. Files whose pixels are here already are left out and listed.
--forget BATCH takes the images of a batch away and keeps sums of their features under the source of the last run
(docs/settings.md).
"""

_IMPORT_EXAMPLES = """\
examples:
  headstart import demo
  headstart import ~/photos
  headstart import pets.zip
  headstart import s3://bucket/photos
  headstart import scans/ --labels scans.csv     # columns of file names and of labels; if you like, split
  headstart import scans/ --labels scans.csv --columns path=Scan,label=Finding,group=Patient
  headstart import scans/ --labels scans.txt --columns path=1,label=2      # no line with names
  headstart import frames/ --group-pattern 'video[0-9]+'
  headstart import scans/ --labels scans.csv --unlabelled      # rows without a label, and files that no row names, may help too
  headstart import photos/ --target sketches/    # labelled photos; sketches without labels, which the model is for
  headstart import photos/ --no-labels           # no labels at all: groups, which `headstart review` asks you to name
  headstart import torchvision:flowers102
  headstart import --add new/ --batch 2026-11-27  # beside what is here; new classes may come
  headstart import --update                      # again from the same place, which data/images.dvc names
  headstart import --update --reviewed data/reviewed.csv     # with the labels that were corrected in `headstart review`
"""


_LABELS = "a table of labels for the files below SOURCE: CSV, with a column of file names and one of labels"
_UNLABELLED = "keep images without a label (an empty one in the table, no row, beside the class folders): they join if that helps"
_TARGET = "images without labels of the domain in which the model will be used; SOURCE has labels, of another domain"
_GROUPS = "(a patient, camera, video) in one split"


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    add = commands.add("import", _import, help="replace the data set", description=_IMPORT, epilog=_IMPORT_EXAMPLES)
    which = add.add_mutually_exclusive_group(required=True)
    which.add_argument("source", metavar="SOURCE", nargs="?", help="a folder, a .zip or .tar, torchvision:NAME, demo or digits")
    which.add_argument("--update", action="store_true", help="import again what the images came from, which may have changed")
    which.add_argument("--add", metavar="NEW", help="add the images of a folder or an archive to the data set, as a batch")
    which.add_argument("--forget", metavar="BATCH", help="take the images of a batch away; sums of their features are kept")
    add.add_argument(
        "--batch", metavar="NAME", default="", help="what the batch is called, a date for example; left out: batch-2, batch-3, ..."
    )
    add.add_argument("--labels", metavar="FILE.csv", type=Path, help=_LABELS)
    add.add_argument(
        "--columns",
        metavar="ROLE=NAME,...",
        help="which column is which, unless they have usual names: path=, label=, split=, group=; by number if the first line names none",
    )
    add.add_argument("--no-labels", action="store_true", help="the images have no labels, and folders are no classes: put them into groups")
    add.add_argument("--unlabelled", action="store_true", help=_UNLABELLED)
    add.add_argument("--target", metavar="FOLDER", default="", help=_TARGET)
    add.add_argument(
        "--target-labels",
        metavar="FILE.csv",
        default="",
        help="labels for a few of these; they decide whether adapting helped, and train nothing",
    )
    add.add_argument(
        "--reviewed",
        metavar="FILE.csv",
        default="",
        help="what `headstart review` wrote (data/reviewed.csv): change the labels, and leave out the images, that it says",
    )
    _register_reading(add)


def _register_reading(add: argparse.ArgumentParser) -> None:
    """Add the options that say how files are read and which are taken."""
    together = add.add_mutually_exclusive_group()
    together.add_argument("--group-by-folder", action="store_true", help=f"keep the images of one folder {_GROUPS}")
    together.add_argument(
        "--group-pattern", metavar="REGEX", default="", help=f"keep images in whose path it finds the same text {_GROUPS}"
    )
    add.add_argument("--recursive", action="store_true", help="files of sub-folders belong to the class folder above them")
    add.add_argument(
        "--encoding",
        default="",
        help="of the names in an archive, or of a table of labels, that does not say it, for example cp437, cp932 or gbk",
    )
    add.add_argument(
        "--limit",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help="allow an archive more: files, depth, name (bytes) or ratio; repeatable",
    )
    add.add_argument("--skip-bad", action="store_true", help="leave out what cannot be used, list it, and go on")
    add.add_argument("--drop-duplicates", action="store_true", help="leave out all but one of images with the same pixels")


def _options(options: argparse.Namespace) -> Options:
    from flows.projects import images
    from headstart.importing import archives, label_columns
    from headstart.importing.options import Options

    return Options(
        columns=label_columns.parse(options.columns) if options.columns else {},
        skip_bad=options.skip_bad,
        drop_duplicates=options.drop_duplicates,
        group_by_folder=options.group_by_folder,
        group_pattern=options.group_pattern,
        recursive=options.recursive,
        encoding=options.encoding,
        no_labels=options.no_labels,
        unlabelled=options.unlabelled,
        target=options.target,
        target_labels=options.target_labels,
        reviewed=options.reviewed,
        limits=archives.parse_limits(options.limit),
        least=images.least(),
    )


def _import(options: argparse.Namespace) -> int:
    from flows.experiments import recovery
    from flows.projects import arriving, images
    from headstart.importing.examples import EXAMPLES
    from headstart.indexing import layout
    from headstart.machinery import lock

    common.in_project()
    how = _options(options)
    if options.forget is not None:
        if options.labels or options.batch or how.to_json():
            raise ParamsError("--forget takes the name of a batch and nothing else; leave out the other options")
        return _forget(options.forget)
    if options.update and options.batch:
        raise ParamsError("--update imports as the last time, the name of the batch too; leave out --batch")
    if how.no_labels and options.batch:
        raise ParamsError("images without labels come all at once, not in batches; leave out --batch")
    if options.source in EXAMPLES:
        print(f"importing {EXAMPLES[options.source].what}", file=sys.stderr, flush=True)
    if options.update and (options.labels or set(how.to_json()) - {"reviewed"}):
        raise ParamsError("--update imports as the last time, labels and all; leave out the other options (--reviewed may stay)")
    with lock.hold("headstart import"):
        recovery.recover()
        before = images.version()
        if options.add is not None:
            summary = arriving.add(options.add, options.labels, how, options.batch)
        elif options.update:
            summary = images.update(how.reviewed)
        else:
            summary = images.replace(options.source, options.labels, how, options.batch)
        same = images.version() == before
    _tell(summary)
    given = options.source or options.add or ""
    if "://" in given and not given.startswith("file:"):
        print("they were copied to this disk, and are read from here")
    if summary.classes and (note := images.aimless(layout.class_names(images.IMAGES) if options.add is not None else summary.classes)):
        print(note)
    print("these are the images that were here before; nothing changed" if same else "next: headstart run")
    return 0


def _tell(summary: Summary) -> None:
    """Print what was imported, and what was not."""
    from flows.projects import images
    from headstart.data import batches
    from headstart.importing import labels_file

    print(_told(summary))
    if summary.groups:
        print(f"{formats.count(summary.groups, 'group')}, each of which stays in one split")
    if summary.skipped:
        print(f"left out {len(summary.skipped):,} files that no class folder or label covers: {common.few(summary.skipped, 3)}")
    if summary.sidecars:
        print(
            f"left out {formats.count(len(summary.sidecars), 'file that is no photo', 'files that are no photos')}: {clutter.kinds(summary.sidecars)}"
        )
    if summary.unreadable:
        print(f"not counted: {formats.count(len(summary.unreadable), 'file')} that cannot be read: {_whys(summary.unreadable)}")
    if bad := [one for one in summary.left_out if not one.reason.startswith(batches.HERE)]:
        print(f"left out {len(bad):,} that cannot be used: {labels_file.reasons(bad)}; each is named in {images.LEFT_OUT}")
    if summary.terms:
        print(f"terms of use: {summary.terms}")
    if summary.renamed:
        print(f"renamed {summary.renamed:,} files whose name was taken")
    for note in summary.notes:
        print(note)


def _told(summary: Summary) -> str:
    """How many images of which classes and splits."""
    if not summary.classes:
        return formats.count(summary.files, "image")
    splits = ", ".join(f"{name} {number:,}" for name, number in summary.splits.items()) or "none given, so they will be drawn"
    told = f"{formats.count(summary.files, 'image')} in {formats.count(len(summary.classes), 'class', 'classes')}"
    return f"{told} ({common.few(summary.classes)}); splits: {splits}"


def _forget(batch: str) -> int:
    from flows.experiments import recovery
    from flows.projects import arriving, images
    from headstart import params
    from headstart.base import devices
    from headstart.machinery import lock

    with lock.hold("headstart import"):
        recovery.recover()
        values = params.load()
        summary = arriving.forget(batch, devices.choose(values.device, values.precision))
    print(f"forgot {formats.count(summary.files, 'image')} of batch {batch}; sums of their features are in {images.IMAGES}/.forgotten/")
    print("earlier versions of the images are still in DVC's cache and its remotes; `dvc gc` removes them there")
    print("next: headstart run")
    return 0


def _whys(unreadable: Sequence[tuple[str, str]]) -> str:
    """How many files cannot be read for each reason, the most frequent first, and one of each."""
    first = {reason: path for path, reason in reversed(unreadable)}
    counts = Counter(reason for _, reason in unreadable).most_common(5)
    return "; ".join(f"{number:,} {reason} ({first[reason]})" for reason, number in counts)
