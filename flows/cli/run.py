"""The commands that run the pipeline and look at it: `headstart run`, `show` and `params`."""

from __future__ import annotations

import argparse
import sys

from flows.cli import common
from flows.cli.common import Commands

_RUN = """\
Run the Prefect flow in this process: every stage whose inputs, parameters or code version changed, in order; the others are
skipped. Ends with a line per stage (NAME cached|ran SECONDS) and the summary of the result. `dvc repro` does the same without
Prefect. A Prefect server is used if one is configured (PREFECT_API_URL); else one is started for the length of the run.
"""

_RUN_EXAMPLES = """\
examples:
  headstart run
  headstart run --set fine_tune.epochs=5 --set fine_tune.strategy=gradual
  headstart run --set 'select_source.candidates=[wheel:efficientnet_lite0, torchvision:resnet50]'

--set writes params.yaml, so the value stays. `headstart params` lists every name with its bounds.
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    run = commands.add("run", _run, help="run the pipeline", description=_RUN, epilog=_RUN_EXAMPLES)
    run.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="assignments", help="change a parameter first; repeatable"
    )
    run.add_argument("--force", action="store_true", help="run every stage, changed or not")

    show = commands.add("show", _show, help="show the result", description="Show the result of the last run.")
    show.add_argument("--json", action="store_true", help="print reports/metrics.json as it is")

    commands.add("params", _params, help="list the parameters", description="List every parameter: value, bounds, meaning.")


def _run(options: argparse.Namespace) -> int:
    from headstart import params
    from headstart.machinery import lock

    common.in_project()
    with lock.hold("headstart run"):
        from flows.projects import images
        from flows.results import show as show_module
        from flows.server import servers
        from headstart.params import project_code

        project_code.check()
        values = params.parse(options.assignments)
        params.write(values, dry=True)
        images.check()
        servers.configure()
        print("starting Prefect", file=sys.stderr, flush=True)
        with servers.chosen() as ready:
            # Imported while the server starts; Prefect reads its environment here.
            from flows.pipeline.transfer import ended, transfer

            ready()
            with common.lines():  # after that import: it sets up logging anew
                outcomes, orphaned = common.outlived(lambda: transfer(parameters=values, force=options.force), ended)
    common.print_outcomes(outcomes)
    print(show_module.summary())
    return common.done(orphaned)


def _show(options: argparse.Namespace) -> int:
    from flows.results import files
    from flows.results import show as show_module

    if not files.METRICS.exists():
        common.in_project()
    sys.stdout.write(show_module.metrics_text() if options.json else show_module.summary() + "\n")
    return 0


def _params(options: argparse.Namespace) -> int:
    from headstart import params

    common.in_project()
    print(params.describe(params.load()))
    return 0
