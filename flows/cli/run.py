"""The commands that run the pipeline and look at it: `headstart run`, `show` and `params`."""

from __future__ import annotations

import argparse
import sys

from flows.cli import common, ending
from flows.cli.common import Commands
from headstart.machinery.errors import ParamsError

_RUN = """\
Run the Prefect flow in this process: every stage whose inputs, parameters or code version changed, in order; the others are
skipped. Ends with a line per stage (NAME cached|ran SECONDS) and the summary of the result. `dvc repro` does the same without
Prefect. A Prefect server is used if one is configured (PREFECT_API_URL); else one is started for the length of the run.
"""

_RUN_EXAMPLES = """\
examples:
  headstart run
  headstart run --fast                                # a head on the best source by the ranking; no race, no baseline
  headstart run --plan                                # what it will take, before anything starts
  headstart run --plan --images 10000000 --cards 16   # the same for ten million images like these, on 16 graphics cards
  headstart run --set fine_tune.epochs=5 --set fine_tune.strategy=gradual
  headstart run --set 'select_source.candidates=[wheel:efficientnet_lite0, torchvision:resnet50]'

What --fast, --best and --set give is for this run alone: it is in params.yaml until the next run, which takes it back. With
--keep it stays. `headstart params` lists every name with its bounds.
"""


_CANCELLED = "cancelled; the stages that had ended are kept, and the next `headstart run` goes on after them"

_STAGES = """\
List the stages in order: after which others each comes, whether `headstart run` will run it, and how long it took the last time. What
changed in parameters and images counts here; `dvc status` sees changed code too, and `dvc dag` draws all that each stage reads.
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    run = commands.add("run", _run, help="run the pipeline", description=_RUN, epilog=_RUN_EXAMPLES)
    run.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="assignments", help="a parameter for this run; repeatable"
    )
    preset = run.add_mutually_exclusive_group()
    preset.add_argument("--fast", action="store_const", const="fast", dest="preset", help="a frozen head: no race, fine-tuning or baseline")
    preset.add_argument("--best", action="store_const", const="best", dest="preset", help="longer race and fine-tuning, and five seeds")
    run.add_argument("--keep", action="store_true", help="write what is given into params.yaml to stay")
    run.add_argument("--force", action="store_true", help="run every stage, changed or not")
    run.add_argument("--plan", action="store_true", help="only say what it will take: passes, hours, disk; nothing starts")
    run.add_argument("--cards", metavar="N", type=int, help="with --plan: how long it takes on N graphics cards too")
    run.add_argument("--rate", metavar="IMAGES/S", type=float, help="with --cards: of a frozen pass on one card; 1,090 if left out")
    run.add_argument("--images", metavar="N", type=int, help="with --plan: for N images like those that are here")

    show = commands.add("show", _show, help="show the result", description="Show the result of the last run.")
    show.add_argument("--json", action="store_true", help="print reports/metrics.json as it is")

    commands.add("stages", _stages, help="list the stages", description=_STAGES)
    commands.add("params", _params, help="list the parameters", description="List every parameter: value, bounds, meaning.")


def _run(options: argparse.Namespace) -> int:
    from headstart import params
    from headstart.machinery import lock

    common.in_project()
    if options.keep and not (options.preset or options.assignments):
        raise ParamsError("--keep goes with --set, --fast or --best: it keeps what they give in params.yaml")
    if options.plan:
        return _plan(options)
    if given := [name for name in ("cards", "rate", "images") if getattr(options, name) is not None]:
        raise ParamsError(f"--{given[0]} goes with --plan: it changes what is said, and never what runs")
    with lock.hold("headstart run"):
        from flows.pipeline import costs, estimate
        from flows.projects import images
        from flows.repository import git, warm
        from flows.results import show as show_module
        from flows.server import servers
        from headstart.params import presets, project_code
        from tasks import stage

        project_code.check()
        values = {**(presets.PRESETS[options.preset] if options.preset else {}), **params.parse(options.assignments)}
        wanted = params.would_be(values)
        images.check()
        stage.check_aim(wanted.aim)
        servers.configure()
        if unkept := git.problem():
            print(f"this run will not be kept for `headstart runs`: {unkept}", file=sys.stderr)
        print("starting Prefect", file=sys.stderr, flush=True)
        costs.speed()  # before imports share the cores
        with ending.words(_CANCELLED), warm.kept(), servers.chosen() as ready:
            if values or options.force or estimate.some_wait():
                warm.stages()
            # Imported while the server starts; Prefect reads its environment here.
            from flows.pipeline.transfer import ended, transfer

            ready()
            with common.lines():  # after that import: it sets up logging anew
                try:
                    outcomes, orphaned = common.outlived(lambda: transfer(parameters=values, force=options.force, keep=options.keep), ended)
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(_CANCELLED) from None
    common.print_outcomes(outcomes)
    print(show_module.summary())
    return common.done(orphaned)


def _plan(options: argparse.Namespace) -> int:
    """Say what the run would take. Neither Prefect nor DVC is started, and nothing is written."""
    from flows.pipeline import plan
    from headstart import params
    from headstart.params import presets

    if options.images is not None and options.images < 1:
        raise ParamsError("--images takes a whole number from 1")
    values = {**(presets.PRESETS[options.preset] if options.preset else {}), **params.parse(options.assignments)}
    print(plan.told(values, cards=plan.cards(options.cards, options.rate), count=options.images, force=options.force))
    return 0


def _show(options: argparse.Namespace) -> int:
    from flows.results import files
    from flows.results import show as show_module

    if not files.METRICS.exists():
        common.in_project()
    sys.stdout.write(show_module.metrics_text() if options.json else show_module.summary() + "\n")
    return 0


def _stages(options: argparse.Namespace) -> int:
    from flows.pipeline import estimate
    from flows.results.table import aligned

    common.in_project()
    print(aligned([("STAGE", "AFTER", "STATE", "TOOK"), *estimate.stages()], right=[3]))
    return 0


def _params(options: argparse.Namespace) -> int:
    from headstart import params

    common.in_project()
    print(params.describe(params.load()))
    return 0
