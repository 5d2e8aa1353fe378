"""What the processes of a team do in tests. Imports little, as each process that is spawned imports it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch

from headstart.base.devices import CPU
from headstart.training import parallel
from headstart.training.parallel import Team
from tests import PATIENCE


def tensors(rank: int) -> list[torch.Tensor]:
    """Tensors of several shapes and layouts, other values in each process."""
    values = torch.arange(24, dtype=torch.float32) * 10**rank
    return [values[:24].view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last), values[:6].view(2, 3).t(), values[3], values[:0]]


def add_up(team: Team) -> list[torch.Tensor]:
    mine = tensors(team.rank)
    team.add(mine)
    team.add([])
    return mine


def adding(team: Team, folder: Path) -> None:
    torch.save(add_up(team), folder / f"{team.rank}.pt")


def ends(team: Team, code: int) -> None:
    add_up(team)
    os._exit(code)


def fails(team: Team) -> None:
    raise ValueError("no space left")


def waits(team: Team, path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(10 * PATIENCE)


def eventually(true: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def number(path: Path) -> int:
    """The number in a file that another process is about to write."""
    assert eventually(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


def first_that_is_killed(path: Path) -> None:
    with parallel.team(2, CPU, waits, path):
        number(path)
        os.kill(os.getpid(), signal.SIGKILL)


class Unreadable:
    """What the other process cannot unpickle."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return unreadable, ()


def unreadable() -> None:
    raise OSError("not here")
