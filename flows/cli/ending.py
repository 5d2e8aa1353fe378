"""SIGTERM ends a command within seconds, whatever it is doing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

from flows.repository import child

INTERRUPTED = 130
GRACE = 2.5  # seconds to end in good order, locks released and children asked; then everything is ended
_ending, _saying = threading.Lock(), threading.Lock()
_words = ["interrupted"]  # what is said at the end, the last of them


@contextlib.contextmanager
def sigterm_interrupts(certainly: bool) -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that children are ended and locks released.

    `certainly`: after GRACE seconds this process and its children end all the same. What a killed process leaves half done is mended by
    the next one, as after kill -9.
    """

    def interrupt(*_: object) -> None:
        if certainly:
            child.hurry(GRACE)
            _count_down()
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        with _watched() if certainly else contextlib.nullcontext():
            yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """See the signal even while the main thread computes, when Python calls no handler."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        with contextlib.suppress(OSError):
            while received := reader.recv(64):
                if signal.SIGTERM in received:
                    _count_down()

    threading.Thread(target=watch, name="headstart-sigterm", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()


def _count_down() -> None:
    timer = threading.Timer(GRACE, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    """End the children and this process, now; of several who ask, the first does it."""
    if not _ending.acquire(blocking=False):
        return
    child.kill_all()
    if first():
        with contextlib.suppress(OSError):
            os.write(2, f"{_words[-1]}\n".encode())
    os._exit(INTERRUPTED)


@contextlib.contextmanager
def words(said: str) -> Iterator[None]:
    """What is said if this ends before the command could say it itself."""
    _words.append(said)
    try:
        yield
    finally:
        _words.remove(said)


def first() -> bool:
    """Whether nobody has said yet that the command was interrupted."""
    return _saying.acquire(blocking=False)
