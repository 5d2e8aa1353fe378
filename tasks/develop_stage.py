"""How a stage that only develop directories have starts: as tasks.stage does it, but its parameters are those of source.yaml."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from headstart import lock, params, progress, source_params
from headstart.errors import DataError, HeadstartError, ParamsError
from tasks import stage


def run(function: Callable[..., None]) -> None:
    """Run a stage function as a process of its own, and exit with 0 or with the code of the error it raised."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    stage.die_with_parent()
    stage.die_with_run()
    try:
        with lock.hold(f"dvc repro, stage {function.__name__}"):
            _run(function)
    except HeadstartError as error:
        if lock.VARIABLE not in os.environ:  # a flow reads the note and says it, once
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(function: Callable[..., None]) -> None:
    """Run the function under the lock, and note how long it took, or why it failed."""
    name = function.__name__
    stage.FAILURE.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        _unchanged(function)
    except Exception as error:
        known = isinstance(error, HeadstartError)
        message = str(error) if known else f"stage {name} failed with {type(error).__name__}: {error}"
        stage.note(stage.FAILURE, {"stage": name, "exit_code": getattr(error, "exit_code", 1), "message": message})
        raise
    seconds = round(time.monotonic() - started, 2)
    stage.note(stage.STATE / "timings" / f"{name}.json", {"stage": name, "seconds": seconds, "work": progress.finished})


def _unchanged(function: Callable[..., None]) -> None:
    """Run the function; raises DataError or ParamsError if images or parameters changed meanwhile, which DVC hashes only afterwards."""
    images = inspect.signature(function).parameters["images"].default
    given, files = arguments(function), stage.fingerprint(images)
    function(**given)
    if stage.fingerprint(images) != files:
        raise DataError(f"{images} changed while {function.__name__} was reading it, so its result does not count: run again")
    if arguments(function) != given:
        raise ParamsError(f"the parameters changed while {function.__name__} was running, so its result does not count: run again")


def arguments(function: Callable[..., None]) -> dict[str, Any]:
    """The keyword-only arguments of a stage function, from source.yaml and the top of params.yaml."""
    known = {**params.load().model_dump(), **source_params.read().model_dump()}
    return {p.name: known[p.name] for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
