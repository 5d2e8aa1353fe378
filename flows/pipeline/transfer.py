"""The Prefect flow: one task per stage, each of which lets DVC reproduce that stage.

`headstart run` runs it in its own process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Task, flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.states import Completed

from flows.experiments import recovery, restore, save
from flows.forms import given
from flows.pipeline import artifacts, costs, estimate
from flows.projects import images
from flows.repository import dvc, warm
from headstart import params
from headstart.machinery import lock
from headstart.machinery.errors import DataError, HeadstartError
from headstart.params import project_code
from tasks import stage

LINE = {"headstart": True}  # marks log records that are lines of the run, so that the terminal can show them and nothing else
ended: list[list[dvc.Outcome]] = []  # of runs of this process that went through; what the flow returns can be lost with the server
BACKOFF = [20.0, 120.0]  # seconds before a stage is tried again, or a DVC remote asked again, under a deployment


def task_of(name: str, description: str | None = None) -> Task[..., dvc.Outcome]:
    """The Prefect task of a stage."""

    @task(
        name=name,
        description=description,
        cache_policy=NO_CACHE,
        retries=len(BACKOFF),
        retry_delay_seconds=BACKOFF,
        retry_condition_fn=passing,
    )
    def reproduce(force: bool, after: dvc.Outcome | None) -> Any:
        say = say_to_log()
        try:
            # `after` only draws the line between the tasks
            outcome = dvc.repro(name, force=force, say=artifacts.watched(name, say), events=artifacts.EVENTS)
        except HeadstartError as error:
            get_run_logger().error(str(error))  # no line of the run: the command line ends with it
            raise
        finally:
            artifacts.of_stage(name, say)
        return Completed(name="Cached", data=outcome) if outcome["outcome"] == "cached" else outcome

    return reproduce


def outcome_of(made: dvc.Outcome | State[dvc.Outcome]) -> dvc.Outcome:
    """What became of a stage, from what its task returned: the outcome, or a state that holds it."""
    return made.result() if isinstance(made, State) else made


def passing(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a stage that failed is to be tried again.

    Only under a deployment, as nobody is there to do it, and only after a failure that may pass.
    """
    error = state.data
    return bool(runtime.deployment.id) and isinstance(error, HeadstartError) and error.may_pass


TASKS = {name: task_of(name, params.Params.model_fields[name].annotation.__doc__) for name in params.STAGES}


@flow(name="transfer")
def transfer(parameters: dict[str, Any] | None = None, force: bool = False, keep: bool = False) -> list[dvc.Outcome]:
    """Run the stages top to bottom; those whose inputs did not change are skipped.

    `parameters` maps dotted names ("fine_tune.epochs") to values for this run, which the next one takes back; with `keep` they stay in
    params.yaml. `force` runs every stage.
    Returns what became of each stage. Raises HeadstartError of the kind that the failed stage raised.
    """
    say = say_to_log()
    with lock.hold("headstart run"):
        recovery.recover(say)
        with given.values({} if keep else parameters or {}, say, who="headstart run"):
            for change in params.write(parameters or {}) if keep else []:
                say(change)
            return run(say, force=force)


def run(say: dvc.Say, *, force: bool = False) -> list[dvc.Outcome]:
    """Have the images on record and run the stages on them. Returns what became of each.

    Call it under the run lock, after `recover`, with params.yaml as it is to be used. Raises HeadstartError.
    """
    project_code.check()
    wanted = params.load()
    costs.speed()  # while nothing else is started
    with warm.kept(), save.kept(lambda: runtime.flow_run.name or "run", say) as outcomes:
        if force or estimate.some_wait():
            warm.stages()
        pauses = BACKOFF if runtime.deployment.id else ()
        images.record(say, pauses)
        stage.check_aim(wanted.aim)
        restore.fetch_outputs(say, pauses)
        artifacts.rename(say)
        expected = estimate.tell(say, force=force)
        before, made = stage.fingerprint(images.IMAGES), None
        for name, reproduce in TASKS.items():
            say(f"[{len(outcomes) + 1}/{len(TASKS)}] {name}")
            made = reproduce(force, made)
            outcomes.append(outcome_of(made))
            estimate.note(expected.plain, outcomes[-1:])
            expected = estimate.left(say, expected, outcomes)
        if stage.fingerprint(images.IMAGES) != before:
            raise DataError(f"{images.IMAGES} changed during the run; the result describes the images as they were before: run again")
        artifacts.rename(say)
        artifacts.summary(outcomes, say)
    ended.append(outcomes)
    return outcomes


def say_to_log() -> Callable[[str], None]:
    """Write a line to the log of the flow run or task run that we are in."""
    log = get_run_logger()
    return lambda line: log.info(line, extra=LINE)
