"""headstart.training.checkpoints: files that are whole or not used, named by all that determines a training, no more than may be."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.base.devices import CPU
from headstart.features import pixels
from headstart.features.transforms import View
from headstart.training import checkpoints, resume
from headstart.training.checkpoints import Content, Keeper, keeping
from headstart.training.parallel import ALONE
from tests.training.kept import BOTH, FOLDER, HELD, TRAIN, Killed, fit
from tests.training.tails import recipe, state, tail

pytestmark = pytest.mark.usefixtures("checkpoints_always")


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
    key = resume.key(tail(), other, TRAIN, HELD, recipe(batch_size=40), CPU, ALONE)
    path.rename(FOLDER / f"{key}.safetensors")
    expected, network = tail(), tail()
    first = fit(None, other, expected)
    assert fit(keeper, other, network) == first
    assert state(network) == state(expected)
    assert "it belongs to another training" in caplog.text


def test_images_and_views_have_their_names() -> None:
    table = pd.DataFrame({"sha256": ["a", "b"]})
    frozen = pixels.decoder(32)
    plain = View(32, "bilinear")
    names = [
        checkpoints.images(frozen, table, [plain], "uint8"),
        checkpoints.images(frozen, table, [plain], "streamed"),
        checkpoints.images(frozen, table, [plain, plain], "uint8"),
        checkpoints.images(frozen, table, [View(48, "bilinear")], "uint8"),
        checkpoints.images(frozen, table[::-1], [plain], "uint8"),
        checkpoints.images(replace(frozen, identity="other weights"), table, [plain], "uint8"),
    ]
    assert len(set(names)) == len(names)
    assert checkpoints.images(frozen, table.assign(path="moved"), [plain], "uint8") == names[0]


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
        keeper.write(key, lambda: Content({"a": np.zeros(1000, np.uint8)}, {}))
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

    def state() -> Content:
        nonlocal now
        now += 3
        return Content({"a": np.zeros(1)}, {})

    keeper.write("a", state)
    for seconds, due in ((29, False), (2, True)):
        now += seconds
        assert keeper.due() is due
