"""headstart.training.resume: a training that was killed, wherever it stood, goes on and ends with the bytes of one that was not."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.base import code
from headstart.base.devices import CPU, Device
from headstart.training import checkpoints, loop, resume, shards
from headstart.training.checkpoints import Keeper, keeping
from headstart.training.parallel import ALONE, Team
from headstart.training.run import Trained
from tests import PATIENCE
from tests.training.kept import BOTH, FOLDER, HELD, TRAIN, Killed, dies, epochs, everything, fit, killed_after_each, named
from tests.training.tails import RATE, Together, in_a_process, in_room, phase, recipe, scratch, state, tail

pytestmark = pytest.mark.usefixtures("checkpoints_always")
CASES: dict[str, dict[str, Any]] = {
    "two phases": {"phases": BOTH},
    "early stopping": {"phases": [phase(20, "one", head=0.3), phase(3, "two")], "patience": 2},
    "a phase that brings nothing": {"phases": [phase(3, "one"), phase(2, "two", head=30.0, blocks_2=30.0), phase(2, "three")]},
    "statistics of the batch": {"phases": [scratch(4), phase(2, "two", head=RATE, blocks_1=RATE)]},
    "held to the source": {"phases": BOTH, "regulariser": "l2_sp", "strength": 0.5},
    "float16": {"phases": BOTH, "device": Device("cpu", "float16"), "batch_size": 3, "loud": True},
    "scarce memory": {"phases": BOTH, "room": 8},
}


@pytest.mark.parametrize("case", CASES)
def test_killed_after_every_epoch_it_ends_with_the_same_bytes(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    how = dict(CASES[case])
    phases, room, loud = how.pop("phases"), how.pop("room", 100), how.pop("loud", False)

    def train() -> tuple[dict[str, Any], Trained]:
        network = in_room(room)
        if loud:  # the first gradients overflow in float16, and the scale of the loss is lowered
            network.get_submodule("head").weight.data *= 300  # type: ignore[operator]
        torch.manual_seed(8 if FOLDER.exists() else 7)  # a process that goes on has drawn other numbers before
        done = fit(checkpoints.keeper(), phases, network, **how)
        return everything(network, done), done

    expected, done = train()
    begun = epochs(monkeypatch)
    (found, _), kills = killed_after_each(monkeypatch, train)
    ran = sum(one["epochs"] for one in done.phases)
    assert found == expected
    assert len(begun) == ran > 3, "no epoch was lost, and none done twice"
    assert kills == ran + 1, "after every epoch, and when all was done"
    assert not FOLDER.exists()
    assert done.phases[0]["stopped_early"] is (case == "early stopping")
    assert (len(done.phases) < len(phases)) is (case == "a phase that brings nothing")
    assert done.shard == (8 if case == "scarce memory" else 16)
    assert done.steps[-1] < 30 * ran, "in float16 with 30 batches an epoch: the scale was lowered, and steps were left out"


def test_no_checkpoint_changes_no_byte() -> None:
    plain, kept = tail(), tail()
    first = everything(plain, fit(None, BOTH, plain))
    with keeping(FOLDER) as keeper:
        assert everything(kept, fit(keeper, BOTH, kept)) == first
        assert len(list(FOLDER.iterdir())) == 1, "of each training the newest"
    assert not FOLDER.exists(), "and none when all has ended well"


@pytest.mark.usefixtures("forked")
def test_a_process_killed_between_writing_and_renaming_a_checkpoint_leaves_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tail()
    expected = everything(network, fit(None, BOTH, network))
    assert in_a_process(dies) == -signal.SIGKILL
    finished, begun = sorted(FOLDER.iterdir(), key=lambda path: path.name.startswith("."))
    assert (finished.suffix, begun.name.startswith(f".{finished.name}.")) == (".safetensors", True)
    ran = epochs(monkeypatch)
    network = tail()
    torch.manual_seed(123)
    with keeping(FOLDER) as keeper:
        assert list(FOLDER.iterdir()) == [finished]
        found = everything(network, fit(keeper, BOTH, network))
    assert {**found, "random": expected["random"]} == expected
    assert ran == [3, 1, 2, 3, 4]
    assert not FOLDER.exists()


def test_whatever_determines_a_training_is_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(network: nn.Sequential | None = None, **other: Any) -> str:
        given = {"phases": BOTH, "train": TRAIN, "validation": HELD, "recipe": recipe(), "device": CPU, "team": ALONE}
        return resume.key(network or tail(), **{**given, **other})

    turned = tail()
    turned.get_submodule("blocks-2")[0][1].eps = 1e-3  # type: ignore[index]
    gathered = tail()
    gathered.get_submodule("blocks-1")[1].running_mean += 1  # type: ignore[index]
    labels = TRAIN.labels[::-1].copy()
    names = [
        key(),
        *(key(tail(1)), key(turned), key(gathered)),
        *(
            key(phases=BOTH[:1]),
            key(phases=[BOTH[0], replace(BOTH[1], statistics="batch")]),
            key(phases=[phase(3, "one"), phase(5, "two")]),
        ),
        *(key(train=named(TRAIN, "other")), key(validation=named(HELD, "other")), key(train=replace(TRAIN, labels=labels))),
        *(key(recipe=recipe(batch_size=21)), key(recipe=recipe(patience=1)), key(recipe=recipe(weight_decay=0.02))),
        *(key(recipe=recipe(label_smoothing=0.1)), key(recipe=recipe(class_weights=np.array([1, 1, 2]))), key(recipe=recipe(seed=1))),
        *(key(recipe=recipe(regulariser="bss")), key(recipe=recipe(strength=0.1))),
        *(key(device=Device("cpu", "bfloat16")), key(team=Team(0, 2))),
    ]
    monkeypatch.setattr(shards, "SHARD", 8)
    names.append(key())
    monkeypatch.undo()
    monkeypatch.setattr(checkpoints, "fingerprint", lambda package: f"other code of {package}")
    names.append(key())
    monkeypatch.undo()
    monkeypatch.setattr(code, "version", lambda name: "0")
    names.append(key())
    monkeypatch.undo()
    assert len(set(names)) == len(names)
    assert key(team=Team(0, 2)) == key(team=Team(1, 2)), "one name for all of a team"
    assert key() == names[0]


def test_a_team_goes_on_together(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Two threads that add up as two processes do; the memory of the second is scarce for a moment, at the beginning.

    Where one of them cannot read the checkpoint, both start again.
    """

    def train(kill: bool, blind: bool = False, fresh: bool = False) -> tuple[list[dict[str, bytes]], list[Trained]]:
        barrier, given = threading.Barrier(2, timeout=PATIENCE), {}
        networks = [in_room(8, 0), in_room(8, int(fresh))]

        class Watched(Keeper):
            def write(self, *given: Any) -> None:
                super().write(*given)
                if kill:
                    barrier.abort()
                    raise Killed

        def member(rank: int) -> Trained:
            keeper = Watched(FOLDER)
            if blind and rank == 1:
                keeper.folder = Path("elsewhere")
            team: Any = Together(rank, given, barrier)
            return loop.fit(networks[rank], BOTH, TRAIN, HELD, recipe(batch_size=40), CPU, team, keeper)

        with ThreadPoolExecutor(2) as pool:
            done = [future.result() for future in [pool.submit(member, rank) for rank in (0, 1)]]
        return [state(network) for network in networks], done

    begun = epochs(monkeypatch)
    expected = train(kill=False, fresh=True)
    assert expected[0][0] == expected[0][1]
    assert [done.shard for done in expected[1]] == [16, 8]
    for path in FOLDER.iterdir():
        path.unlink()
    for epoch in range(3):
        with pytest.raises(Killed):
            train(kill=True, fresh=not epoch)
    checkpoint = {path: path.read_bytes() for path in FOLDER.iterdir()}
    begun.clear()
    assert train(kill=False) == expected
    assert begun == [1, 1, 2, 2, 3, 3, 4, 4], "the second phase"
    for path, content in checkpoint.items():
        path.write_bytes(content)
    begun.clear()
    assert train(kill=False, blind=True, fresh=True) == expected
    assert begun.count(1) == 4, "both phases, both members"
