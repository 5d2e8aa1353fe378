"""The process from which dvc and the stages are forked: `python -m flows.repository.forking DESCRIPTOR`, started by flows/repository/warm.py.

It imports once what each dvc and each stage of a run would import anew, some 3 seconds of computing each
(tasks/sharing/forks.py).

A stage is forked by dvc, which waits for it as for a command: dvc's death ends it, and dvc's process group is its own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from tasks.sharing import forks, handing, preloaded

STAGE = re.compile(r"python -m (tasks\.\w+)")
DVC, MORE = b"d", b"m"  # what is asked for: to run dvc, to import what stages need
_origin = forks.Origin()


def main(line: socket.socket) -> NoReturn:
    """Serve what comes along `line` until its other end is closed."""
    running: dict[int, int] = {}  # where the exit code of each process is to be written
    signal.signal(signal.SIGCHLD, lambda *_: _reap(running))  # at once, also while something is imported
    gc.disable()  # as in tasks/sharing/standby.py
    imports, woken = deque(preloaded.DVC), forks.woken()
    while True:
        ready = select.select([line.fileno(), woken], [], [], 0 if imports else None)[0]
        if woken in ready:
            os.read(woken, 4096)
            _reap(running)
        if line.fileno() in ready:
            asked, descriptors, _, _ = socket.recv_fds(line, 1, 3)
            if not asked:
                os._exit(0)  # nobody is there any more; what still runs is interrupted by Linux
            if asked == MORE:
                imports.extend([*chain(*handing.APART.values()), *preloaded.STAGES])
            else:
                _fork(running, *descriptors)
        elif imports:
            with contextlib.suppress(Exception):  # who needs it will say so
                imports.extendleft(reversed(preloaded.one(imports.popleft())))


def _reap(running: dict[int, int]) -> None:
    """Tell the exit codes of those that have ended; what an import started is its own."""
    for pid, code in forks.ended(running):
        status = running.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(status, b"%d\n" % code)
        os.close(status)


def _fork(running: dict[int, int], request: int, output: int, status: int) -> None:
    """Fork a dvc. Its process id and later its exit code are written to `status`, a line each."""
    with os.fdopen(request, "rb") as file:
        raw = file.read()
    gc.freeze()
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _as_dvc(parent, output, json.loads(raw))
    os.setpgid(pid, pid)  # the child does it too: whoever comes first
    os.close(output)
    try:
        os.write(status, b"%d\n" % pid)
    except BrokenPipeError:  # whoever asked did not wait for it
        os.kill(pid, signal.SIGKILL)
    running[pid] = status


def _as_dvc(parent: int, output: int, asked: Mapping[str, Any]) -> NoReturn:
    """Be `dvc arguments` in the folder and the environment that were asked for, with both streams to `output`."""
    import ctypes

    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # as flows/repository/child.py: interrupted if the parent dies
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(here, there)
    forks.alone(asked["folder"], asked["environment"])

    def run() -> int:
        from dvc.cli import main
        from dvc.stage import run as running

        names = {name: getattr(subprocess, name) for name in ("check_output", "CalledProcessError")}
        running.subprocess = SimpleNamespace(Popen=_command, **names)  # type: ignore[assignment]
        sys.argv = ["dvc", *asked["arguments"]]
        return int(main(list(asked["arguments"])))

    forks.leave(run)


def _command(command: Sequence[str], **keywords: Any) -> Any:
    """What dvc starts for a stage: a fork of dvc itself if it has in memory what the command would import, else the command."""
    found = STAGE.fullmatch(command[-1])
    if found and _origin.is_current(Path(keywords["cwd"]), keywords["env"]):
        return _Stage(found[1], keywords["cwd"], keywords["env"])
    return subprocess.Popen(command, **keywords)


class _Stage:
    """The process of a stage, as far as dvc uses subprocess.Popen."""

    returncode: int

    def __init__(self, module: str, folder: str, environment: Mapping[str, str]) -> None:
        gc.freeze()
        self._pid = os.fork()
        if not self._pid:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            forks.alone(folder, environment)
            forks.as_module(module)

    def communicate(self) -> None:
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
