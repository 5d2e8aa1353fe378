"""Work on all cores with processes, for what threads of one interpreter hold each other up at: many short pieces of Python between long ones of C.

Decoding on 16 cores: 16 threads reach 39% of what the cores can do. The processes are started once, when there is enough to do for them, and end
with the one that started them. What they are given is a function of a module, and data.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import TypeVar

from headstart.base import cores
from headstart.machinery.errors import HeadstartError

Item = TypeVar("Item")
Result = TypeVar("Result")
FEWEST_CORES = 4  # below, threads are as fast, and nothing has to be started
FEWEST_ITEMS = 256  # pictures, below which threads are done before processes have started


def pay(items: int) -> bool:
    """Whether processes are faster than threads for so many items of some milliseconds each, and may be started here."""
    return cores.workers() >= FEWEST_CORES and items >= FEWEST_ITEMS and not multiprocessing.current_process().daemon


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`function` of each item, in order, computed by one process per core; two per core are begun before they are asked for.

    Raises what the function raises, and HeadstartError if a process ends, as it does if memory runs out.
    """
    try:
        yield from cores.begun_ahead(_pool(), function, items, 2 * cores.workers())
    except BrokenProcessPool:
        _pool.cache_clear()
        raise HeadstartError(
            "a process that reads images was ended from outside, perhaps as memory ran out; run again: what was finished is kept"
        ) from None


@cache
def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(cores.workers(), multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """What a process does first: leave Ctrl-C to whoever started it, and end with it however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """Have this process, which another one of multiprocessing started, end when that ends, however it does."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
