"""What the deployments of prefect.yaml run.

They are the flows of the command line, behind forms for the Prefect UI, under a worker.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, runtime
from pydantic import Field

from flows.experiments import recovery
from flows.forms import given
from flows.forms.schema import DevelopForm, TransferForm, values
from flows.pipeline import artifacts
from flows.pipeline import develop as develop_module
from flows.pipeline import inbox as watched
from flows.pipeline import transfer as transfer_flow
from flows.repository import dvc
from flows.results import predict as predicting
from flows.results import predict_file
from flows.server import internals, registration
from headstart.base import outputs
from headstart.features.answered import Answer
from headstart.machinery import lock
from headstart.machinery.errors import BusyError
from headstart.params.presets import PRESETS
from headstart.words import formats
from tasks import stage

PAUSE = 5.0  # seconds between two tries to get the run lock
PREDICTED = stage.STATE / "predicted.json"  # by file of predictions, the fingerprint of the model that made it
LISTED = 200  # predictions that the table in the UI shows
AS_IT_IS, AS_THEY_ARE = TransferForm(), DevelopForm()  # forms with nothing given


@flow(name="transfer")
def transfer(
    parameters: TransferForm = AS_IT_IS,  # type: ignore[valid-type]
    preset: Literal["none", "fast", "best"] = "none",
    start_from: Literal["workspace", "committed"] = "workspace",
    force: bool = False,
    inbox: str = "",
    promote: bool = False,
) -> list[dvc.Outcome]:
    """Choose a source for the images, train, fine-tune, and say whether transfer helped.

    Stages whose inputs did not change are skipped.

    Args:
        parameters: Values for this run alone. An empty field means: as in params.yaml.
        preset: Several values in a word, for this run alone; those given above win. fast: a head on the frozen base, no race and no
            baseline. best: longer race and fine-tuning, and an established answer from five seeds.
        start_from: Which params.yaml the values are put into: the one in the workspace, or the one committed in git.
        force: Run every stage, changed or not.
        inbox: A folder whose images join the data set as a batch first, such as inbox; they are put aside in it. Empty: none.
        promote: Make the model of the run the current one in registry/ afterwards, unless it is worse, and say why.
    """
    say = transfer_flow.say_to_log()
    stop_with_worker()
    who = f"flow run {runtime.flow_run.name}"
    with waiting(who, say):
        recovery.recover(say)
        chosen = {**(PRESETS[preset] if preset != "none" else {}), **values(parameters)}
        with given.values(chosen, say, committed=start_from == "committed", who=who):
            if inbox:
                watched.take(Path(inbox), say)
            outcomes = transfer_flow.run(say, force=force)
            if promote:
                watched.promote(say)
            return outcomes


@flow(name="predict")
def predict(
    paths: Annotated[list[str], Field(min_length=1)],
    model: str = "models/final",
    out: str = "predictions.csv",
    only_new: bool = True,
) -> dict[str, int]:
    """Label images with a finished model and write a file of predictions.

    The file `out` gets the columns path, label, probability, error, unsure and unlike.

    Args:
        paths: Images, or folders that are searched for images, on the machine of the worker.
        model: Folder of the model, such as models/final (of the last run) or registry/model (the current one).
        out: The file to write, whole or not at all; with lines to add, line by line.
        only_new: Add the images that the file lacks, if it is from the same model. Else, and if the model is another one, all are labelled.
    """
    say = transfer_flow.say_to_log()
    stop_with_worker()
    found: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    kept = only_new and Path(out).suffix == ".csv" and Path(out).exists()
    there = kept and outputs.read_object(PREDICTED).get(out) == stage.fingerprint(Path(model))
    for answer in _added(paths, model, out) if there else _anew(paths, model, out):
        found[answer.label or "unreadable"] += 1
        if len(rows) < LISTED:
            rows.append({name: getattr(answer, name) for name in predicting.COLUMNS})
    say(f"{formats.count(found.total(), 'new file' if there else 'file')} labelled; see {out}")
    if found:
        artifacts.predictions(rows, found, say)
    return dict(found)


def _anew(paths: list[str], model: str, out: str) -> Iterator[Answer]:
    """Label all images; the file is written whole or not at all."""
    with outputs.whole(Path(out)) as temporary, temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield from predicting.write([Path(path) for path in paths], Path(model), file)
    stage.note(PREDICTED, {**outputs.read_object(PREDICTED), out: stage.fingerprint(Path(model))})


def _added(paths: list[str], model: str, out: str) -> Iterator[Answer]:
    """Label the images that the file lacks."""
    return predict_file.write([Path(path) for path in paths], Path(model), Path(out), resume=True)


@flow(name="develop")
def develop(
    source_data: str,
    name: str = "",
    labels: str = "",
    parameters: DevelopForm = AS_THEY_ARE,  # type: ignore[valid-type]
    force: bool = False,
) -> develop_module.Developed:
    """Train a source model on a task with many images, and register it if it beats naive baselines.

    It is registered in registry/sources/.

    Args:
        source_data: What `headstart import` takes: a folder, a .zip or .tar, torchvision:NAME, demo or digits.
        name: Name of the source model. Empty: that of the source data.
        labels: A CSV file with the columns path,label[,split], for the files below the source data. Empty: none.
        parameters: Values that are written first, and stay. An empty field means: as in develop/NAME/.
        force: Register it even if it does not beat the baselines.
    """
    stop_with_worker()
    return develop_module.develop.fn(source_data, name=name or None, labels=labels or None, parameters=values(parameters), force=force)


def stop_with_worker() -> None:
    """Under a worker, end when it dies: nobody else could cancel us then, or say that we crashed."""
    if internals.begun_by_worker():
        stage.die_with_parent()
        registration.be_heard()


@contextlib.contextmanager
def waiting(who: str, say: dvc.Say) -> Iterator[None]:
    """Hold the run lock; while another run holds it, wait."""
    with contextlib.ExitStack() as held:
        told = ""
        while True:
            try:
                held.enter_context(lock.hold(who))
                break
            except BusyError as error:
                if str(error) != told:
                    say(f"waiting: {error}")
                told = str(error)
                time.sleep(PAUSE)
        yield
