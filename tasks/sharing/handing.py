"""How stages of one `dvc repro` share their imports: a process stands by (standby.py), and is forked for each.

Ten stages one after the other would each import the same for one to three seconds. The first one starts the process that stands by,
beside its own work, and another one for a stage that imports much of its own (APART). Those that come after hand over to it: they give it
their streams, folder and environment, and wait for the exit code. A stage starts as any command if nobody stands by, if the fork would not
be what `python -m` is (forks.py), outside Linux, and under a flow, which has its own way (flows/repository/forking.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from headstart.machinery import lock

SHELLS = {"sh", "dash", "bash", "zsh", "fish", "ksh", "busybox"}
FIRST, LAST = "tasks.index_images", "tasks.report"
# Stages that import for long what no other does: a process of its own stands by for each, having imported these.
APART = {"tasks.validate_data": ("tasks.index_images", "pyarrow.parquet", "great_expectations")}
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
REFUSED = b"no"
_started: list[subprocess.Popen[bytes]] = []  # it goes on when this process ends
dvc: int | None = None  # in a fork: the process id of dvc, which is no ancestor of it


def take_over() -> None:
    """Be the stage that this process was started for in a fork of the process that stands by, and exit as it does.

    Returns if there is none, having started one for the stages to come.
    """
    module = _stage()
    if module is None:
        return
    with contextlib.suppress(OSError):
        pid = caller()
        code = ask(address(pid, module), module, pid)
        if code is not None:
            _exit(code)
        if module == FIRST:
            _started.extend(start(address(pid, other), pid, imports) for other, imports in APART.items())
        if module != LAST:
            _started.append(start(address(pid), pid))


def _stage() -> str | None:
    """The stage that dvc has started this process for, by the name of its module; None if it is no such process."""
    if sys.platform != "linux" or "DVC_STAGE" not in os.environ or lock.VARIABLE in os.environ:
        return None
    words = sys.orig_argv[1:]
    return words[1] if len(words) == 2 and words[0] == "-m" and words[1].startswith("tasks.") else None


def caller() -> int:
    """The process id of who called us, dvc if it was dvc: the nearest ancestor that is no shell. Raises OSError if it is gone."""
    if dvc is not None:
        return dvc
    pid = os.getppid()
    while pid > 1:
        name, parent = status(pid)[:2]
        if name not in SHELLS:
            break
        pid = int(parent)
    return pid


def status(pid: int) -> tuple[str, str, str]:
    """Name, parent and start time of a process. Raises OSError if it is gone."""
    name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    words = rest.split()
    return name, words[1], words[19]


def address(pid: int, module: str = "") -> str:
    """Where the process for this dvc listens, for this interpreter and what it finds, that is forked for a stage. Raises OSError if dvc is gone."""
    seen = repr((sys.executable, sys.path, os.getuid(), pid, status(pid)[2], module if module in APART else ""))
    return f"\0headstart-{hashlib.sha256(seen.encode(errors='surrogateescape')).hexdigest()}"


def start(name: str, pid: int, imports: Iterable[str] = ()) -> subprocess.Popen[bytes]:
    """Start the process that stands by: it listens at `name` until dvc, the process `pid`, ends. `imports`: instead of those of stages.

    Raises OSError if dvc is gone, or no process can be started.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.sharing.standby", name[1:], str(pid), status(pid)[2], *imports],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("HEADSTART_DEBUG") else subprocess.DEVNULL,
        env=dict(os.environ),  # without what libraries have put in behind Python's back
        process_group=0,
    )


def ask(name: str, module: str, pid: int) -> int | None:
    """The exit code of `python -m module` in a fork of who listens at `name`, or minus its signal; None if nobody does it.

    `pid` is dvc. Signals that come meanwhile go to the fork.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect(name)
        if user(line) != os.getuid():
            return None
        asked = json.dumps({"module": module, "dvc": pid, "folder": str(Path.cwd()), "environment": dict(os.environ)}).encode()
        heard = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, lambda got, _: line.send(bytes([got]))) for number in heard}
        try:
            socket.send_fds(line, [struct.pack("!Q", len(asked))], [0, 1, 2])
            line.sendall(asked)
            answer = _all(line)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if answer == REFUSED:
            return None
        return int(answer) if answer else -signal.SIGKILL  # if nobody says it, it has ended with who would have
    return None


def _all(line: socket.socket) -> bytes:
    """What comes until the other end is closed."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := line.recv(64):
            parts.append(part)
    return b"".join(parts)


def user(line: socket.socket) -> int:
    """The user id of who is at the other end."""
    return int(struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[1])


def _exit(code: int) -> NoReturn:
    """End as the fork has ended."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)
