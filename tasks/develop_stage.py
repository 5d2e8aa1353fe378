"""How a stage that only develop directories have starts.

It starts as tasks.stage starts one, but its parameters are those of source.yaml.
"""

from __future__ import annotations

from collections.abc import Callable

from headstart import params
from headstart.params import Block, developing
from tasks import stage


def run(function: Callable[..., None]) -> None:
    """Run a stage function as a process of its own, and exit with a code.

    The code is 0, or that of the error the function raised.
    """
    stage.run(function, arguments)


def arguments(function: Callable[..., None]) -> dict[str, Block]:
    """The keyword-only arguments of a stage function.

    `block` is source.yaml, `shared` the top of params.yaml.
    """
    blocks: dict[str, Block] = {"block": developing.read(), "shared": params.load()}
    return {name: stage.narrowed(blocks[name], kind) for name, kind in stage.wanted(function).items()}
