"""headstart.parallel: several processes add up what each has; where one ends too early, all end and it is said."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.distributed import distributed_c10d

from flows.repository import child
from headstart.base.devices import CPU, Device
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.training import parallel
from headstart.training.parallel import ALONE, Team
from tests import PATIENCE
from tests.training.mates import Unreadable, add_up, adding, ends, eventually, fails, first_that_is_killed, number, tensors, waits
from tests.training.tails import in_a_process

GPUS = Device("cuda", "bfloat16")


@pytest.mark.parametrize(
    ("wanted", "device", "count"), [("auto", CPU, 1), (1, CPU, 1), (3, CPU, 3), ("auto", GPUS, 2), (1, GPUS, 1), (2, GPUS, 2)]
)
def test_as_many_processes_as_are_asked_for_or_one_a_device(
    wanted: int | str, device: Device, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert parallel.size(wanted, device) == count


def test_no_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ParamsError, match=r"fine_tune\.processes: 3 processes need as many GPUs, and 2 are here; use auto"):
        parallel.size(3, GPUS)


def test_one_process_is_no_team() -> None:
    with parallel.team(1, CPU, lambda *_: pytest.fail("called")) as team:
        assert team is ALONE
        alone = [torch.ones(2), torch.zeros(3)]
        team.add(alone)
        assert [tensor.tolist() for tensor in alone] == [[1, 1], [0, 0, 0]]
    assert not distributed.is_initialized()


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert eventually(lambda: multiprocessing.active_children() == [])
    assert not distributed.is_initialized()


@pytest.mark.usefixtures("forked")
def test_every_process_gets_the_sum(tmp_path: Path) -> None:
    with parallel.team(2, CPU, adding, tmp_path) as team:
        assert team == Team(0, 2)
        ours = add_up(team)
    expected = [mine + other for mine, other in zip(tensors(0), tensors(1), strict=True)]
    for found in (ours, torch.load(tmp_path / "1.pt")):
        for tensor, value, mine in zip(found, expected, tensors(0), strict=True):
            assert torch.equal(tensor, value)
            assert tensor.stride() == mine.stride()


@pytest.mark.usefixtures("forked")
def test_a_team_meets_after_one_that_did_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of its processes may have ended while they met."""

    def gone(*_: object, **__: object) -> None:
        raise RuntimeError("Connection closed by peer")

    with monkeypatch.context() as patch:
        patch.setattr(distributed_c10d, "_new_process_group_helper", gone)
        with pytest.raises(RuntimeError, match="closed by peer"), parallel.team(2, CPU, adding, tmp_path):
            pass
    met: list[bool] = []

    def meet() -> None:
        with parallel.team(2, CPU, adding, tmp_path) as team:
            add_up(team)
        met.append(True)

    thread = threading.Thread(target=meet, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert met


@pytest.mark.usefixtures("forked")
def test_a_process_that_ends_badly_is_an_error_even_where_nobody_needs_it() -> None:
    with (
        pytest.raises(HeadstartError, match=r"a process of the team stopped \(exit codes rank 1: 3\)"),
        parallel.team(2, CPU, ends, 3) as team,
    ):
        add_up(team)


def test_a_process_that_fails_says_why_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HeadstartError, match="its own message is above"), parallel.team(2, CPU, fails) as team:
        add_up(team)
    assert "ValueError: no space left" in capfd.readouterr().err


@pytest.mark.usefixtures("forked")
def test_an_error_of_the_first_process_ends_the_others(tmp_path: Path) -> None:
    def first() -> None:
        with parallel.team(2, CPU, waits, tmp_path / "pid"):
            number(tmp_path / "pid")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        first()
    assert eventually(lambda: not child.alive(number(tmp_path / "pid")))


@pytest.mark.usefixtures("forked")
def test_the_others_end_when_the_first_is_killed(tmp_path: Path) -> None:
    """The first is forked, the other is spawned."""
    assert in_a_process(first_that_is_killed, tmp_path / "pid") == -signal.SIGKILL
    assert eventually(lambda: not child.alive(number(tmp_path / "pid")))


@pytest.mark.usefixtures("forked")
def test_a_process_that_ends_before_they_meet_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """And not half an hour of waiting for it."""
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            with parallel.team(2, CPU, adding, Unreadable()):
                pass
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert [type(error) for error in raised] == [HeadstartError]
