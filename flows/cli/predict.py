"""The command that labels images with a finished model: `headstart predict`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flows.cli.common import Commands
from headstart.data import clutter
from headstart.words import formats

_PREDICT = """\
Label images with a finished model. Folders are searched for images. Writes CSV with the columns path,label,probability,error;
`error` says why a file could not be read, or that there is nothing to see in it (one colour, fully transparent). Exit code 1 if
no file could be read. Control characters in names are written out (\\x1b), and a cell that a spreadsheet would compute begins with
an apostrophe.
"""

_PREDICT_EXAMPLES = """\
examples:
  headstart predict photo.jpg
  headstart predict inbox/ > labels.csv
  headstart predict inbox/ --model ../other/models/final
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    predict = commands.add("predict", _predict, help="label images", description=_PREDICT, epilog=_PREDICT_EXAMPLES)
    predict.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="an image, or a folder of images")
    predict.add_argument("--model", type=Path, default=Path("models/final"), help="folder of the model (default: %(default)s)")


def _predict(options: argparse.Namespace) -> int:
    from flows.results import predict as predicting

    if callable(reconfigure := getattr(sys.stdout, "reconfigure", None)):
        reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
    for _ in predicting.write(options.paths, options.model, sys.stdout):
        pass
    if left := predicting.sidecars(options.paths):
        print(f"left out {formats.count(len(left), 'file')} that are no photos: {clutter.kinds(left)}", file=sys.stderr)
    return 0
