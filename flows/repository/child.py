"""Child processes that cannot outlive us.

Each is in a process group of its own, which is ended as a whole when we stop or die.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Protocol, TypeVar

# Runs `python -m MODULE ARGUMENTS` after asking Linux to interrupt it when its parent dies: interrupted, dvc still releases its
# locks, even if a script started us in the background, with interrupts ignored. Done in the child's own start-up code because a
# preexec_fn is unsafe beside threads; getppid closes the gap between fork and prctl.
_LAUNCH = """
import ctypes, os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform == "linux": ctypes.CDLL(None).prctl(1, signal.SIGINT)
if os.getppid() != int(sys.argv[1]): sys.exit("the process that started this one is gone")
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Running(Protocol):
    """A child as subprocess.Popen is one, as far as it is used."""

    pid: int

    @property
    def stdout(self) -> IO[str] | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


One = TypeVar("One", bound=Running)
_running: set[Running] = set()  # started and not stopped
_until = math.inf  # on the monotonic clock: when all patience ends


def start(module: str, *arguments: str, output: int | IO[str], extra: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `python -m module arguments` with this interpreter; both its streams go to `output` as text.

    See `environment` for what it finds there.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _LAUNCH, str(os.getpid()), module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment(extra or {}),
        process_group=0,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    running(process)
    return process


def running(process: One) -> One:
    """Note a child that was started, so that it cannot outlive us. Returns it."""
    _running.add(process)
    return process


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: ours with `extra`.

    `python` on its PATH is this interpreter too, so an unactivated virtual environment works. Its shell is plain sh, so that a stage's
    command means the same under every login shell.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "SHELL": "/bin/sh", **extra}


def stop(process: Running, patience: float = 5.0) -> None:
    """End a child and its whole group: ask, wait `patience` seconds, then kill.

    It may have ended already.
    """
    _running.discard(process)
    _signal(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_left(patience))
    deadline = time.monotonic() + _left(patience)
    while _signal(process.pid, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def hurry(seconds: float) -> None:
    """From now on, take no longer to stop children than so many seconds in all."""
    global _until
    _until = min(_until, time.monotonic() + 0.8 * seconds)


def kill_all() -> None:
    """Kill every child that was not stopped, and its group, at once."""
    for process in list(_running):
        _signal(process.pid, signal.SIGKILL)


def _left(patience: float) -> float:
    """Of so many seconds of patience, those that are left."""
    return max(0.1, min(patience, _until - time.monotonic()))


def alive(pid: int) -> bool:
    """Whether a process runs. One that waits for its parent to notice its end (a zombie) does not."""
    try:
        os.kill(pid, 0)
        return sys.platform != "linux" or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False


def _signal(group: int, number: int) -> bool:
    """Signal a process group; False if nobody is left in it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers PermissionError for a group of zombies
        return False
    return True
