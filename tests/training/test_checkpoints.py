"""headstart.checkpoints: a training that was killed, wherever it stood, goes on and ends with the bytes of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from headstart.base.devices import CPU, Device
from headstart.developing import develop
from headstart.features import pixels
from headstart.networks import sources
from headstart.params.developing import TrainSource
from headstart.training import checkpoints, loop, scratch
from headstart.training.checkpoints import Keeper, keeping
from headstart.training.loop import Examples
from headstart.training.parallel import ALONE
from tests import ROOT, tiny
from tests.training import test_fine_tuning, test_scratch
from tests.training.test_loop import RATE, Together, examples, in_room, phase, recipe, state, tail
from tests.training.test_loop import scratch as from_random

FOLDER = Path("kept")
BOTH = [phase(3, "one"), phase(4, "two", head=RATE, blocks_1=RATE)]  # 7 epochs


class Killed(BaseException):
    """Instead of a kill -9."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and a checkpoint after every epoch, however short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))


def named(given: Examples, name: str) -> Examples:
    return replace(given, images=name)


TRAIN, HELD = named(examples(90, views=2), "train"), named(examples(30, seed=1), "held")


def fit(keeper: Keeper | None, phases: list[Any], network: nn.Sequential, device: Device = CPU, **how: Any) -> loop.Trained:
    return loop.fit(network, phases, TRAIN, HELD, recipe(**{"batch_size": 40, **how}), device, ALONE, keeper)


def everything(network: nn.Sequential, done: loop.Trained) -> dict[str, Any]:
    """All that a training leaves, to the bit, and the random numbers that come next."""
    left = [done.curve, done.phases, done.image_passes, done.temperature, done.shard, done.steps, done.best]
    return {"weights": state(network), "rest": repr(left), "right": done.right.tobytes(), "random": torch.get_rng_state().tolist()}


def epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every epoch that is begun from now on."""
    begun: list[int] = []
    real = loop._Run._epoch

    def watch(self: Any, epoch: int, *given: Any) -> Any:
        begun.append(epoch)
        return real(self, epoch, *given)

    monkeypatch.setattr(loop._Run, "_epoch", watch)
    return begun


def killed_after_each(monkeypatch: pytest.MonkeyPatch, train: Callable[[], Any]) -> tuple[Any, int]:
    """What `train` gives when each of its processes is killed as soon as it has written a checkpoint; and how many were killed."""
    write, kills = Keeper.write, 0

    def die(self: Keeper, *given: Any) -> None:
        write(self, *given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "write", die)
        while True:
            try:
                with keeping(FOLDER):
                    return train(), kills
            except Killed:
                kills += 1
                assert kills < 100, "no process gets any further"


CASES: dict[str, dict[str, Any]] = {
    "two phases": {"phases": BOTH},
    "early stopping": {"phases": [phase(20, "one", head=0.3), phase(3, "two")], "patience": 2},
    "a phase that brings nothing": {"phases": [phase(3, "one"), phase(2, "two", head=30.0, blocks_2=30.0), phase(2, "three")]},
    "statistics of the batch": {"phases": [from_random(4), phase(2, "two", head=RATE, blocks_1=RATE)]},
    "held to the source": {"phases": BOTH, "regulariser": "l2_sp", "strength": 0.5},
    "float16": {"phases": BOTH, "device": Device("cpu", "float16"), "batch_size": 3, "loud": True},
    "scarce memory": {"phases": BOTH, "room": 8},
}


@pytest.mark.parametrize("case", CASES)
def test_killed_after_every_epoch_it_ends_with_the_same_bytes(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    how = dict(CASES[case])
    phases, room, loud = how.pop("phases"), how.pop("room", 100), how.pop("loud", False)

    def train() -> tuple[dict[str, Any], loop.Trained]:
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


DIES = """
import os, signal
from headstart.params.developing import TrainSource
from headstart.training import checkpoints
from tests.training import test_checkpoints as here
from tests.training.test_loop import tail

written = 0

def die(descriptor):
    global written
    written += 1
    if written == 3:
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync, checkpoints.SHARE = die, float("inf")
with checkpoints.keeping(here.FOLDER) as keeper:
    here.fit(keeper, here.BOTH, tail())
