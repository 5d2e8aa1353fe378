"""headstart.cores: results in order, only a few waiting, errors passed on; and a thread that runs ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from headstart.base import cores


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
    ended = len(done)
    assert ended < 30
    time.sleep(0.05)
    assert len(done) == ended
    assert list(cores.in_order(abs, [-1])) == [1]


def test_one_thread_is_for_the_thread_that_asks(count: int) -> None:
    def threads(_: int) -> int:
        cores.one_thread()
        return torch.get_num_threads()

    assert set(cores.in_order(threads, range(10))) == {1}


def test_there_is_at_least_one_core() -> None:
    assert cores.workers() >= 1


def test_more_may_wait_where_that_is_asked(count: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = cores.in_order(lambda number: number, items(), waiting=50)
    assert next(results) == 0
    assert len(taken) == 50
    assert list(results) == list(range(1, 100))
    assert list(cores.in_order(lambda number: number, range(30), waiting=2)) == list(range(30))


def threads_ahead() -> int:
    return sum(thread.name == "headstart-ahead" for thread in threading.enumerate())


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    return true()


@pytest.mark.parametrize("depth", [1, 3, 256])
def test_items_taken_ahead_come_in_order(depth: int) -> None:
    assert list(cores.ahead(iter(range(50)), depth)) == list(range(50))
    assert list(cores.ahead(iter([]), depth)) == []
    assert list(cores.ahead(iter([None, False, 0]), depth)) == [None, False, 0]
    assert threads_ahead() == 0


def test_another_thread_runs_ahead_so_far_and_no_further() -> None:
    taken: list[str] = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(threading.current_thread().name)
            yield number

    given = cores.ahead(items(), 3)
    assert next(given) == 0
    assert eventually(lambda: len(taken) == 5)  # the one asked for, three in line, and one in hand
    time.sleep(0.02)
    assert len(taken) == 5
    assert list(given) == list(range(1, 20))
    assert set(taken) == {"headstart-ahead"}


def test_an_error_ahead_comes_out_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("three")

    given: list[int] = []
    with pytest.raises(ValueError, match="three"):
        given.extend(cores.ahead(items()))
    assert given == [1, 2]
    assert threads_ahead() == 0


@pytest.mark.parametrize("how", ["close", "error"])
def test_leaving_early_stops_the_thread_ahead(how: str) -> None:
    source = iter(range(10**9))
    given = cores.ahead(source, 2)
    assert next(given) == 0
    assert threads_ahead() == 1
    if how == "close":
        given.close()  # type: ignore[attr-defined]
    else:
        with pytest.raises(KeyError):
            given.throw(KeyError("whoever asked failed"))  # type: ignore[attr-defined]
    assert threads_ahead() == 0
    taken = next(source)
    time.sleep(0.02)
    assert next(source) == taken + 1
