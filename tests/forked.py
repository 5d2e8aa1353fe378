"""dvc in processes that are forked from one that has it in memory: nearly all that a start of the command costs is imports.

Each call is a process of its own all the same: its folder, environment, streams, process group, exit code and signals are its own.
For tests in which the command is not the point; those of flows/repository/dvc.py, and all that starts `headstart`, use the command.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import forkserver, reduction
from pathlib import Path
from typing import IO, Any, NoReturn

from flows.repository import child
from tests import ROOT

_start = child.start


class Process:
    """One call of dvc, as far as the callers of flows.repository.child.start use what it returns. Its lines come from `stdout`."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        reading, writing = os.pipe()
        self.stdout = os.fdopen(reading, encoding="utf-8", errors="replace")
        self._process = _server().Process(target=_dvc, args=(reduction.DupFd(writing), arguments, dict(environment), Path.cwd()))
        self._process.start()
        os.close(writing)
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        """Its exit code, or minus its signal; None while it runs."""
        code: int | None = self._process.exitcode
        return code

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or minus its signal. Raises subprocess.TimeoutExpired if it still runs after `timeout` seconds."""
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired("dvc", timeout or 0.0)
        return code


def start(module: str, *arguments: str, output: int | IO[str], extra: Mapping[str, str] | None = None) -> Any:
    """As flows.repository.child.start, which starts everything but a dvc that writes to a pipe."""
    if module != "dvc" or output != subprocess.PIPE:
        return _start(module, *arguments, output=output, extra=extra)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return Process(arguments, {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "SHELL": "/bin/sh", **(extra or {})})


def _server() -> Any:
    """The context of the process that has dvc in memory; that process is started with the first call."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"{__name__}_preload"])
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([path] if path else [])])  # the only way to tell it where the module is
    try:
        forkserver.ensure_running()
    finally:
        if path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = path
    return context


def preload() -> None:
    """Import what dvc imports when it needs it. Starts nothing."""
    import dvc
    import dvc_data
    import networkx  # noqa: F401
    import pytest  # noqa: F401  (each process imports the main module of the tests)

    for package in (dvc, dvc_data):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda name: None):
            if not any(word in module.name for word in ("testing", "__main__", "__pyinstaller", "benchmark")):
                try:
                    importlib.import_module(module.name)
                except ImportError:
                    continue  # it needs a library that is not here


def _dvc(lines: Any, arguments: tuple[str, ...], environment: dict[str, str], folder: Path) -> NoReturn:
    """The process: `dvc arguments` in this folder and environment, both streams to `lines`."""
    from dvc.cli import main

    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    output = lines.detach()
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.close(output)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.argv = ["dvc", *arguments]
    sys.exit(main(list(arguments)))
