"""How a stage starts: read its block of params.yaml, call its function, turn errors into messages and exit codes.

Every stage file ends with `stage.run(function)`. The flow learns why a stage stopped from .headstart/failure.json, and says so itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from headstart import lock, outputs, params, progress
from headstart.errors import DataError, HeadstartError, ParamsError

STATE = Path(".headstart")
FAILURE = STATE / "failure.json"


Arguments = Callable[[Callable[..., None]], dict[str, Any]]


def run(function: Callable[..., None], read: Arguments | None = None) -> None:
    """Run a stage function as a process of its own, and exit with 0 or with the code of the error it raised.

    `read` gives the function's keyword-only arguments; left out, they come from params.yaml.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    die_with_parent()
    die_with_run()
    name = function.__name__
    try:
        with lock.hold(f"dvc repro, stage {name}"):
            _run(function, read or arguments)
    except HeadstartError as error:
        if lock.VARIABLE not in os.environ or not FAILURE.exists():  # a flow reads the note and says it, once
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(function: Callable[..., None], read: Arguments) -> None:
    """Run the function under the lock, and note how long it took, or why it failed."""
    name = function.__name__
    FAILURE.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        with unchanged(function, read):
            function(**read(function))
        note(
            STATE / "timings" / f"{name}.json",
            {"stage": name, "seconds": round(time.monotonic() - started, 2), "work": progress.finished},
        )
    except HeadstartError as error:
        note(FAILURE, {"stage": name, "exit_code": error.exit_code, "message": str(error)})
        raise
    except Exception as error:
        message = f"stage {name} failed with {type(error).__name__}: {error}"
        note(FAILURE, {"stage": name, "exit_code": 1, "message": message})
        raise


@contextlib.contextmanager
def unchanged(function: Callable[..., None], read: Arguments | None = None) -> Iterator[None]:
    """Check that nobody changed the images or the parameters while the stage read them. Raises DataError or ParamsError.

    DVC hashes both after a stage has run, so it would record outputs of the old ones as made from the new ones, for good.
    """
    images = inspect.signature(function).parameters.get("images")
    read = read or arguments
    values, files = read(function), fingerprint(images.default) if images else ""
    yield
    if images and fingerprint(images.default) != files:
        raise DataError(f"{images.default} changed while {function.__name__} was reading it, so its result does not count: run again")
    if read(function) != values:
        raise ParamsError(
            f"{'the parameters' if read is not arguments else params.PATH} changed while {function.__name__} was running, so its result does not count: run again"
        )


def fingerprint(folder: Path) -> str:
    """A hash of the names, sizes and modification times below a folder, of nothing if there is none; reads no file."""
    total = 0
    folders = [os.fspath(folder)] if folder.is_dir() else []
    while folders:
        for entry in os.scandir(folders.pop()):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            state = entry.stat(follow_symlinks=entry.is_file())
            mark = repr((entry.path, state.st_mode, state.st_size, 0 if entry.is_dir() else state.st_mtime_ns))
            digest = hashlib.blake2b(mark.encode(errors="surrogateescape"), digest_size=16).digest()
            total = (total + int.from_bytes(digest)) % 2**128  # a sum, so that the order of listing does not matter
    return f"{total:032x}"


def arguments(function: Callable[..., None]) -> dict[str, Any]:
    """The keyword-only arguments of a stage function, from params.yaml: the top-level seed and the block of its name."""
    everything = params.load()
    known = {**everything.model_dump(), **params.kwargs(everything, function.__name__)}
    wanted = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {name: known[name] for name in wanted}


def note(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file whole or not at all, in ASCII: a message may name a file whose name is not valid UTF-8."""
    with outputs.whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, so that a killed run leaves no orphan writing. Elsewhere: nothing."""
    if sys.platform == "linux":
        import ctypes
        import signal

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def die_with_run() -> None:
    """Under a flow, end this process and its workers when the flow, who reads our output, is gone.

    The parent-death signal alone is not enough: a shell that stays between dvc and us (dash does) hides dvc's death from us, and
    dvc waits for us so as to release its locks.
    """
    if lock.VARIABLE not in os.environ or sys.platform == "win32" or not stat.S_ISFIFO(os.fstat(1).st_mode):
        return
    import multiprocessing
    import select
    import signal
    import threading

    def watch() -> None:
        output = select.poll()
        output.register(1, 0)  # for nothing but the closing of the other end
        output.poll()
        time.sleep(0.5)  # dvc gets its own signal first, which it ignores while we run; later it would break off releasing its locks
        for worker in multiprocessing.active_children():
            worker.terminate()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
