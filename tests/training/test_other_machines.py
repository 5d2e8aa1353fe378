"""Trainings over several machines: the bytes of one, and an error that names the machine if one stops. Slow: Ray starts two nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from headstart.base import executor
from headstart.base.devices import CPU
from headstart.machinery.errors import HeadstartError
from headstart.networks import sources
from headstart.training import parallel
from headstart.training.parallel import Team
from tests import tiny
from tests.training import test_fine_tuning
from tests.training.mates import add_up, adding, eventually, fails
from tests.two_machines import Machines

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # the warnings are Ray's own


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def two_again(machines: Machines) -> None:
    """Have two machines, and the cluster know that a third one is dead."""
    machines.revive()
    with executor.using("ray"):
        assert eventually(lambda: executor.others() == 1)


def ray_node() -> str:
    import ray

    found: str = ray.get_runtime_context().get_node_id()
    return found


def where(team: Team, folder: Path) -> None:
    torch.save({"sums": add_up(team), "node": ray_node()}, folder / f"{team.rank}.pt")


def until_killed(team: Team, machines: Machines) -> None:
    add_up(team)
    machines.kill()
    adding_often(team, Path())


def adding_often(team: Team, folder: Path) -> None:
    for _ in range(1000):
        add_up(team)


def test_a_training_goes_on_machines_together_and_the_result_is_that_of_one(machines: Machines, here: Path) -> None:
    two_again(machines)
    with executor.using("ray"):
        assert executor.others() == 1
        with parallel.team(2, CPU, where, here) as team:
            ours = add_up(team)
    there = torch.load(here / "1.pt")
    assert [tensor.tolist() for tensor in there["sums"]] == [tensor.tolist() for tensor in ours]
    assert there["node"] != ray_node(), "the second process was on the other machine"
    with parallel.team(2, CPU, adding, here) as team:
        alone = add_up(team)
    assert [tensor.tolist() for tensor in alone] == [tensor.tolist() for tensor in ours]


def test_fine_tuning_on_two_machines_leaves_the_bytes_of_one(machines: Machines, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_again(machines)
    table = tiny.table(here / "photos", per_class=10, size=48)
    card = sources.load(tiny.checkpoint(Path("source"))).card()

    def weights() -> dict[str, bytes]:
        done = test_fine_tuning.tune(card, (here / "photos", table), processes=2)[0]
        assert (done.summary["processes"], done.best) != (1, 0)
        return {key: value.numpy().tobytes() for key, value in done.network.weights().items()}

    alone = weights()
    with executor.using("ray"):
        assert weights() == alone


def test_a_machine_that_dies_ends_the_training_and_is_named(machines: Machines, here: Path) -> None:
    two_again(machines)
    with (
        executor.using("ray"),
        pytest.raises(HeadstartError, match=r"a process of the team stopped on another machine .*goes on from its last checkpoint"),
        parallel.team(2, CPU, adding_often, here) as team,
    ):
        until_killed(team, machines)


def test_a_process_elsewhere_that_fails_says_why(machines: Machines, here: Path) -> None:
    two_again(machines)
    with (
        executor.using("ray"),
        pytest.raises(HeadstartError, match="no space left"),
        parallel.team(2, CPU, fails) as team,
    ):
        add_up(team)


def test_a_machine_that_cannot_start_a_process_is_named(machines: Machines, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_again(machines)
    monkeypatch.setattr(executor, "PATIENCE", 0.0)
    with executor.using("ray"), pytest.raises(HeadstartError, match=r"the machine \S+ of the Ray cluster started no process within 0 s"):
        executor.elsewhere(1, depends=("headstart.training",))