"""


def test_a_process_killed_between_writing_and_renaming_a_checkpoint_leaves_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tail()
    expected = everything(network, fit(None, BOTH, network))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", DIES], env=environment, timeout=120, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
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


def interrupted(phases: list[Any] = BOTH, after: int = 2, keeper: Keeper | None = None) -> Keeper:
    """Train until a checkpoint has been written `after` times, and leave it."""
    keeper = keeper or Keeper(FOLDER)

    class Stopping(Keeper):
        def write(self, *given: Any) -> None:
            nonlocal after
            super().write(*given)
            after -= 1
            if not after:
                raise Killed

    with pytest.raises(Killed):
        fit(Stopping(keeper.folder), phases, tail())
    return keeper


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 4
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "other": lambda path: path.write_text("no checkpoint"),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    **{f"a bit, {at:.0%}": lambda path, at=at: flip(path, at) for at in (0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1)},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_not_believed(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    expected, network = tail(), tail()
    first = fit(None, BOTH, expected)
    keeper = interrupted()
    [path] = FOLDER.iterdir()
    DAMAGE[damage](path)
    assert fit(keeper, BOTH, network) == first
    assert state(network) == state(expected)
    assert [str(path) in message and "training starts again" in message for message in caplog.messages] == [True]


def test_a_checkpoint_of_another_training_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    keeper = interrupted()
    [path] = FOLDER.iterdir()
    other = BOTH[:1]
    key = loop._key(tail(), other, TRAIN, HELD, recipe(batch_size=40), CPU, ALONE)
    path.rename(FOLDER / f"{key}.safetensors")
    expected, network = tail(), tail()
    first = fit(None, other, expected)
    assert fit(keeper, other, network) == first
    assert state(network) == state(expected)
    assert "it belongs to another training" in caplog.text


def test_whatever_determines_a_training_is_in_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def key(network: nn.Sequential | None = None, **other: Any) -> str:
        given = {"phases": BOTH, "train": TRAIN, "validation": HELD, "recipe": recipe(), "device": CPU, "team": ALONE}
        return loop._key(network or tail(), **{**given, **other})

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
        *(key(device=Device("cpu", "bfloat16")), key(team=loop.Team(0, 2))),
    ]
    monkeypatch.setattr(loop, "SHARD", 8)
    names.append(key())
    monkeypatch.undo()
    for path in Path(checkpoints.__file__).parent.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(checkpoints, "__file__", str(tmp_path / "checkpoints.py"))
    assert key() == names[0], "where the code lies does not count"
    (tmp_path / "regularisers.py").write_text("# other code")
    names.append(key())
    monkeypatch.undo()
    monkeypatch.setattr(checkpoints, "version", lambda name: "0")
    names.append(key())
    monkeypatch.undo()
    assert len(set(names)) == len(names)
    assert key(team=loop.Team(0, 2)) == key(team=loop.Team(1, 2)), "one name for all of a team"
    assert key() == names[0]


def test_images_and_views_have_their_names() -> None:
    table = pd.DataFrame({"sha256": ["a", "b"]})
    frozen = pixels.decoder(32)
    plain = training_view(32)
    names = [
        checkpoints.images(frozen, table, [plain], "uint8"),
        checkpoints.images(frozen, table, [plain], "streamed"),
        checkpoints.images(frozen, table, [plain, plain], "uint8"),
        checkpoints.images(frozen, table, [training_view(48)], "uint8"),
        checkpoints.images(frozen, table[::-1], [plain], "uint8"),
        checkpoints.images(replace(frozen, identity="other weights"), table, [plain], "uint8"),
    ]
    assert len(set(names)) == len(names)
    assert checkpoints.images(frozen, table.assign(path="moved"), [plain], "uint8") == names[0]


def training_view(size: int) -> Any:
    return scratch.View(size, "bilinear")


def test_a_block_that_fails_leaves_what_the_next_one_needs_and_others_stay() -> None:
    FOLDER.mkdir()
    (FOLDER / "another.safetensors").write_bytes(b"of a run that was killed earlier")
    (FOLDER / ".another.safetensors.123").write_bytes(b"half of one")
    network = tail()

    def block() -> None:
        with keeping(FOLDER) as keeper:
            assert checkpoints.keeper() is keeper
            fit(keeper, BOTH, network)
            raise KeyError

    with pytest.raises(KeyError):
        block()
    assert checkpoints.keeper() is None
    assert len(list(FOLDER.iterdir())) == 2
    again = tail()
    with keeping(FOLDER) as keeper:
        fit(keeper, BOTH, again)
    assert state(again) == state(network)
    assert [path.name for path in FOLDER.iterdir()] == ["another.safetensors"]


def test_old_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper(FOLDER)

    def write(key: str) -> set[str]:
        keeper.write(key, lambda: ({"a": np.zeros(1000, np.uint8)}, {}))
        for age, path in enumerate(sorted(FOLDER.iterdir(), key=lambda path: -path.stat().st_mtime_ns)):
            os.utime(path, ns=(0, 10**12 - age * 10**9))  # in their order, however coarse the clock of the disk
        return {path.stem for path in FOLDER.iterdir()}

    write("0")
    monkeypatch.setattr(checkpoints, "LARGEST", 3 * next(FOLDER.iterdir()).stat().st_size)
    assert [write(key) for key in "1234"][-1] == {"2", "3", "4"}
    monkeypatch.setattr(checkpoints, "LARGEST", 10)
    assert write("5") == {"5"}


def test_writing_them_takes_its_share_of_the_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(checkpoints, "SHARE", 0.1)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now)
    keeper = Keeper(FOLDER)
    assert keeper.due(), "the first, as nobody knows what it costs"

    def state() -> checkpoints.State:
        nonlocal now
        now += 3
        return {"a": np.zeros(1)}, {}

    keeper.write("a", state)
    for seconds, due in ((29, False), (2, True)):
        now += seconds
        assert keeper.due() is due


def test_a_team_goes_on_together(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Two threads that add up as two processes do; the memory of the second is scarce for a moment, at the beginning.

    Where one of them cannot read the checkpoint, both start again.
    """

    def train(kill: bool, blind: bool = False, fresh: bool = False) -> tuple[list[dict[str, bytes]], list[loop.Trained]]:
        barrier, given = threading.Barrier(2, timeout=60), {}
        networks = [in_room(8, 0), in_room(8, int(fresh))]

        class Watched(Keeper):
            def write(self, *given: Any) -> None:
                super().write(*given)
                if kill:
                    barrier.abort()
                    raise Killed

        def member(rank: int) -> loop.Trained:
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


