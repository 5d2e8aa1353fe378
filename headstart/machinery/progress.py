"""Progress of long work on standard error: a line that rewrites itself in a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)
finished: list[dict[str, Any]] = []  # long work that this process has done, for the report: what, how, done, seconds


class Progress:
    """Count `total` steps of `what` and say how far it is and how long it will still take.

    Use as a context manager and call `step` from any thread. Work that ends within two seconds prints nothing. Where `how` says how it
    is done (an engine's name), its rate goes to the log and into `finished`; `quiet` says nothing at all.
    """

    def __init__(self, total: int, what: str, *, how: str = "", quiet: bool = False) -> None:
        self.total, self.what, self.how, self.done = total, what, how, 0
        self._quiet, self._terminal = quiet, sys.stderr.isatty()
        self._interval = 0.2 if self._terminal else 5.0
        self._lock = threading.Lock()

    def __enter__(self) -> Progress:
        self._started = time.monotonic()
        self._due = self._started + 2.0
        self._printed = False
        return self

    def step(self, n: int = 1) -> None:
        """Count `n` more steps as done."""
        with self._lock:
            self.done += n
            now = time.monotonic()
            if now >= self._due and not self._quiet:
                self._due = now + self._interval
                self._print(self._line(now))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.how and kind is None and not self._quiet:
            seconds = time.monotonic() - self._started
            finished.append({"what": self.what, "how": self.how, "done": self.done, "seconds": round(seconds, 3)})
            log.info("%s: %d, %.0f a second (%s)", self.what, self.done, self.done / max(seconds, 1e-9), self.how)
        if self._printed:
            seconds = time.monotonic() - self._started
            if kind is None:
                self._print(f"{self.what}: {self.done}/{self.total} in {duration(seconds)}")
            if self._terminal:
                print(file=sys.stderr)

    def _line(self, now: float) -> str:
        left = (now - self._started) * (self.total - self.done) / max(self.done, 1)
        return f"{self.what}: {self.done}/{self.total}, {duration(left)} left"

    def _print(self, line: str) -> None:
        self._printed = True
        if self._terminal:
            print(f"\r{line:<79}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as people say them: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
