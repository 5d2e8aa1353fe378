"""Work on all cores with plain threads: one item a core, each computed by one thread, results in order.

NumPy, Pillow, ONNX Runtime and PyTorch let go of the interpreter while they compute. Because an item is never shared between
threads, its result does not depend on how many cores there are.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_settled = threading.local()


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


def one_thread() -> None:
    """Make PyTorch use one thread in the calling thread, from now on.

    Once a thread and for good: OpenMP keeps the number apart for each thread, and makes its helpers anew whenever it changes.
    """
    if not hasattr(_settled, "done"):
        import torch

        torch.set_num_threads(1)
        _settled.done = True


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers(), "headstart")
