"""headstart.cores: results in order, only a few waiting, errors passed on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from headstart import cores


@pytest.fixture(params=[1, 3])
def count(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(cores, "workers", lambda: request.param)
    cores._pool.cache_clear()
    yield request.param
    cores._pool.cache_clear()


def test_results_come_in_order(count: int) -> None:
    def late(number: int) -> int:
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number * 10

    assert list(cores.in_order(late, range(40))) == [number * 10 for number in range(40)]
    assert list(cores.in_order(late, [])) == []


def test_as_many_threads_as_cores(count: int) -> None:
    def name(_: int) -> str:
        time.sleep(0.01)
        return threading.current_thread().name

    assert len(set(cores.in_order(name, range(20)))) == count


def test_only_a_few_items_are_taken_ahead(count: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = cores.in_order(lambda number: number, items())
    assert next(results) == 0
    assert len(taken) <= 4 * count
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 4 * count


def test_an_error_comes_out_in_its_place_and_stops_the_rest(count: int) -> None:
    done = []

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        done.append(number)
        time.sleep(0.005)
        return number

    given: list[int] = []
    with pytest.raises(ValueError, match="three"):
        given.extend(cores.in_order(work, range(100)))
    time.sleep(0.05)
    assert len(done) < 30
    assert list(cores.in_order(abs, [-1])) == [1]


def test_one_thread_is_for_the_thread_that_asks(count: int) -> None:
    def threads(_: int) -> int:
        cores.one_thread()
        return torch.get_num_threads()

    assert set(cores.in_order(threads, range(10))) == {1}


def test_there_is_at_least_one_core() -> None:
    assert cores.workers() >= 1
