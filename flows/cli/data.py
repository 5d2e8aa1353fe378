"""The command that replaces the data set: `headstart import`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flows.cli import common
from flows.cli.common import Commands
from headstart.machinery.errors import ParamsError

_IMPORT = """\
Replace the data set with SOURCE and record it with DVC. A refused or failed import changes nothing.

SOURCE is one of
  a folder   class/file, or train/ val/ test/ with class/file below, or any files named in --labels FILE.csv
  an archive .zip or .tar of such a folder
  torchvision:NAME   a data set that torchvision downloads: flowers102, oxford_iiit_pet, eurosat, dtd, ...
  demo       600 photographs of solar cells, functional and defective, from the package elpv-dataset (91 MB, CC BY-NC-SA 4.0)
  digits     1,797 handwritten digits of 8x8 pixels that come with scikit-learn; need no network
"""

_IMPORT_EXAMPLES = """\
examples:
  headstart import demo
  headstart import ~/photos
  headstart import pets.zip
  headstart import scans/ --labels scans.csv     # columns path,label and, if you like, split
  headstart import torchvision:flowers102
  headstart import --update                      # again from the same place, which data/images.dvc names
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    add = commands.add("import", _import, help="replace the data set", description=_IMPORT, epilog=_IMPORT_EXAMPLES)
    which = add.add_mutually_exclusive_group(required=True)
    which.add_argument("source", metavar="SOURCE", nargs="?", help="a folder, a .zip or .tar, torchvision:NAME, demo or digits")
    which.add_argument("--update", action="store_true", help="import again what the images came from, which may have changed")
    add.add_argument("--labels", metavar="FILE.csv", type=Path, help="labels of the files below SOURCE: columns path,label[,split]")


def _import(options: argparse.Namespace) -> int:
    from flows.experiments import recovery
    from flows.projects import images
    from headstart.importing.examples import EXAMPLES
    from headstart.machinery import lock

    common.in_project()
    if options.source in EXAMPLES:
        print(f"importing {EXAMPLES[options.source].what}", file=sys.stderr, flush=True)
    if options.update and options.labels:
        raise ParamsError("--update takes the labels from where they came from, too; leave out --labels")
    with lock.hold("headstart import"):
        recovery.recover()
        before = images.version()
        summary = images.update() if options.update else images.replace(options.source, options.labels)
        same = images.version() == before
    splits = ", ".join(f"{name} {number:,}" for name, number in summary.splits.items()) or "none given, so they will be drawn"
    print(f"{summary.files:,} images in {len(summary.classes)} classes ({common.few(summary.classes)}); splits: {splits}")
    if summary.skipped:
        print(f"left out {len(summary.skipped):,} files that no class folder or label covers: {common.few(summary.skipped, 3)}")
    if summary.terms:
        print(f"terms of use: {summary.terms}")
    if summary.renamed:
        print(f"renamed {summary.renamed:,} files whose name was taken")
    print("these are the images that were here before; nothing changed" if same else "next: headstart run")
    return 0
