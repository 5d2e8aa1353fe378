"""The Prefect flow that develops a source model in a directory of its own, and registers it.

`headstart develop` runs it in its own process.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, TypedDict

from prefect import flow

from flows.pipeline.transfer import outcome_of, say_to_log, task_of
from flows.projects import develop_folder, images
from flows.repository import dvc, warm
from headstart.machinery import lock

TASKS = {name: task_of(name) for name in develop_folder.STAGES}


class Developed(TypedDict):
    """A source that was developed, and what became of each stage.

    JSON types only: it is a Prefect result.
    """

    name: str
    card: dict[str, Any]
    outcomes: list[dvc.Outcome]


ended: list[Developed] = []  # what went through in this process; what the flow returns can be lost with the server


@flow(name="develop")
def develop(
    source_data: str, name: str | None = None, labels: str | None = None, parameters: dict[str, Any] | None = None, force: bool = False
) -> Developed:
    """Train a source model on `source_data` in develop/NAME/, and register it.

    It comes into registry/sources/NAME/ if it beats naive baselines, or with `force`. `source_data` and `labels` are what
    `headstart import` takes. `parameters` maps names ("start", "epochs", "index_images.test_share") to values that are written first.
    Returns the name, the card, and what became of each stage. Raises HeadstartError of the kind that the failed stage raised.
    """
    say = say_to_log()
    name = develop_folder.name_of(source_data, name)
    source = develop_folder.source_of(source_data)
    table = Path(labels).resolve() if labels else None
    folder = develop_folder.prepare(name)
    with lock.hold("headstart develop", folder / lock.PATH):
        for change in develop_folder.change(name, parameters or {}):
            say(change)
        outcomes: list[dvc.Outcome] = []
        made: Any = None
        with warm.kept(), contextlib.chdir(folder):
            warm.stages()
            say(f"[0/{len(TASKS)}] import")
            images.replace(source, table)
            for stage, reproduce in TASKS.items():
                say(f"[{len(outcomes) + 1}/{len(TASKS)}] {stage}")
                made = reproduce(False, made)
                outcomes.append(outcome_of(made))
        ended.append({"name": name, "card": develop_folder.register(name, force=force), "outcomes": outcomes})
    return ended[-1]
