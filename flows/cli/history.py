"""The commands about past runs and the best model so far: `headstart runs`, `restore` and `promote`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from flows.cli import common
from flows.cli.common import Commands

_PROMOTE = """\
Copy the model of the last run into the registry and make it the current one, unless a paired test on the promotion split
shows it to be worse than the current model (one-sided, 95%). Images that one of them was trained on do not count, nor images
of classes that only one of them knows; a model that lacks a class of the current one is refused. If there is none yet, it is
promoted. With a second domain (import --target) it is the adapted model if labels were carried over, and images of that
domain with a label (import --target-labels) judge it; without any it cannot be compared, and is refused if there is a
current model. Says why; keeps every decision in registry/history.jsonl, every promoted model in registry/history/. If it
is refused, the exit code is 1 and the current model stays.
"""

_PROMOTE_EXAMPLES = """\
examples:
  headstart promote
  headstart promote --force                           # whatever the test says
  headstart predict inbox/ --model registry/model     # with the current model

Both models were chosen on validation images. With --split test, images that chose nothing judge them; a test split that decides
often wears out.
"""

_RUNS = """\
Past runs, the newest first: number, when, name, version of the images, source, test accuracy, whether transfer helped, and what became
of it. They are DVC experiments (`dvc exp list`), one for each run that changed something, and the runs of this checkout that failed or
were cancelled.
"""

_RUNS_EXAMPLES = """\
examples:
  headstart runs
  headstart runs --compare 3 last                     # by number; `last` is the newest that was completed
  headstart runs --compare amber-fox 1a2b             # by how its name begins or ends
  headstart runs --json | jq -r '.[] | select(.accuracy > 0.9) | .name'
"""

_RESTORE = """\
Bring parameters, images, models and reports back to what they were after RUN. What is here now is kept as an experiment first,
whose name is printed: restoring that brings it back. Data and weights that this machine does not have come from the DVC remote.
Nothing is committed, and code stays as it is: if a stage's code has changed since, you are told.
"""

_RESTORE_EXAMPLES = """\
examples:
  headstart restore amber-fox              # of 1a2b3c4d-efficientnet_lite0-amber-fox; its whole name or number does too
  headstart predict photo.jpg              # with the model of that run
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    promote = commands.add("promote", _promote, help="keep the model, unless it is worse", description=_PROMOTE, epilog=_PROMOTE_EXAMPLES)
    promote.add_argument(
        "--split", choices=("validation", "test"), default="validation", help="images to compare on (default: %(default)s)"
    )
    promote.add_argument("--registry", type=Path, default=Path("registry"), help="folder of the registry (default: %(default)s)")
    promote.add_argument("--force", action="store_true", help="promote whatever the comparison says")
    promote.add_argument("--json", action="store_true", help="print the decision as it is recorded")

    runs = commands.add("runs", _runs, help="list past runs, compare two", description=_RUNS, epilog=_RUNS_EXAMPLES)
    runs.add_argument("--compare", metavar=("A", "B"), nargs=2, help="the parameters and metrics in which two runs differ")
    runs.add_argument("--json", action="store_true", help="print JSON")

    restore = commands.add("restore", _restore, help="go back to a past run", description=_RESTORE, epilog=_RESTORE_EXAMPLES)
    restore.add_argument(
        "run", metavar="RUN", help="its number or name, or how that begins or ends, as `headstart runs` prints it; or last"
    )
    restore.add_argument("--force", action="store_true", help="also if files here are on no record and would be lost")


def _promote(options: argparse.Namespace) -> int:
    from flows.results import promote as promote_module
    from headstart import params
    from headstart.base import devices
    from headstart.machinery import lock
    from headstart.registry import promotion

    common.in_project()
    with lock.hold("headstart promote"):
        values = params.load()
        device = devices.choose(values.device, values.precision)
        entry = promotion.promote(options.registry, split=options.split, force=options.force, device=device)
    if options.json:
        print(json.dumps(entry, indent=2, ensure_ascii=False))
    else:
        print(promote_module.describe(entry, options.registry, values.select_source.published))
    return 1 if entry["decision"] == "refused" else 0


def _runs(options: argparse.Namespace) -> int:
    from flows.experiments import runs as runs_module

    common.in_project()
    if options.compare:
        found = runs_module.compare(*options.compare)
        print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else runs_module.comparison(found))
        return 0
    known = runs_module.every()
    if options.json:
        print(json.dumps([dataclasses.asdict(run) for run in known], indent=2, ensure_ascii=False))
    elif known:
        print(runs_module.table(known), flush=True)
    print(runs_module.remark(known), file=sys.stderr)
    return 0


def _restore(options: argparse.Namespace) -> int:
    from flows.experiments import restore as restore_module
    from headstart.machinery import lock

    common.in_project()
    with lock.hold("headstart restore"):
        print(restore_module.restore(options.run, force=options.force, say=lambda line: print(line, file=sys.stderr, flush=True)))
    return 0
