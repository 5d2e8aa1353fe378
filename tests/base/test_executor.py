"""headstart.base.executor: the same results in the same order, on the cores of this machine; on several machines: tests/test_many_machines.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.base import executor
from headstart.machinery.errors import HeadstartError, ParamsError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def square(number: int) -> int:
    return number * number


def test_on_this_machine_it_needs_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_connected", lambda: pytest.fail("Ray is asked for"))
    assert not executor.spreads()
    with executor.using("ray"), executor.using("local"):
        assert list(executor.in_order(square, range(50))) == [n * n for n in range(50)]


def test_without_ray_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with executor.using("ray"), pytest.raises(ParamsError, match=r"pip install 'headstart\[ray\]'"):
        list(executor.in_order(square, range(3)))


def test_a_machine_that_differs_is_refused(here: Path, tmp_path: Path) -> None:
    place = executor._Place.here(["headstart.base.grey"])
    place.enter()
    with pytest.raises(HeadstartError, match="other code or other packages"):
        executor._Place(here, ["headstart.base.grey"], "another").enter()
    with pytest.raises(HeadstartError, match=r"does not see .*elsewhere"):
        executor._Place(tmp_path / "elsewhere", [], "").enter()
