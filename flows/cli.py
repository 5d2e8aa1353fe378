"""The command line: `headstart COMMAND`. Answers on standard output, progress on standard error.

Each command imports what it needs when it runs, so that `headstart show` pays for neither Prefect nor PyTorch.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from headstart.errors import HeadstartError, ParamsError

INTERRUPTED = 130
Result = TypeVar("Result")

_OVERVIEW = """\
Give it a folder of labelled images; it picks the best pretrained source model, checks the data, trains a head, fine-tunes,
and leaves a versioned model and a report. Run it from the root of the project.

  headstart import photos/       # photos/<class>/<file>
  headstart run                  # every stage whose inputs changed
  headstart show                 # the result
  headstart predict new/*.jpg    # with the model it made
"""

_EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 usage or parameters, 3 data refused, 4 workspace busy, 130 interrupted."

_IMPORT = """\
Replace the data set with SOURCE and record it with DVC. A refused or failed import changes nothing.

SOURCE is one of
  a folder   class/file, or train/ val/ test/ with class/file below, or any files named in --labels FILE.csv
  an archive .zip or .tar of such a folder
  torchvision:NAME   a data set that torchvision downloads: flowers102, oxford_iiit_pet, eurosat, dtd, ...
  demo       1,797 handwritten digits that come with scikit-learn
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

_RUN = """\
Run the Prefect flow in this process: every stage whose inputs, parameters or code version changed, in order; the others are
skipped. Ends with a line a stage (NAME cached|ran SECONDS) and the summary of the result. `dvc repro` does the same without
Prefect. A Prefect server is used if one is configured (PREFECT_API_URL); else one is started for the length of the run.
"""

_RUN_EXAMPLES = """\
examples:
  headstart run
  headstart run --set fine_tune.epochs=5 --set fine_tune.strategy=gradual
  headstart run --set 'select_source.candidates=[wheel:efficientnet_lite0, torchvision:resnet50]'

--set writes params.yaml, so the value stays. `headstart params` lists every name with its bounds.
"""

_PREDICT = """\
Label images with a finished model. Folders are searched for images. Writes CSV with the columns path,label,probability,error;
`error` says why a file could not be read. Exit code 1 if no file could.
"""

_PREDICT_EXAMPLES = """\
examples:
  headstart predict photo.jpg
  headstart predict inbox/ > labels.csv
  headstart predict inbox/ --model ../other/models/final
"""


_DEVELOP = """\
Train a source model of your own on SOURCE_DATA, a task with many images, and register it in registry/sources/NAME/, so that
checkpoint:registry/sources/NAME competes in the ranking of `headstart run`. It is registered only if it beats the most frequent
class and a logistic regression on tiny thumbnails by a standard error on its own test images (else exit code 1). All happens in
develop/NAME/, a DVC pipeline of its own: `dvc repro` in there does the same.

SOURCE_DATA is whatever `headstart import` takes.
"""

_DEVELOP_EXAMPLES = """\
examples:
  headstart develop ~/many-photos
  headstart develop torchvision:eurosat --from wheel:efficientnet_lite0 --set epochs=10
  headstart develop scans/ --labels scans.csv --name scans --architecture torchvision:resnet18 --set input_size=96

--set writes develop/NAME/source.yaml, or params.yaml (seed, device, index_images.test_share, ...), so the value stays; source.yaml
lists every name with its meaning.
"""

_PROMOTE = """\
Copy the model of the last run into the registry and let it stand there, unless a paired test on the promotion split shows it to
be worse than the model that stands (one-sided, 95%). Images that one of them was trained on do not count. Where nothing stands
yet, it is promoted. Says why; keeps every decision in registry/history.jsonl, every promoted model in registry/history/. Where it
is refused, the exit code is 1 and what stood stands.
"""

_PROMOTE_EXAMPLES = """\
examples:
  headstart promote
  headstart promote --force                           # whatever the test says
  headstart predict inbox/ --model registry/model     # with the model that stands

Both models were chosen on validation images. With --split test, images that chose nothing judge them; a test split that decides
often wears out.
"""


_SOURCES = """\
List the source models that can be used: parameters, GFLOPs (multiply-adds) of an image at the input size, published ImageNet-1k top-1
accuracy, licence of the weights, download, and whether they are on this machine already. Any name here may be a candidate in params.yaml.

PATTERN is a name, a name with * or ?, or a part of one without its kind; all sources if none is given. What is not known is within no bound.
Checkpoints are those in registry/sources/, and those that a PATTERN names by their path.
"""

_SOURCES_EXAMPLES = """\
examples:
  headstart sources --here
  headstart sources mobilenet --max-gflops 0.5
  headstart sources 'timm:convnext_*' --max-parameters 30 --licence apache-2.0 --licence mit
  headstart run --set 'select_source.candidates=["timm:convnext_*"]' --set select_source.max_parameters=30
"""

_RUNS = """\
Past runs, the newest first: when, name, version of the images, source, test accuracy, whether transfer helped, and what became of
it. They are DVC experiments (`dvc exp list`), one for each run that changed something, and the runs of this checkout that failed.
"""

_RUNS_EXAMPLES = """\
examples:
  headstart runs
  headstart runs --compare 1a2b3c4d-efficientnet_lite0-amber-fox 1a2b3c4d-efficientnet_lite1-calm-otter
  headstart runs --json | jq -r '.[] | select(.accuracy > 0.9) | .name'
"""

_RESTORE = """\
Bring parameters, images, models and reports back to what they were after RUN. What is here now is kept as an experiment first,
whose name is printed: restoring that brings it back. Data and weights that this machine does not have come from the DVC remote.
Nothing is committed, and code stays as it is: where a stage's code has changed since, you are told.
"""

_RESTORE_EXAMPLES = """\
examples:
  headstart restore 1a2b3c4d-efficientnet_lite0-amber-fox
  headstart predict photo.jpg              # with the model of that run
"""

_UP = """\
Start a Prefect server on 127.0.0.1, a work pool, the deployments of prefect.yaml and a worker for this checkout, and print the address of
the UI. They run on until `headstart down`. Called again, it starts what died, and registers deployments that changed. From then on
`headstart run` in this checkout talks to that server.
"""

_UP_EXAMPLES = """\
examples:
  headstart up
  headstart up --port 4300                            # where several checkouts share a machine
"""

_DOWN = """\
Stop the worker, then the server. Refused (exit code 4) while a flow run is running. Runs that wait, and schedules, go on after the
next `headstart up`.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = parser().parse_args(argv)
    try:
        with _sigterm_interrupts():
            code: int = options.command(options)
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `headstart predict ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: {_message(error)}", file=sys.stderr)
        return error.exit_code if isinstance(error, HeadstartError) else 1


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    debug = os.environ.get("HEADSTART_DEBUG", "") not in ("", "0")
    common.add_argument("--debug", action="store_true", default=debug, help="show tracebacks (also: HEADSTART_DEBUG=1)")
    shape: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "parents": [common]}
    root = argparse.ArgumentParser("headstart", description=_OVERVIEW, epilog=_EXIT_CODES, formatter_class=shape["formatter_class"])
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)

    add = commands.add_parser("import", help="replace the data set", description=_IMPORT, epilog=_IMPORT_EXAMPLES, **shape)
    which = add.add_mutually_exclusive_group(required=True)
    which.add_argument("source", metavar="SOURCE", nargs="?", help="a folder, a .zip or .tar, torchvision:NAME, or demo")
    which.add_argument("--update", action="store_true", help="import again what the images came from, which may have changed")
    add.add_argument("--labels", metavar="FILE.csv", type=Path, help="labels of the files below SOURCE: columns path,label[,split]")
    add.set_defaults(command=_import)

    run = commands.add_parser("run", help="run the pipeline", description=_RUN, epilog=_RUN_EXAMPLES, **shape)
    run.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="assignments", help="change a parameter first; repeatable"
    )
    run.add_argument("--force", action="store_true", help="run every stage, changed or not")
    run.set_defaults(command=_run)

    show = commands.add_parser("show", help="show the result", description="Show the result of the last run.", **shape)
    show.add_argument("--json", action="store_true", help="print reports/metrics.json as it is")
    show.set_defaults(command=_show)

    predict = commands.add_parser("predict", help="label images", description=_PREDICT, epilog=_PREDICT_EXAMPLES, **shape)
    predict.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="an image, or a folder of images")
    predict.add_argument("--model", type=Path, default=Path("models/final"), help="folder of the model (default: %(default)s)")
    predict.set_defaults(command=_predict)

    develop = commands.add_parser(
        "develop", help="train a source model of your own", description=_DEVELOP, epilog=_DEVELOP_EXAMPLES, **shape
    )
    develop.add_argument("source", metavar="SOURCE_DATA", help="a folder, a .zip or .tar, torchvision:NAME, or demo")
    develop.add_argument("--labels", metavar="FILE.csv", type=Path, help="labels of the files below SOURCE_DATA, as for import")
    develop.add_argument("--name", help="name of the source model (default: that of SOURCE_DATA)")
    develop.add_argument("--from", metavar="START", dest="start", help="random weights, or a candidate as in params.yaml (default: random)")
    develop.add_argument(
        "--architecture", metavar="LIBRARY:NAME", help="what to train from random weights (default: timm:tf_efficientnet_lite0)"
    )
    develop.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="assignments", help="change a parameter first; repeatable"
    )
    develop.add_argument("--force", action="store_true", help="register it even if it does not beat the baselines")
    develop.set_defaults(command=_develop)

    sources = commands.add_parser("sources", help="list the source models", description=_SOURCES, epilog=_SOURCES_EXAMPLES, **shape)
    sources.add_argument("patterns", metavar="PATTERN", nargs="*", help="timm:convnext_*, torchvision:resnet50, mobilenet, ...")
    sources.add_argument("--max-parameters", metavar="M", type=float, help="at most so many million parameters")
    sources.add_argument("--max-gflops", metavar="G", type=float, help="at most so many GFLOPs an image")
    sources.add_argument("--licence", metavar="L", action="append", dest="licences", help="only weights with this licence; repeatable")
    sources.add_argument("--here", action="store_true", help="only what is on this machine")
    sources.add_argument("--all-figures", action="store_true", help="count parameters and GFLOPs of all that is listed")
    sources.add_argument("--json", action="store_true", help="print a JSON list")
    sources.set_defaults(command=_sources)

    promote = commands.add_parser(
        "promote", help="keep the model, unless it is worse", description=_PROMOTE, epilog=_PROMOTE_EXAMPLES, **shape
    )
    promote.add_argument(
        "--split", choices=("validation", "test"), default="validation", help="images to compare on (default: %(default)s)"
    )
    promote.add_argument("--registry", type=Path, default=Path("registry"), help="folder of the registry (default: %(default)s)")
    promote.add_argument("--force", action="store_true", help="promote whatever the comparison says")
    promote.add_argument("--json", action="store_true", help="print the decision as it is recorded")
    promote.set_defaults(command=_promote)

    runs = commands.add_parser("runs", help="list past runs, compare two", description=_RUNS, epilog=_RUNS_EXAMPLES, **shape)
    runs.add_argument("--compare", metavar=("A", "B"), nargs=2, help="the parameters and metrics in which two runs differ")
    runs.add_argument("--json", action="store_true", help="print JSON")
    runs.set_defaults(command=_runs)

    restore = commands.add_parser("restore", help="go back to a past run", description=_RESTORE, epilog=_RESTORE_EXAMPLES, **shape)
    restore.add_argument("run", metavar="RUN", help="its name, as `headstart runs` prints it")
    restore.add_argument("--force", action="store_true", help="also where files here are on nobody's record and would be lost")
    restore.set_defaults(command=_restore)

    up = commands.add_parser("up", help="start a Prefect server and a worker", description=_UP, epilog=_UP_EXAMPLES, **shape)
    up.add_argument("--port", metavar="N", type=int, default=4200, help="port of a new server (default: %(default)s)")
    up.set_defaults(command=_up)

    down = commands.add_parser("down", help="stop them", description=_DOWN, **shape)
    down.add_argument("--force", action="store_true", help="end flow runs that are running; what they completed stays")
    down.set_defaults(command=_down)

    settings = commands.add_parser(
        "params", help="list the parameters", description="List every parameter: value, bounds, meaning.", **shape
    )
    settings.set_defaults(command=_params)
    return root


def _import(options: argparse.Namespace) -> int:
    from flows import data
    from headstart import lock

    _in_project()
    if options.update and options.labels:
        raise ParamsError("--update takes the labels from where they came from, too; leave out --labels")
    with lock.hold("headstart import"):
        before = data.version()
        summary = data.update() if options.update else data.replace(options.source, options.labels)
        same = data.version() == before
    splits = ", ".join(f"{name} {number:,}" for name, number in summary.splits.items()) or "none given, so they will be drawn"
    print(f"{summary.files:,} images in {len(summary.classes)} classes ({_few(summary.classes)}); splits: {splits}")
    if summary.skipped:
        print(f"left out {len(summary.skipped):,} files that no class folder or label covers: {_few(summary.skipped, 3)}")
    if summary.renamed:
        print(f"renamed {summary.renamed:,} files whose name was taken")
    print("these are the images that were here before; nothing changed" if same else "next: headstart run")
    return 0


def _run(options: argparse.Namespace) -> int:
    from headstart import lock, params

    _in_project()
    with lock.hold("headstart run"):
        from flows import data, server, show

        values = params.parse(options.assignments)
        params.write(values, dry=True)
        data.check()
        server.configure()
        print("starting Prefect", file=sys.stderr, flush=True)
        with server.chosen() as ready:
            from flows.transfer import ended, transfer  # imported while the server starts; Prefect reads its environment here

            ready()
            with _lines():  # after that import: it sets up logging anew
                outcomes, orphaned = _outlived(lambda: transfer(parameters=values, force=options.force), ended)
    for outcome in outcomes:
        print(f"{outcome['stage']} {outcome['outcome']} {outcome['seconds']:.1f}")
    print()
    print(show.summary())
    return _done(orphaned)


def _outlived(flow: Callable[[], Result], ended: list[Result]) -> tuple[Result, bool]:
    """What a flow returns, and whether the server died under it: what it returned is lost then, but not what it left in `ended`.

    Where it failed, what it failed with is raised, and not that nobody could be told.
    """
    from flows import server

    ended.clear()
    try:
        return flow(), False
    except Exception as error:
        if server.answers():
            raise
        if ended:
            print("warning: the Prefect server died; the run went through, and DVC has it", file=sys.stderr)
            return ended[-1], True
        cause: BaseException | None = error
        while cause and not isinstance(cause, HeadstartError):
            cause = cause.__context__
        raise cause or error from None


def _done(orphaned: bool) -> int:
    """End a run that went through."""
    if orphaned:
        sys.stdout.flush()
        os._exit(0)  # at an ordinary exit Prefect would try for minutes to reach the server
    return 0


def _show(options: argparse.Namespace) -> int:
    from flows import show

    sys.stdout.write(show.metrics_text() if options.json else show.summary() + "\n")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from flows import predict

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")
    for _ in predict.write(options.paths, options.model, sys.stdout):
        pass
    return 0


def _develop(options: argparse.Namespace) -> int:
    from flows import develop_folder, server
    from headstart import params

    _in_project()
    name = develop_folder.name_of(options.source, options.name)
    develop_folder.source_of(options.source)
    short = {"start": options.start, "architecture": options.architecture}
    values = {**{key: value for key, value in short.items() if value}, **params.parse(options.assignments)}
    develop_folder.change(name, values, dry=True)
    server.HOME.mkdir(parents=True, exist_ok=True)  # Prefect wants it when it is imported
    server.configure()
    print("starting Prefect", file=sys.stderr, flush=True)
    with server.chosen() as ready:
        from flows.develop import develop, ended  # imported while the server starts; Prefect reads its environment here

        ready()
        with _lines():  # after that import: it sets up logging anew
            labels = str(options.labels) if options.labels else None
            given: dict[str, Any] = {"name": name, "labels": labels, "parameters": values, "force": options.force}
            done, orphaned = _outlived(lambda: develop(options.source, **given), ended)
    for outcome in done["outcomes"]:
        print(f"{outcome['stage']} {outcome['outcome']} {outcome['seconds']:.1f}")
    print()
    print(develop_folder.summary(name, done["card"]))
    return _done(orphaned)


def _sources(options: argparse.Namespace) -> int:
    from flows import sources

    bounds = {name: getattr(options, name) for name in ("max_parameters", "max_gflops", "licences", "here", "all_figures")}
    found, remark = sources.find(options.patterns, **bounds)
    if options.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in found], indent=2, ensure_ascii=False))
    elif found:
        print(sources.table(found), flush=True)
    print(remark, file=sys.stderr)
    return 0


def _promote(options: argparse.Namespace) -> int:
    from flows import promote
    from headstart import devices, lock, params, promotion

    _in_project()
    with lock.hold("headstart promote"):
        values = params.load()
        device = devices.choose(values.device, values.precision)
        entry = promotion.promote(options.registry, split=options.split, force=options.force, device=device)
    print(json.dumps(entry, indent=2, ensure_ascii=False) if options.json else promote.describe(entry, options.registry))
    return 1 if entry["decision"] == "refused" else 0


def _runs(options: argparse.Namespace) -> int:
    from flows import runs

    _in_project()
    if options.compare:
        found = runs.compare(*options.compare)
        print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else runs.comparison(found))
        return 0
    known = runs.every()
    if options.json:
        print(json.dumps([dataclasses.asdict(run) for run in known], indent=2, ensure_ascii=False))
    elif known:
        print(runs.table(known), flush=True)
    print(runs.remark(known), file=sys.stderr)
    return 0


def _restore(options: argparse.Namespace) -> int:
    from flows import restore
    from headstart import lock

    _in_project()
    with lock.hold("headstart restore"):
        print(restore.restore(options.run, force=options.force, say=lambda line: print(line, file=sys.stderr, flush=True)))
    return 0


def _up(options: argparse.Namespace) -> int:
    from flows import operate, server

    _in_project()
    server.own()
    print("starting Prefect", file=sys.stderr, flush=True)
    print(operate.up(options.port))
    return 0


def _down(options: argparse.Namespace) -> int:
    from flows import operate, server

    _in_project()
    server.own()
    print(operate.down(options.force))
    return 0


def _params(options: argparse.Namespace) -> int:
    from headstart import params

    print(params.describe(params.load()))
    return 0


def _in_project() -> None:
    missing = [name for name in ("params.yaml", "dvc.yaml", ".dvc") if not Path(name).exists()]
    if missing:
        raise HeadstartError(f"this is not the root of a Headstart project ({', '.join(missing)} missing here); change to it first")


def _few(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _message(error: Exception) -> str:
    if isinstance(error, HeadstartError):
        return str(error)
    if isinstance(error, PermissionError):
        return f"no permission: {error.filename or error}"
    return f"{type(error).__name__}: {error} (HEADSTART_DEBUG=1 shows where)"


@contextlib.contextmanager
def _lines() -> Iterator[None]:
    """Show the lines that a run logs, and nothing else of what Prefect logs, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: getattr(record, "headstart", False))
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    logging.getLogger("prefect._internal.concurrency").setLevel(logging.CRITICAL)  # it has a handler of its own, for a server that is away
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that children are ended and locks released."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


if __name__ == "__main__":
    sys.exit(main())
