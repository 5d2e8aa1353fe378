"""Work on all cores with plain threads, and give the results in order.

Each core takes one item at a time, and one thread computes the whole of it. NumPy, Pillow, ONNX Runtime and PyTorch let go of the
interpreter while they compute. Because an item is never shared between threads, its result does not depend on how many cores there are.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_settled = threading.local()


def workers() -> int:
    """The number of cores this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def in_order(function: Callable[[Item], Result], items: Iterable[Item], *, waiting: int = 0) -> Iterator[Result]:
    """`function` of each item, in order, computed by one thread per core.

    At most `waiting` results, or four a core if that is more, are computed before they are asked for. Within work that is itself
    computed so, one after the other: all threads might wait for each other.
    """
    if _within():
        yield from map(function, items)
    else:
        yield from begun_ahead(_pool(), function, items, max(4 * workers(), waiting))


def begun_ahead(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], limit: int) -> Iterator[Result]:
    """`function` of each item, in order, computed by a pool; at most `limit` are begun before they are asked for."""
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) >= limit:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:  # if an item failed, those begun beside it have ended before the caller goes on
        for future in begun:
            future.cancel()
        wait(begun)


def ahead(items: Iterator[Item], depth: int = 256) -> Iterator[Item]:
    """The same items, taken ahead of need by a thread of their own.

    The thread runs up to `depth` items ahead of whoever asks for them.
    """
    if _within():
        yield from items
        return
    done = object()
    line: queue.Queue[Any] = queue.Queue(depth)
    left = threading.Event()

    def put(item: Any) -> bool:
        while not left.is_set():
            try:
                line.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def fill() -> None:
        last: Any = done
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:
            last = error
        put(last)

    thread = threading.Thread(target=fill, name="headstart-ahead", daemon=True)
    thread.start()
    try:
        while (item := line.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        thread.join()


def one_thread() -> None:
    """Make PyTorch use one thread in the calling thread, from now on.

    Once a thread and for good: OpenMP keeps the number apart for each thread, and makes its helpers anew whenever it changes.
    """
    if not hasattr(_settled, "done"):
        import torch

        torch.set_num_threads(1)
        _settled.done = True


def _within() -> bool:
    """Whether this is a thread of the pool."""
    return threading.current_thread().name.startswith("headstart_")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers(), "headstart")
