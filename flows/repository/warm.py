"""dvc and the stages of a run, forked from one process that has their imports in memory.

Nearly all that a start of dvc costs is imports, a second of them, and so are two to three seconds of a stage. `kept` starts the process
and does not wait for it. Without it, outside Linux, or if it is gone, dvc is started as any command. It ends with `kept`, or with us.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from flows.repository import child, forking


class Server:
    """The process from which is forked, seen from here."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", forking.__name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("HEADSTART_DEBUG") else subprocess.DEVNULL,
                env=child.environment({"DVC_NO_ANALYTICS": "1"}),
                pass_fds=[theirs.fileno()],
                process_group=0,
            )

    def ask(self, what: bytes, *descriptors: int) -> None:
        """Raises OSError if the process is gone."""
        socket.send_fds(self._line, [what], descriptors)

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._line.close()
        self._process.kill()  # it holds nothing that could be lost, and may be busy importing
        self._process.wait()


class Forked:
    """A dvc that was forked, as far as the callers of child.start use what it returns. Its lines come from `stdout`."""

    def __init__(self, server: Server, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        """Raises OSError if the process from which is forked is gone."""
        asked = json.dumps({"arguments": arguments, "environment": dict(environment), "folder": str(Path.cwd())})
        (request, asking), (output, writing), (status, telling) = os.pipe(), os.pipe(), os.pipe()
        self.stdout = os.fdopen(output, encoding="utf-8", errors="replace")
        self._status = os.fdopen(status, "rb", buffering=0)
        self._code: int | None = None
        try:
            with os.fdopen(asking, "w") as file:
                try:
                    server.ask(forking.DVC, request, writing, telling)
                finally:
                    for theirs in (request, writing, telling):
                        os.close(theirs)
                file.write(asked)
            if not (line := self._status.readline()):
                raise BrokenPipeError("the process from which dvc is forked has ended")
            self.pid = int(line)
        except BaseException:  # from now on nobody reads: then it is killed
            self._status.close()
            self.stdout.close()
            raise

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or minus its signal. Raises subprocess.TimeoutExpired if it still runs after `timeout` seconds."""
        if self._code is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("dvc", timeout or 0.0)
            self._code = int(self._status.readline() or -signal.SIGKILL)  # if nobody says it, it was interrupted with who would have
            self._status.close()
        return self._code


_server: Server | None = None


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Have dvc forked within, if that can be had here."""
    global _server
    mine = None
    if _server is None and sys.platform == "linux":
        with contextlib.suppress(OSError):
            mine = _server = Server()
    try:
        yield
    finally:
        if mine:
            _server = None
            mine.end()


def stages() -> None:
    """Have what stages import imported too: some will run."""
    if _server:
        with contextlib.suppress(OSError):
            _server.ask(forking.MORE)


def dvc(*arguments: str, extra: Mapping[str, str]) -> child.Running:
    """Start `dvc arguments`; its lines are to be read from the `stdout` of what comes back. `extra` is added to its environment."""
    if _server and _server.alive():
        with contextlib.suppress(OSError):
            return child.running(Forked(_server, arguments, child.environment(extra)))
    return child.start("dvc", *arguments, output=subprocess.PIPE, extra=extra)
