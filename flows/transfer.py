"""The Prefect flow: one task per stage, each of which lets DVC reproduce that stage. `headstart run` runs it in its own process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Task, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from flows import data, dvc
from headstart import lock, params
from headstart.errors import DataError, HeadstartError
from tasks import stage

LINE = {"headstart": True}  # marks log records that are lines of the run, so that the terminal can show them and nothing else


def task_of(name: str, description: str | None = None) -> Task[..., dvc.Outcome]:
    """The Prefect task of a stage."""

    @task(name=name, description=description, cache_policy=NO_CACHE)
    def reproduce(force: bool, after: dvc.Outcome | None) -> dvc.Outcome:
        try:
            return dvc.repro(name, force=force, say=say_to_log())  # `after` only draws the line between the tasks
        except HeadstartError as error:
            get_run_logger().error(str(error))  # no line of the run: the command line ends with it
            raise

    return reproduce


TASKS = {name: task_of(name, params.Params.model_fields[name].annotation.__doc__) for name in params.STAGES}


@flow(name="transfer")
def transfer(parameters: dict[str, Any] | None = None, force: bool = False) -> list[dvc.Outcome]:
    """Run the stages top to bottom; those whose inputs did not change are skipped.

    `parameters` maps dotted names ("fine_tune.epochs") to values that are written to params.yaml first. `force` runs every stage.
    Returns what became of each stage. Raises HeadstartError of the kind that the failed stage raised.
    """
    say = say_to_log()
    with lock.hold("headstart run"):
        for change in params.write(parameters or {}):
            say(change)
        params.load()
        data.record(say)
        before = stage.fingerprint(data.IMAGES)
        outcomes: list[dvc.Outcome] = []
        for name, reproduce in TASKS.items():
            say(f"[{len(outcomes) + 1}/{len(TASKS)}] {name}")
            outcomes.append(reproduce(force, outcomes[-1] if outcomes else None))
        if stage.fingerprint(data.IMAGES) != before:
            raise DataError(f"{data.IMAGES} changed during the run; the result describes the images as they were before: run again")
    return outcomes


def say_to_log() -> Callable[[str], None]:
    """Write a line to the log of the flow run or task run that we are in."""
    log = get_run_logger()
    return lambda line: log.info(line, extra=LINE)
