"""dvc in processes that are forked from one that has it in memory already: nine tenths of what a start of the command costs is imports.

Each call is a process of its own all the same: its folder, environment, streams, process group, exit code and signals are its own.
For tests in which the command is not the point; tests/flows/repository/test_dvc.py and all that starts `headstart` use the command.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import reduction
from pathlib import Path
from typing import IO, Any, NoReturn

from flows.repository import child

_CONTEXT: Any = multiprocessing.get_context("forkserver")
_real = child.start


class Process:
    """What subprocess.Popen is to its callers in flows/repository: one process of dvc, whose lines are `stdout`."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        _CONTEXT.set_forkserver_preload([f"{__package__}.dvc_in_memory"])
        reading, writing = os.pipe()
        self.stdout = os.fdopen(reading, encoding="utf-8", errors="replace")
        lines = reduction.DupFd(writing)  # sent along when the process starts
        self._process = _CONTEXT.Process(target=_dvc, args=(lines, arguments, dict(environment), Path.cwd()))
        self._process.start()
        os.close(writing)
        self.pid = int(self._process.pid)

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or less its signal. Raises subprocess.TimeoutExpired where it runs for longer."""
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired("dvc", timeout or 0.0)
        return code


def start(module: str, *arguments: str, output: int | IO[str], extra: Mapping[str, str] | None = None) -> Any:
    """As flows.repository.child.start, for dvc with a pipe; anything else is started by that."""
    if module != "dvc" or output != subprocess.PIPE:
        return _real(module, *arguments, output=output, extra=extra)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return Process(arguments, {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "SHELL": "/bin/sh", **(extra or {})})


def _dvc(lines: Any, arguments: tuple[str, ...], environment: dict[str, str], folder: Path) -> NoReturn:
    """The process: `dvc arguments` in this folder and environment."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    output = lines.detach()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(output, stream.fileno())
    os.close(output)
    sys.argv = ["dvc", *arguments]
    from dvc.cli import main

    code = main(list(arguments))
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.exit(code)
