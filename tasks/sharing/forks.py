"""Processes that are forked from one that has imported what they need, as if they had been started anew.

Who forks computes nothing itself, so that a fork finds every library as it was after its import. Its folder, environment, streams, exit code
and signals are its own.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import runpy
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

# What may differ between the environments of who forks and of what is forked: nothing reads it when it is imported, or scikit-learn sets it
# then, and so does the run.
FREE = re.compile(r"(DVC|HEADSTART|PREFECT|PYTEST)_.*|KMP_(DUPLICATE_LIB_OK|INIT_AT_FORK)|PATH|PWD|OLDPWD|_")


class Origin:
    """This process as it begins, before it imports anything of weight."""

    def __init__(self) -> None:
        self._began = time.time_ns()
        self._environment = _read(os.environ)

    def is_current(self, folder: Path, environment: Mapping[str, str]) -> bool:
        """Whether a new Python process in a folder would import the same modules as are in memory here."""
        if _read(environment) != self._environment:
            return False
        for name in ("tasks", "headstart"):
            if name not in sys.modules or ((folder / name).exists() and not (folder / name).samefile(sys.modules[name].__path__[0])):
                return False
        files = {file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
        try:  # modules that are made while PyTorch is imported have a name that is no path
            return all(max(state.st_mtime_ns, state.st_ctime_ns) < self._began for state in map(os.stat, filter(os.path.isabs, files)))
        except OSError:
            return False


def _read(environment: Mapping[str, str]) -> dict[str, str]:
    """What imports may read of an environment."""
    return {name: value for name, value in environment.items() if not FREE.fullmatch(name)}


def woken() -> int:
    """A descriptor that can be read once a signal has come, whichever thread it came to, and until it is read.

    Some libraries start a thread when they are imported. If the end of a process is heard by that, nothing interrupts who waits in `select`; and
    whoever looks at once may look before the process is known.
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def ended(pids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Those of some forks that have ended, and their exit codes, or minus their signals; nobody else is waited for.

    The handler of a signal may ask the same meanwhile: each is told of once.
    """
    for pid in list(pids):
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
        if found:
            yield pid, os.waitstatus_to_exitcode(status)


def alone(folder: str, environment: Mapping[str, str]) -> None:
    """Have a folder and an environment, no file open but the three streams, and garbage collected, which who forks may have left off."""
    gc.enable()
    signal.set_wakeup_fd(-1)
    for entry in list(Path("/proc/self/fd").iterdir()):  # objects that are still there never close theirs: gc.freeze
        if int(entry.name) > sys.stderr.fileno():
            with contextlib.suppress(OSError):
                os.close(int(entry.name))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]


def as_module(module: str) -> NoReturn:
    """Be `python -m module`."""
    import atexit
    import logging

    atexit._clear()  # what who forked has to do at its end
    logging.root.handlers.clear()
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = [module]

    def run() -> int:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0

    leave(run)


def leave(run: Callable[[], int]) -> NoReturn:
    """Do it and end the process as the interpreter would, without going back to who called."""
    import atexit
    import threading
    import traceback

    code: Any = 1
    try:
        code = run()
    except SystemExit as end:
        code = 0 if end.code is None else end.code
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)