PHOTOS: dict[str, Any] = {"per_class": 10, "size": 48}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("photos")
    return folder, tiny.table(folder, **PHOTOS)


def test_fine_tuning_goes_on_to_the_same_bytes(photos: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    card = sources.load(tiny.checkpoint(Path("source"))).card()

    def tune() -> str:
        return test_fine_tuning.fingerprint(test_fine_tuning.tune(card, photos, strategy="gradual", epochs=3)[0])

    expected = tune()
    begun = epochs(monkeypatch)
    assert killed_after_each(monkeypatch, tune) == (expected, len(begun) + 1)
    assert len(begun) >= 6


def test_a_team_of_processes_goes_on_to_the_same_bytes(photos: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    card = sources.load(tiny.checkpoint(Path("source"))).card()
    write = Keeper.write

    def tune() -> str:
        with keeping(FOLDER):
            return test_fine_tuning.fingerprint(test_fine_tuning.tune(card, photos, strategy="full", epochs=3, processes=2)[0])

    def die(self: Keeper, *given: Any) -> None:
        write(self, *given)
        raise Killed

    expected = tune()
    monkeypatch.setattr(Keeper, "write", die)
    with pytest.raises(Killed):
        tune()
    monkeypatch.setattr(Keeper, "write", write)
    begun = epochs(monkeypatch)
    assert tune() == expected
    assert begun == [2, 3]


@pytest.fixture(scope="module")
def striped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("striped")
    test_scratch.stripes(folder)
    return folder, test_scratch.manifest.index(folder, **test_scratch.toy.INDEX)


def test_trainings_of_one_stage_go_on_one_after_the_other(striped: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the cells of a baseline: what was finished before the kill is not done again."""

    def cells() -> list[tuple[str, str, str]]:
        done = [test_scratch.train(striped, seed=seed) for seed in (0, 1)]
        return [(test_scratch.digest(one), str(one.curve), str(one.summary)) for one in done]

    expected = cells()
    assert expected[0] != expected[1]
    begun = epochs(monkeypatch)
    assert killed_after_each(monkeypatch, cells) == (expected, 6)
    assert begun == [1, 2] * 2


@pytest.mark.parametrize("start", [develop.RANDOM, "candidate"])
def test_a_source_of_ones_own_goes_on_to_the_same_bytes(
    start: str, striped: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    if start != develop.RANDOM:
        start = tiny.checkpoint(Path("source"), size=32)
    plan = TrainSource(
        start=start,
        architecture="timm:test_resnet" if start == develop.RANDOM else None,
        input_size=32,
        depth=2,
        epochs=3,
        batch_size=16,
        views=1,
        cache_gib=1.0,
        augmentation=test_scratch.AUGMENTATION,
    )

    def train() -> tuple[str, str, str]:
        done = develop.train(striped[1], striped[0], plan, seed=0)
        return test_fine_tuning.weights.digest(done.network.weights()), str(done.curve), str(done.summary)

    expected = train()
    assert killed_after_each(monkeypatch, train) == (expected, 4)
