"""The process from which dvc and the stages are forked: `python -m flows.repository.forking DESCRIPTOR`, started by flows/repository/warm.py.

It imports once what each dvc and each stage of a run would import anew, some 3 seconds of computing each. What is forked is a process
of its own as any other: its folder, environment, streams, process group, exit code and signals are its own. It computes nothing itself
and starts no thread, so that a fork finds every library as it was after its import.

A stage is forked by dvc, which waits for it as for a command: dvc's death ends it, and dvc's process group is its own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from flows.repository import preloaded

STAGE = re.compile(r"python -m (tasks\.\w+)")
# What may differ between the environments of this process and of a stage that is forked from it: nothing reads it when it is imported, or
# scikit-learn sets it then, and so does the run.
FREE = re.compile(r"(DVC|HEADSTART|PREFECT|PYTEST)_.*|KMP_(DUPLICATE_LIB_OK|INIT_AT_FORK)|PATH|PWD|OLDPWD|_")
DVC, MORE = b"d", b"m"  # what is asked for: to run dvc, to import what stages need
_began = time.time_ns()
_before = {name: value for name, value in os.environ.items() if not FREE.fullmatch(name)}


def main(line: socket.socket) -> NoReturn:
    """Serve what comes along `line` until its other end is closed."""
    running: dict[int, int] = {}  # where the exit code of each process is to be written
    signal.signal(signal.SIGCHLD, lambda *_: _reap(running))  # at once, also while something is imported
    imports = deque(preloaded.DVC)
    while True:
        if select.select([line.fileno()], [], [], 0 if imports else None)[0]:
            asked, descriptors, _, _ = socket.recv_fds(line, 1, 3)
            if not asked:
                os._exit(0)  # nobody is there any more; what still runs is interrupted by Linux
            if asked == MORE:
                imports.extend(preloaded.STAGES)
            else:
                _fork(running, *descriptors)
        elif imports:
            with contextlib.suppress(Exception):  # who needs it will say so
                imports.extendleft(reversed(preloaded.one(imports.popleft())))


def _reap(running: dict[int, int]) -> None:
    """Tell the exit codes of those that have ended; what an import started is its own."""
    for pid in list(running):
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = running.pop(pid)
            with contextlib.suppress(BrokenPipeError):
                os.write(status, b"%d\n" % os.waitstatus_to_exitcode(code))
            os.close(status)


def _fork(running: dict[int, int], request: int, output: int, status: int) -> None:
    """Fork a dvc. Its process id and later its exit code are written to `status`, a line each."""
    with os.fdopen(request, "rb") as file:
        raw = file.read()
    gc.freeze()
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # its end is not heard before it is known
    pid = os.fork()
    if not pid:
        _as_dvc(parent, output, json.loads(raw))
    os.setpgid(pid, pid)  # the child does it too: whoever comes first
    os.close(output)
    running[pid] = status
    try:
        os.write(status, b"%d\n" % pid)
    except BrokenPipeError:  # whoever asked did not wait for it
        os.kill(pid, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def _as_dvc(parent: int, output: int, asked: Mapping[str, Any]) -> NoReturn:
    """Be `dvc arguments` in the folder and the environment that were asked for, with both streams to `output`."""
    import ctypes

    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # as flows/repository/child.py: interrupted if the parent dies
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(here, there)
    _alone(asked["folder"], asked["environment"])

    def run() -> int:
        from dvc.cli import main
        from dvc.stage import run as running

        names = {name: getattr(subprocess, name) for name in ("check_output", "CalledProcessError")}
        running.subprocess = SimpleNamespace(Popen=_command, **names)  # type: ignore[assignment]
        sys.argv = ["dvc", *asked["arguments"]]
        return int(main(list(asked["arguments"])))

    _leave(run)


def _command(command: Sequence[str], **keywords: Any) -> Any:
    """What dvc starts for a stage: a fork of dvc itself if it has in memory what the command would import, else the command."""
    found = STAGE.fullmatch(command[-1])
    if found and _is_current(Path(keywords["cwd"]), keywords["env"]):
        return _Stage(found[1], keywords["cwd"], keywords["env"])
    return subprocess.Popen(command, **keywords)


def _is_current(folder: Path, environment: Mapping[str, str]) -> bool:
    """Whether a new Python process would import the same modules as are in memory."""
    if {name: value for name, value in environment.items() if not FREE.fullmatch(name)} != _before:
        return False
    for name in ("tasks", "headstart"):
        if name not in sys.modules or ((folder / name).exists() and not (folder / name).samefile(sys.modules[name].__path__[0])):
            return False
    files = {file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    try:  # modules that are made while PyTorch is imported have a name that is no path
        return all(max(state.st_mtime_ns, state.st_ctime_ns) < _began for state in map(os.stat, filter(os.path.isabs, files)))
    except OSError:
        return False


class _Stage:
    """The process of a stage, as far as dvc uses subprocess.Popen."""

    returncode: int

    def __init__(self, module: str, folder: str, environment: Mapping[str, str]) -> None:
        gc.freeze()
        self._pid = os.fork()
        if not self._pid:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _alone(folder, environment)
            _as_stage(module)

    def communicate(self) -> None:
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _as_stage(module: str) -> NoReturn:
    """Be `python -m module`."""
    import atexit
    import logging

    atexit._clear()  # what dvc has to do at its end
    logging.root.handlers.clear()
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = [module]

    def run() -> int:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0

    _leave(run)


def _alone(folder: str, environment: Mapping[str, str]) -> None:
    """Have the folder and environment, and no file open but the three streams."""
    for entry in list(Path("/proc/self/fd").iterdir()):  # objects that are still there never close theirs: gc.freeze
        if int(entry.name) > sys.stderr.fileno():
            with contextlib.suppress(OSError):
                os.close(int(entry.name))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]


def _leave(run: Callable[[], int]) -> NoReturn:
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


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
