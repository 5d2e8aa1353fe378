"""What commands share: where they may run, lines of a run on the terminal, and a flow whose server may die."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from headstart.machinery.errors import HeadstartError

Commands = Any  # what argparse makes of add_subparsers
Result = TypeVar("Result")


PROJECT = ("params.yaml", "dvc.yaml", ".dvc")  # what the root of every project holds


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


def few(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@contextlib.contextmanager
def lines() -> Iterator[None]:
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


def outlived(flow: Callable[[], Result], ended: list[Result]) -> tuple[Result, bool]:
    """What a flow returns, and whether the server died under it: what it returned is lost then, but not what it left in `ended`.

    Where it failed, what it failed with is raised, and not that nobody could be told.
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


def done(orphaned: bool) -> int:
    """End a run that went through."""
    if orphaned:
        sys.stdout.flush()
        os._exit(0)  # at an ordinary exit Prefect would try for minutes to reach the server
    return 0
