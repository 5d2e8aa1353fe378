"""What commands share: how they are added, where they may run, and how a flow runs under them."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from headstart.machinery.errors import HeadstartError

if TYPE_CHECKING:
    from flows.repository import dvc

Run = Callable[[argparse.Namespace], int]  # does a command, and returns its exit code
Result = TypeVar("Result")


PROJECT = ("params.yaml", "dvc.yaml", ".dvc")  # what the root of every project holds


class Commands:
    """The commands of a command line. Each prints its texts as laid out, and takes --debug."""

    def __init__(self, root: argparse.ArgumentParser) -> None:
        debug = os.environ.get("HEADSTART_DEBUG", "") not in ("", "0")
        self._shared = argparse.ArgumentParser(add_help=False)
        self._shared.add_argument("--debug", action="store_true", default=debug, help="show tracebacks (also: HEADSTART_DEBUG=1)")
        self._parsers = root.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(self, name: str, run: Run, *, help: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
        """Add a command that does `run`. Returns its parser, which wants its arguments."""
        parser = self._parsers.add_parser(
            name,
            help=help,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[self._shared],
        )
        parser.set_defaults(command=run, parser=parser)
        return parser


def number(text: str, least: int, most: int) -> int:
    """A whole number within bounds. Raises argparse.ArgumentTypeError, which says these, for anything else."""
    if re.fullmatch("[0-9]{1,9}", text) and least <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number from {least:,} to {most:,}")


def in_project() -> None:
    """Raise HeadstartError, which says what to do, unless the current folder is the root of a project."""
    here = Path.cwd()
    missing = _missing(here)
    if not missing:
        return
    above = next((folder for folder in here.parents if not _missing(folder)), None)
    remedy = f"change to {above}, which is" if above else "change to one, or make one with `headstart new DIR`"
    raise HeadstartError(f"this is not the root of a Headstart project ({', '.join(missing)} missing here); {remedy}")


def _missing(folder: Path) -> list[str]:
    """What a folder lacks of the root of a project."""
    return [name for name in PROJECT if not (folder / name).exists()]


def few(names: Sequence[str], most: int = 10) -> str:
    """The first names, and dots if there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@contextlib.contextmanager
def lines() -> Iterator[None]:
    """Show the lines that a run logs, and nothing else of what Prefect logs, on standard error."""
    from flows.server import internals

    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: getattr(record, "headstart", False))
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    internals.silence_threads()
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def outlived(flow: Callable[[], Result], ended: list[Result]) -> tuple[Result, bool]:
    """What a flow returns, and whether the server died under it.

    What it returned is lost then, but not what it left in `ended`. If it failed, what it failed with is raised, and not that nobody
    could be told.
    """
    from flows.server import servers

    ended.clear()
    try:
        return flow(), False
    except Exception as error:
        if servers.answers():
            raise
        if ended:
            print("warning: the Prefect server died; the run went through, and DVC has it", file=sys.stderr)
            return ended[-1], True
        cause: BaseException | None = error
        while cause and not isinstance(cause, HeadstartError):
            cause = cause.__context__
        raise cause or error from None


def print_outcomes(outcomes: Sequence[dvc.Outcome]) -> None:
    """Print what became of each stage, one per line, and an empty line."""
    for outcome in outcomes:
        print(f"{outcome['stage']} {outcome['outcome']} {outcome['seconds']:.1f}")
    print()


def done(orphaned: bool) -> int:
    """The exit code of a run that went through; ends the process if its server died."""
    if orphaned:
        sys.stdout.flush()
        os._exit(0)  # at an ordinary exit Prefect would try for minutes to reach the server
    return 0
