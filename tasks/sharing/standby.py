"""The process that stands by while dvc works, and is forked for its stages: `python -m tasks.sharing.standby NAME DVC BORN [IMPORT...]`.

Stages start it and find it by NAME (handing.py). It imports what they need, or each IMPORT, and ends with the process DVC that started at
BORN, or when no stage has come for long; what it was forked for ends with it (stage.py), and with the command that handed over.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
from collections import deque
from pathlib import Path
from typing import Any, NoReturn

from tasks.sharing import forks, handing, preloaded

PATIENCE = 10.0  # seconds in which who hands over says what
IDLE = 600.0  # seconds without a stage, after which nobody is waited for: dvc may be part of a program that goes on


class Standby:
    """Who listens at an address, and the stages that run in forks of this process."""

    def __init__(self, name: str) -> None:
        """Raises OSError if somebody listens there already."""
        self._origin = forks.Origin()
        self._running: dict[int, socket.socket | None] = {}  # who waits for each process
        self._told: list[socket.socket] = []  # who waits no more
        self.ear = socket.socket(socket.AF_UNIX)
        self.ear.bind(name)
        self.ear.listen()
        signal.signal(signal.SIGCHLD, lambda *_: self.reap())  # at once, also while something is imported

    def lines(self) -> list[socket.socket]:
        """Those who wait."""
        while self._told:
            self._told.pop().close()
        return [line for line in list(self._running.values()) if line]  # at once: a process may end meanwhile

    def take(self) -> None:
        """Fork this process for who has called, or refuse."""
        line, _ = self.ear.accept()
        descriptors: list[int] = []
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, ValueError, struct.error):  # who has called may be gone
            stack.callback(line.close)
            if handing.user(line) != os.getuid():
                return
            line.settimeout(PATIENCE)
            size, descriptors, _, _ = socket.recv_fds(line, 8, 3)
            asked = json.loads(_exactly(line, struct.unpack("!Q", size)[0]))
            if self._origin.is_current(Path(asked["folder"]), asked["environment"]):
                stack.pop_all()
                self._fork(line, descriptors, asked)
            else:
                line.sendall(handing.REFUSED)
        for descriptor in descriptors:
            os.close(descriptor)

    def _fork(self, line: socket.socket, descriptors: list[int], asked: dict[str, Any]) -> None:
        gc.freeze()
        pid = os.fork()
        if not pid:
            _as_stage(descriptors, asked)
        self._running[pid] = line

    def hear(self, line: socket.socket) -> None:
        """Pass on the signals that who waits has got; if it is gone, end what it waits for."""
        pid = next((pid for pid, who in list(self._running.items()) if who is line), None)
        if pid is None:
            return
        try:
            signals = line.recv(64)
        except OSError:
            signals = b""
        with contextlib.suppress(ProcessLookupError):
            for number in signals or [signal.SIGTERM]:
                os.kill(pid, number)
        if not signals:
            self._running[pid] = None
            self._told.append(line)

    def reap(self) -> None:
        """Tell the exit codes of those that have ended; what an import started is its own."""
        for pid, code in forks.ended(self._running):
            line = self._running.pop(pid)
            if line:
                with contextlib.suppress(OSError):
                    line.sendall(b"%d" % code)
                    line.shutdown(socket.SHUT_RDWR)
                self._told.append(line)  # and closed where nobody looks at it


def _exactly(line: socket.socket, size: int) -> bytes:
    """So many bytes. Raises OSError if the other end is closed before."""
    got = b""
    while len(got) < size:
        part = line.recv(size - len(got))
        if not part:
            raise BrokenPipeError("it said less than it was to say")
        got += part
    return got


def _as_stage(descriptors: list[int], asked: dict[str, Any]) -> NoReturn:
    """Be the stage that was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for here, there in zip(descriptors, range(3), strict=True):
        os.dup2(here, there)
    forks.alone(asked["folder"], asked["environment"])
    handing.dvc = asked["dvc"]
    forks.as_module(asked["module"])


def main(name: str, dvc: int, born: str, imports: list[str]) -> None:
    """Stand by until the process `dvc` ends."""
    try:
        watched = os.pidfd_open(dvc)
        if handing.status(dvc)[2] != born:
            return
        here = Standby(f"\0{name}")
    except OSError:  # it has ended, somebody stands by already, or Linux is older than 5.3
        return
    gc.disable()  # imports leave nothing to collect, and looking for it takes a sixth of their time
    left, woken = deque(imports), forks.woken()
    while True:
        lines = {line.fileno(): line for line in here.lines()}
        ready = select.select([watched, woken, here.ear.fileno(), *lines], [], [], 0 if left else None if lines else IDLE)[0]
        if watched in ready or not (ready or left):
            os._exit(0)
        if woken in ready:
            os.read(woken, 4096)
            here.reap()
        for number in ready:
            if number in lines:
                here.hear(lines[number])
        if here.ear.fileno() in ready:
            here.take()
        if left and not ready:
            with contextlib.suppress(Exception):  # who needs it will say so
                left.extendleft(reversed(preloaded.one(left.popleft())))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:] or list(preloaded.STAGES))
