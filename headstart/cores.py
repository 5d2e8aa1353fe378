"""Work on all cores with plain threads: one item a core, each computed by one thread, results in order.

NumPy, Pillow, ONNX Runtime and PyTorch let go of the interpreter while they compute. Because an item is never shared between
threads, its result does not depend on how many cores there are.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers() -> int:
    """The number of cores this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`function` of each item, in order, computed by a thread a core, with only a few results waiting at any time."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(_pool().submit(function, item))
            if len(waiting) >= 4 * workers():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread in this thread, as OpenMP keeps the number apart for each."""
    import torch

    before = torch.get_num_threads()
    if before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before != 1:
            torch.set_num_threads(before)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers(), "headstart")
