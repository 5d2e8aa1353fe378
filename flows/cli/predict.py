"""The commands that ask a finished model: `headstart predict` for labels, `headstart features` for what its head sees."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from pathlib import Path

from flows.cli import common
from flows.cli.common import Commands
from headstart.data import clutter
from headstart.machinery.errors import ParamsError
from headstart.words import formats

_PREDICT = """\
Label images with a finished model. Folders are searched for images. Writes CSV with the columns path,label,probability,error,
unsure,unlike. `error` says why a file could not be read, or that there is nothing to see in it (one colour, fully transparent).
`unsure` is yes if the answer is better left to a person (evaluate.abstain), `unlike` if the image is like none of those that the
model was made from (evaluate.false_alarms): then its label means nothing. Both are empty if the model does not know.

Exit code 1 if no file could be read. Control characters in names are written out (\\x1b), and a cell that a spreadsheet would
compute begins with an apostrophe; in JSON lines names are as they are.
"""

_PREDICT_EXAMPLES = """\
examples:
  headstart predict photo.jpg
  headstart predict inbox/ > labels.csv
  headstart predict inbox/ --top 3 --format jsonl
  headstart predict inbox/ --out labels.csv --resume  # goes on where it was stopped; or .jsonl, .parquet
  headstart predict inbox/ --prior ants=90,bees=10    # nine in ten are ants there, whatever they were in training
  find inbox -name '*.jpg' | headstart predict - --sort-into sorted/
  headstart predict inbox/ --model ../other/models/final
"""

_FEATURES = """\
Write the features of images: what the head of a finished model sees of them, to search, to group or to train something else on.

FILE.parquet has a row for each file: path, features (a list of float32) and error. FILE.npy is an array (n, width) of float32, a
row of NaN for what could not be read, and FILE.csv beside it names the files. Folders are searched for images. Memory does not
grow with their number. Exit code 1 if no file could be read.
"""

_FEATURES_EXAMPLES = """\
examples:
  headstart features inbox/ --out inbox.parquet
  headstart features a.jpg b.jpg --out two.npy --model registry/model
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    predict = commands.add("predict", _predict, help="label images", description=_PREDICT, epilog=_PREDICT_EXAMPLES)
    predict.add_argument("paths", metavar="PATH", nargs="+", help="an image, a folder of images, or - for names from input")
    predict.add_argument("--model", type=Path, default=Path("models/final"), help="folder of the model (default: %(default)s)")
    predict.add_argument("--format", choices=["csv", "jsonl"], default="csv", help="of what is written (default: %(default)s)")
    predict.add_argument("--top", metavar="K", type=_count, default=1, help="the K likeliest classes of each image (default: %(default)s)")
    predict.add_argument("--out", metavar="FILE", type=Path, help="write to a file: .csv, .jsonl or .parquet; its name says which")
    predict.add_argument("--resume", action="store_true", help="with --out: only the images that the file lacks")
    predict.add_argument(
        "--prior", metavar="CLASS=N,...", type=_prior, help="how common classes are among these images; em: estimated from them"
    )
    predict.add_argument("--sort-into", metavar="DIR", type=Path, help="link each image into a folder per label, in a new folder DIR")
    predict.add_argument("--copy", action="store_true", help="with --sort-into: copy the images")
    features = commands.add(
        "features", _features, help="what the model's head sees of images", description=_FEATURES, epilog=_FEATURES_EXAMPLES
    )
    features.add_argument("paths", metavar="PATH", nargs="+", help="an image, a folder of images, or - for names from input")
    features.add_argument("--out", metavar="FILE", type=Path, required=True, help="what to write: a name that ends in .parquet or .npy")
    features.add_argument("--model", type=Path, default=Path("models/final"), help="folder of the model (default: %(default)s)")


def _count(text: str) -> int:
    """A number from 1 to 10,000. Raises argparse.ArgumentTypeError for anything else."""
    return common.number(text, 1, 10_000)


def _prior(text: str) -> dict[str, float] | str:
    """Numbers by class, or em. Raises argparse.ArgumentTypeError for anything else."""
    if text == "em":
        return text
    given: dict[str, float] = {}
    for part in text.split(","):
        name, sign, number = part.rpartition("=")
        try:
            given[name.strip()] = float(number)
        except ValueError:
            sign = ""
        if not sign:
            raise argparse.ArgumentTypeError(f"{part!r}: expected CLASS=NUMBER, as in ants=90,bees=10, or em")
    return given


def _predict(options: argparse.Namespace) -> int:
    from flows.results import predict as predicting
    from flows.results import predict_file, sorting

    if options.resume and not options.out:
        raise ParamsError("--resume goes on with a file: name it with --out")
    if options.resume and options.prior == "em":
        raise ParamsError("--prior em looks at all images together, so --resume cannot go on with it; give the numbers that it printed")
    if options.copy and not options.sort_into:
        raise ParamsError("--copy goes with --sort-into: it copies the images there")
    if callable(reconfigure := getattr(sys.stdout, "reconfigure", None)):
        reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
    paths = _paths(options)
    if options.sort_into:
        sorting.prepare(options.sort_into, paths)
    if options.out:
        answers = predict_file.write(paths, options.model, options.out, top=options.top, resume=options.resume, prior=options.prior)
    else:
        answers = predicting.write(paths, options.model, sys.stdout, kind=options.format, top=options.top, prior=options.prior)
    done = 0
    for answer in answers:
        done += 1
        if options.sort_into:
            sorting.place(answer, options.sort_into, copy=options.copy)
    if options.out:
        print(f"{options.out}: {formats.count(done, 'image')}{' more' if options.resume else ''}")
    if left := predicting.sidecars(paths):
        print(
            f"left out {formats.count(len(left), 'file that is no photo', 'files that are no photos')}: {clutter.kinds(left)}",
            file=sys.stderr,
        )
    return 0


def _features(options: argparse.Namespace) -> int:
    from flows.results import features

    done = features.write(_paths(options), options.model, options.out)
    print(f"{options.out}: {formats.count(done.images, 'image')}, {done.width} numbers each")
    if done.unreadable:
        print(f"{formats.count(done.unreadable, 'file')} could not be read; the file says why", file=sys.stderr)
    return 0


def _paths(options: argparse.Namespace) -> list[Path]:
    """What was given, with the names on standard input instead of -, and the files that a pattern means which no shell has expanded."""
    return [path for given in options.paths for path in (_named() if given == "-" else _meant(given))]


def _meant(given: str) -> list[Path]:
    path = Path(given)
    if not glob.has_magic(given) or os.path.lexists(path):
        return [path]
    names = glob.glob(given, recursive=True)  # noqa: PTH207 (a pattern may be absolute)
    found = sorted(Path(name) for name in names if not clutter.is_bookkeeping(Path(name).name))
    return [one for one in found if one.is_file()] or found or [path]


def _named() -> list[Path]:
    """The paths on standard input, one a line, or with a zero byte after each as `find -print0` writes them."""
    text = sys.stdin.read().removeprefix("\ufeff")
    lines = text.split("\0") if "\0" in text else [line.rstrip("\r") for line in text.split("\n")]
    return [Path(line) for line in lines if line.strip()]
