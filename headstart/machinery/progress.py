"""Progress of long work: a line on standard error for people, a line of JSON for programs.

In a terminal the line rewrites itself; elsewhere there are plain lines. The line of JSON is an event, in a file that a flow names in
the environment (VARIABLE). Events are appended one by one, each with a single write, so that a killed process leaves all but the last
of them whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TypedDict

VARIABLE = "HEADSTART_PROGRESS"  # names the file for the events; without it there are none


class Work(TypedDict):
    """Long work that has been done: what, how (an engine's name), how many steps, in how many seconds."""

    what: str
    how: str
    done: int
    seconds: float


log = logging.getLogger(__name__)
finished: list[Work] = []  # by this process, for the report


@dataclass(frozen=True)
class Event:
    """How far long work has come: `done` of `total` steps of `what`.

    It has the seconds that are `left`, or those that the work has `taken` if it has ended.
    """

    what: str
    done: int
    total: int
    left: float | None = None
    taken: float | None = None

    def __str__(self) -> str:
        """The line of text: `indexing images: 3/12, 2 min 5 s left`, `indexing images: 12/12 in 3 min 0 s`."""
        end = f", {duration(self.left or 0.0)} left" if self.taken is None else f" in {duration(self.taken)}"
        return f"{self.what}: {self.done}/{self.total}{end}"


class Progress:
    """Count `total` steps of `what` and say how far it is and how long it will still take.

    Use as a context manager and call `step` from any thread. Work that ends within two seconds prints nothing. If `how` says how it
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
                left = (now - self._started) * (self.total - self.done) / max(self.done, 1)
                self._tell(Event(self.what, self.done, self.total, left=left))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.how and kind is None and not self._quiet:
            seconds = time.monotonic() - self._started
            finished.append({"what": self.what, "how": self.how, "done": self.done, "seconds": round(seconds, 3)})
            log.info("%s: %d, %.0f a second (%s)", self.what, self.done, self.done / max(seconds, 1e-9), self.how)
        if self._printed:
            seconds = time.monotonic() - self._started
            if kind is None:
                self._tell(Event(self.what, self.done, self.total, taken=seconds))
            if self._terminal:
                print(file=sys.stderr)

    def _tell(self, event: Event) -> None:
        """Append the event, then print its line: who reads the line finds the event."""
        self._printed = True
        _append(event)
        if self._terminal:
            print(f"\r{event!s:<79}", end="", file=sys.stderr, flush=True)
        else:
            print(event, file=sys.stderr, flush=True)


def read(path: Path, start: int = 0) -> tuple[list[Event], int]:
    """The events in `path` from byte `start` on, and the byte from which to read on.

    A line that is not whole yet is left for the next time. A line that is no event is passed by, and a file that is not there has none.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            whole, newline, _ = file.read().rpartition(b"\n")
    except OSError:
        return [], start
    events: list[Event] = []
    for line in whole.splitlines():
        with contextlib.suppress(ValueError, TypeError):
            events.append(Event(**json.loads(line)))
    return events, start + len(whole) + len(newline)


def duration(seconds: float) -> str:
    """Seconds as people say them: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _append(event: Event) -> None:
    """Write an event to the file that the environment names. If that fails, the work goes on all the same."""
    if path := os.environ.get(VARIABLE):
        with contextlib.suppress(OSError), Path(path).open("ab", buffering=0) as file:
            file.write(json.dumps(asdict(event), default=int).encode() + b"\n")  # some count with integers of NumPy
