"""The Prefect flow that develops a source model in a directory of its own, and registers it. `headstart develop` runs it in its own process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import Task, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from flows import data, develop_folder, dvc
from flows.transfer import LINE
from headstart import lock
from headstart.errors import HeadstartError


def _task(name: str) -> Task[..., dvc.Outcome]:
    @task(name=name, cache_policy=NO_CACHE)
    def reproduce(after: dvc.Outcome | None) -> dvc.Outcome:
        try:
            return dvc.repro(name, say=_say())  # `after` only draws the line between the tasks
        except HeadstartError as error:
            get_run_logger().error(str(error))  # no line of the run: the command line ends with it
            raise

    return reproduce


TASKS = {name: _task(name) for name in develop_folder.STAGES}


@flow(name="develop")
def develop(
    source_data: str, name: str | None = None, labels: str | None = None, parameters: dict[str, Any] | None = None, force: bool = False
) -> dict[str, Any]:
    """Train a source model on `source_data` in develop/NAME/, and register it in registry/sources/NAME/ if it beats naive baselines.

    `source_data` and `labels` are what `headstart import` takes. `parameters` maps names ("start", "epochs", "index_images.test_share") to
    values that are written first. Returns the name, the card, and what became of each stage. Raises HeadstartError of the kind that the failed
    stage raised.
    """
    say = _say()
    name = develop_folder.name_of(source_data, name)
    source = develop_folder.source_of(source_data)
    table = Path(labels).resolve() if labels else None
    folder = develop_folder.prepare(name)
    with lock.hold("headstart develop", folder / lock.PATH):
        for change in develop_folder.change(name, parameters or {}):
            say(change)
        outcomes: list[dvc.Outcome] = []
        with contextlib.chdir(folder):
            say(f"[0/{len(TASKS)}] import")
            data.replace(source, table)
            for stage, reproduce in TASKS.items():
                say(f"[{len(outcomes) + 1}/{len(TASKS)}] {stage}")
                outcomes.append(reproduce(outcomes[-1] if outcomes else None))
        return {"name": name, "card": develop_folder.register(name, force=force), "outcomes": outcomes}


def _say() -> Callable[[str], None]:
    """Write a line to the log of the flow run or task run that we are in."""
    log = get_run_logger()
    return lambda line: log.info(line, extra=LINE)
