"""How a stage that only develop directories have starts: as tasks.stage does it, but its parameters are those of source.yaml."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from headstart import params
from headstart.params import developing
from tasks import stage


def run(function: Callable[..., None]) -> None:
    """Run a stage function as a process of its own, and exit with 0 or with the code of the error it raised."""
    stage.run(function, arguments)


def arguments(function: Callable[..., None]) -> dict[str, Any]:
    """The keyword-only arguments of a stage function, from source.yaml and the top of params.yaml."""
    known = {**params.load().model_dump(), **developing.read().model_dump()}
    return {p.name: known[p.name] for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
