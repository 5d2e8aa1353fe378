"""The model of a past run, without changing what is here: for `headstart try RUN`."""

from __future__ import annotations

from pathlib import Path

from flows.experiments import runs
from flows.repository import dvc
from headstart.base import outputs
from headstart.machinery.errors import HeadstartError
from tasks import stage

FOLDER = stage.STATE / "tried"  # a folder per run; deleting it costs only time
FINAL = "models/final"


def of_run(name: str, say: dvc.Say | None = None) -> Path:
    """The folder of the model that the run meant by `name` made, fetched from DVC's cache or its remote if it is not there yet.

    Raises ParamsError if no such run was kept, HeadstartError if its model cannot be had.
    """
    run = runs.find(name)
    folder = FOLDER / str(run.commit)[:16]
    if (folder / "card.json").is_file():
        return folder
    with outputs.whole(folder) as temporary:
        try:
            dvc.call("get", ".", FINAL, "--rev", str(run.commit), "--out", str(temporary), say=say)
        except dvc.DvcError as error:
            raise HeadstartError(f"the model of {run.name} cannot be had: {error}") from None
    return folder
