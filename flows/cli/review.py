"""The commands that show what a run left in a browser: `headstart review`, `headstart report` and `headstart try`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli import common
from flows.cli.common import Commands
from headstart.machinery.errors import HeadstartError
from headstart.words import formats

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.reviewing.answers import Review
    from flows.reviewing.serving import Reviewing

_REVIEW = """\
Look at the labels that look wrong, one by one, on a page on 127.0.0.1 that only this machine can reach. Blocks of files
come first, then some labels drawn at random, whose answers say how many of all are wrong, then the most doubtful ones. Each
answer is written to data/reviewed.csv at once; no label changes until
`headstart import --update --reviewed data/reviewed.csv`.

Keys: K keep, C change to what is suggested, O another class, X leave out, N cannot tell, U undo, arrows to look on.

Of images without labels (`headstart import --no-labels`) it shows three images of each group, to name, merge or split, and asks
of some images drawn at random whether the name fits. The names go into data/named.csv; it ends with the command that starts the
pipeline from them.

"Done" on the page ends the command; so does Ctrl-C (exit code 130), and nothing is lost.
"""

_REVIEW_EXAMPLES = """\
examples:
  headstart review
  headstart review --port 8001 --no-browser           # over ssh: ssh -L 8001:127.0.0.1:8001 HOST
"""

_REPORT = "Open reports/report.html in the browser, and print where it lies."

_TRY = """\
Try a model on a page on 127.0.0.1 that only this machine can reach: choose, drop, paste or photograph a picture. The page shows how
likely each class is, whether the model is unsure or the picture is unlike all that it knows, the training images that are most like
it, and what the network looked at. The answer is that of `headstart predict`; pictures are not kept. Ctrl-C ends it.
"""

_TRY_EXAMPLES = """\
examples:
  headstart try
  headstart try registry/model                        # a folder of a model
  headstart try amber-fox                             # the model of a past run, as `headstart runs` prints its name or number
  headstart try --port 8002 --no-browser              # over ssh: ssh -L 8002:127.0.0.1:8002 HOST
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    review = commands.add("review", _review, help="look at doubtful labels, or name groups", description=_REVIEW, epilog=_REVIEW_EXAMPLES)
    review.add_argument("--port", metavar="N", type=_port, default=0, help="port of the page (default: one that is free)")
    review.add_argument("--no-browser", action="store_true", help="only print the address")
    report = commands.add("report", _report, help="open the report", description=_REPORT)
    report.add_argument("--no-browser", action="store_true", help="only print where it lies")
    trying = commands.add("try", _try, help="try a model on a page", description=_TRY, epilog=_TRY_EXAMPLES)
    trying.add_argument(
        "model", metavar="MODEL|RUN", nargs="?", default="models/final", help="a folder of a model, or a past run (default: %(default)s)"
    )
    trying.add_argument("--port", metavar="N", type=_port, default=0, help="port of the page (default: one that is free)")
    trying.add_argument("--no-browser", action="store_true", help="only print the address")


def _port(text: str) -> int:
    """A port. Raises argparse.ArgumentTypeError for anything else."""
    return common.number(text, 0, 65_535)


def _review(options: argparse.Namespace) -> int:
    from flows.projects import images, origin
    from flows.reviewing import answers, naming
    from headstart.data.settings import no_labels

    common.in_project()
    if no_labels.marked(images.IMAGES):
        groups = naming.load(images.IMAGES, str(origin.imported(images.RECORD).get("source", "PATH")))
        return _serve(groups, f"{len(groups.groups):,} groups to name", groups.ended, options)
    review = answers.load(images.IMAGES)
    if not review.doubts:
        print("no label looks wrong: there is nothing to review")
        return 0
    return _serve(review, f"{formats.count(len(review.doubts), 'label')} to look at", lambda: _ended(review), options)


def _serve(review: Reviewing, what: str, ended: Callable[[], str], options: argparse.Namespace) -> int:
    """Show the page until the person is done, and say what came of it."""
    from flows.projects import images
    from flows.reviewing import serving
    from headstart.data import manifest

    clean = Path("data/clean.parquet")
    server = serving.Server(review, images.IMAGES, manifest.grey(manifest.read(clean)) if clean.exists() else None, options.port)
    print(f"{what}: {server.address} (Ctrl-C ends it)", flush=True)
    _open(server.address, options.no_browser)
    try:
        serving.serve(server)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(ended()) from None
    print(ended())
    return 0


def _ended(review: Review) -> str:
    """What a review came to, and what to do next."""
    done = f"{sum(review.said(one) is not None for one in review.doubts)} of {len(review.doubts)} looked at; answers are in {review.file}"
    next_step = f"next: headstart import --update --reviewed {review.file}, then headstart run" if review.changes else ""
    said = [done, review.estimate(), next_step]
    return "\n".join(line for line in said if line)


def _report(options: argparse.Namespace) -> int:
    from flows.results.files import REPORT

    if not REPORT.exists():
        common.in_project()
        raise HeadstartError(f"there is no report yet ({REPORT} is missing); make one with `headstart run`")
    print(REPORT)
    _open(REPORT.resolve().as_uri(), options.no_browser)
    return 0


def _try(options: argparse.Namespace) -> int:
    from flows.trying import serving
    from flows.trying.asking import Trial

    server = serving.Server(Trial.of(_model(options.model)), options.port)
    print(f"try the model at {server.address} (Ctrl-C ends it)", flush=True)
    _open(server.address, options.no_browser)
    server.serve()
    return 0


def _model(given: str) -> Path:
    """The folder of a model, given by itself or by the run that made it."""
    if Path(given).is_dir() or given == "models/final":
        return Path(given)
    common.in_project()
    from flows.experiments import models

    return models.of_run(given)


def _open(address: str, never: bool) -> None:
    """Open an address in the person's browser, if there is a screen to show it on."""
    if never or not (sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    import webbrowser

    webbrowser.open(address)
