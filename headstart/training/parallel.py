"""Several processes that train one network, each on its part of every batch.

torch.distributed adds their gradients. The process that starts the team is its rank 0; the others run a function of their own until it
returns. NCCL between GPUs, gloo between CPUs. Where the executor is a Ray cluster, other machines take what this one has no card for, or no
CPU; which machine a process is on changes no result.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed import distributed_c10d

from headstart.base import devices, executor, processes
from headstart.base.devices import Device
from headstart.base.executor import Elsewhere
from headstart.machinery.errors import HeadstartError, ParamsError

_DECIDE = ("headstart.training", "headstart.features", "headstart.networks")  # what a result depends on


@dataclass(frozen=True)
class Team:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1
    card: int = 0  # of its machine, if it computes on one

    def add(self, tensors: list[torch.Tensor]) -> None:
        """Add up each tensor (of one type and device) over the team, in place, in one exchange."""
        if self.size > 1 and tensors:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            distributed.all_reduce(flat)
            for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))


ALONE = Team()


def size(wanted: int | str, device: Device) -> int:
    """How many processes `wanted` means: a number, or auto: one per GPU of this machine and of the cluster, one on the CPU.

    Raises ParamsError for more than there are GPUs.
    """
    cards = device.kind == "cuda"
    there = len(device.all()) + (executor.others(gpus=1) if cards else 0)
    if wanted == "auto":
        return there
    if cards and int(wanted) > there:
        raise ParamsError(f"fine_tune.processes: {wanted} processes need as many GPUs, and {there} are here; use auto")
    return int(wanted)


@contextlib.contextmanager
def team(count: int, device: Device, member: Callable[..., None], *arguments: Any) -> Iterator[Team]:
    """Start `count` - 1 processes that call `member(Team, *arguments)`, and be rank 0 of them.

    All of it must be picklable. Raises HeadstartError if one of them fails. They end when this process does.
    """
    if count == 1:
        yield ALONE
        return
    away = executor.elsewhere(count - len(device.all()), depends=_DECIDE, gpus=int(device.kind == "cuda"))
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        meeting = f"tcp://{executor.address()}:{_free_port()}" if away else (Path(folder) / "meeting").as_uri()
        spawn = multiprocessing.get_context("spawn")
        pipes = [spawn.Pipe(duplex=False) for _ in range(1, count - len(away))]
        mates = [
            spawn.Process(target=_mate, args=(Team(rank, count, rank), device, meeting, ready, member, arguments), daemon=True)
            for rank, (_, ready) in enumerate(pipes, 1)
        ]
        try:
            _start(mates, pipes)
            for rank, one in enumerate(away, count - len(away)):
                one.begin(_member, Team(rank, count), device, meeting, member, arguments)
            _join(Team(0, count), device, meeting)
            yield Team(0, count)
            for mate in mates:
                mate.join()
            _all_done(away)
        except RuntimeError as error:  # what torch.distributed raises when a mate is gone
            _all_done(away, 5.0)
            if not connection.wait([mate.sentinel for mate in mates], timeout=5):
                raise
            raise HeadstartError(f"{_gone(mates)}: {str(error).splitlines()[0]}") from error
        finally:
            for mate in mates:
                if mate.pid is not None:
                    mate.kill()
                    mate.join()
            for one in away:
                one.end()
            if distributed.is_initialized():
                distributed.destroy_process_group()
        if any(mate.exitcode for mate in mates):
            raise HeadstartError(_gone(mates))


def _start(mates: list[SpawnProcess], pipes: list[tuple[connection.Connection, connection.Connection]]) -> None:
    """Start the processes, and wait until each is ready. Raises HeadstartError if one ends before the team meets."""
    for mate, (here, ready) in zip(mates, pipes, strict=True):
        mate.start()
        ready.close()
        if here not in connection.wait([here, mate.sentinel]) or not _said(here):
            mate.join()
            raise HeadstartError(_gone(mates))


def _all_done(away: list[Elsewhere], seconds: float | None = None) -> None:
    """Wait for the processes on other machines, at most so long. Raises HeadstartError if one of them has failed."""
    failures = [failure for one in away if (failure := one.failure(seconds))]
    if failures:
        raise HeadstartError(
            f"a process of the team stopped on another machine ({'; '.join(failures)}); run again: the training goes on from its last checkpoint"
        )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


def _said(here: connection.Connection) -> bool:
    """Whether a process said that it is ready; false if it ended instead."""
    try:
        return bool(here.recv())
    except EOFError:
        return False


def _join(place: Team, device: Device, meeting: str) -> None:
    if device.kind == "cuda":
        devices.steady()
        torch.cuda.set_device(place.card)
    backend = "nccl" if device.kind == "cuda" else "gloo"
    try:
        distributed.init_process_group(backend, init_method=meeting, rank=place.rank, world_size=place.size)
    except BaseException:
        # PyTorch has counted the team that did not meet, and names the next one by the count: the others would not find it.
        distributed_c10d._world.group_count = 0
        raise


def _mate(
    place: Team,
    device: Device,
    meeting: str,
    ready: connection.Connection,
    member: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    processes.end_with_parent()
    ready.send(True)
    _member(place, device, meeting, member, arguments)


def _member(place: Team, device: Device, meeting: str, member: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """What each process but the first does."""
    logging.disable(logging.WARNING)  # rank 0 says it
    _join(place, device, meeting)
    try:
        member(place, *arguments)
    finally:  # the others do not wait for who has failed; and its threads, still running as the interpreter ends, would abort the process
        distributed.destroy_process_group()


def _gone(mates: list[SpawnProcess]) -> str:
    codes = ", ".join(f"rank {rank}: {mate.exitcode}" for rank, mate in enumerate(mates, 1) if mate.pid is not None)
    return f"a process of the team stopped (exit codes {codes}); its own message is above"
