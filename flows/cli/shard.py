"""The command that writes the images as tar shards: `headstart shard`."""

from __future__ import annotations

import argparse
from pathlib import Path

from flows.cli import common
from flows.cli.common import Commands
from headstart.machinery.errors import ParamsError
from headstart.words import formats

_SHARD = """\
Write the images as tar shards: some archives of a thousand images each instead of millions of files, with the label, and the split if the folders
give one, beside each image (.json, .cls), as WebDataset has them. What was stopped goes on; the same images give the same bytes.
"""

_SHARD_EXAMPLES = """\
examples:
  headstart shard shards/                        # the images of this project
  headstart shard s3://bucket/shards --from ~/photos --each 5000
"""


def register(commands: Commands) -> None:
    """Add the command of this file."""
    shard = commands.add("shard", _shard, help="write the images as tar shards", description=_SHARD, epilog=_SHARD_EXAMPLES)
    shard.add_argument("out", metavar="OUT", help="a folder, or an address such as s3://bucket/shards")
    shard.add_argument("--from", metavar="FOLDER", dest="source", type=Path, help="a folder of classes; data/images if left out")
    shard.add_argument("--each", metavar="N", type=int, default=1000, help="images of a shard (1,000)")


def _shard(options: argparse.Namespace) -> int:
    from flows.projects import images
    from headstart.data import belonging
    from headstart.importing import shards
    from headstart.indexing import layout

    if options.source is None:
        common.in_project()
    if options.each < 1:
        raise ParamsError("--each takes a whole number from 1: the images of a shard")
    folder = options.source or images.IMAGES
    contents, groups = layout.scan(folder), belonging.read(folder)
    layout.check(contents, str(folder))
    samples = [shards.Sample(folder / one.path, one.path, one.label, one.split, groups.get(one.path, "")) for one in contents.items]
    names = shards.pack(samples, options.out, options.each)
    print(
        f"{formats.count(len(samples), 'image')} in {formats.count(len(names), 'shard')} at {options.out}; `headstart import {options.out}` reads them"
    )
    return 0
