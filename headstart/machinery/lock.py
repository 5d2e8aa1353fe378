"""The run lock: one run at a time in a checkout, whichever door it came through.

The lock is a flock on .headstart/run.lock, so it goes when its holder dies. A flow holds it for the whole run and says so to
its child processes through HEADSTART_RUN_LOCK; a stage started by a bare `dvc repro` takes it for itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from headstart.machinery.errors import BusyError, HeadstartError

PATH = Path(".headstart/run.lock")
VARIABLE = "HEADSTART_RUN_LOCK"


@contextlib.contextmanager
def hold(who: str, path: Path = PATH) -> Iterator[None]:
    """Hold the run lock.

    Child processes started meanwhile run under it (the environment says so), and so do calls from within.

    `who` is what a second run is told about the first. Raises BusyError when another run holds the lock.
    """
    token = str(path.resolve())
    if os.environ.get(VARIABLE) == token:
        yield
        return
    with _locked(path, who):
        os.environ[VARIABLE] = token
        try:
            yield
        finally:
            del os.environ[VARIABLE]


@contextlib.contextmanager
def _locked(path: Path, who: str) -> Iterator[None]:
    if sys.platform == "win32":
        raise HeadstartError("the run lock needs flock, which Windows lacks; run Headstart under WSL")
    import fcntl

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise HeadstartError(f"cannot write in this checkout: {path}: {error.strerror}; a run needs to write here") from None
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another process"
            raise BusyError(f"this checkout is busy: {holder} holds {path}; wait for it to finish, or stop it") from None
        file.truncate(0)
        file.write(f"{who} (process {os.getpid()})")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
