"""How a stage starts.

It reads its block of params.yaml, calls its function, and turns errors into messages and exit codes.

Every stage file ends with `stage.run(function)`. The flow learns why a stage stopped from .headstart/failure.json, and says so itself.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import inspect
import json
import logging
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from headstart import params
from headstart.base import executor, outputs
from headstart.data import settings
from headstart.data.settings import Setting, no_labels
from headstart.indexing import layout
from headstart.machinery import failure, lock, progress, system, terminal
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.params import Aim, Block, project_code
from headstart.params import idle as idling
from headstart.statistics import goals
from headstart.training import checkpoints
from tasks.sharing import handing

STATE = Path(".headstart")
FAILURE = STATE / "failure.json"
IMAGES = Path("data/images")


Arguments = Callable[[Callable[..., None]], dict[str, Block]]


def run(function: Callable[..., None], read: Arguments | None = None) -> None:
    """Run a stage function as a process of its own, and exit with a code.

    The code is 0, or that of the error the function raised.

    `read` gives the function's keyword-only arguments; left out, they come from params.yaml.
    """
    system.read_names_as_utf8()
    with terminal.plain_streams():
        _start(function, read)


def _start(function: Callable[..., None], read: Arguments | None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    die_with_parent()
    die_with_dvc()
    die_with_run()
    name = function.__name__
    try:
        if lock.VARIABLE not in os.environ:  # a flow has looked before its first stage
            project_code.check()
        with lock.hold(f"dvc repro, stage {name}"):
            _run(function, read or arguments)
    except HeadstartError as error:
        if lock.VARIABLE not in os.environ or not FAILURE.exists():  # a flow reads the note and says it, once
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(function: Callable[..., None], read: Arguments) -> None:
    """Run the function under the lock, and note how long it took, or why it failed.

    What it trains goes on from where a killed run was.
    """
    name = function.__name__
    FAILURE.unlink(missing_ok=True)
    remove_leftovers(function)
    started = time.monotonic()
    try:
        with checkpoints.keeping(), executor.using(params.load().executor), unchanged(function, read):
            if setting := idle(name):
                idling.leave(name, f"{setting.title}, so there is nothing to do")
                print(f"{setting.title}: nothing to do")
            else:
                function(**read(function))
        note(
            STATE / "timings" / f"{name}.json",
            {"stage": name, "seconds": round(time.monotonic() - started, 2), "work": progress.finished},
        )
    except Exception as error:
        note(FAILURE, failure.of(name, error))
        raise


def idle(name: str, images: Path = IMAGES) -> Setting | None:
    """The setting of the images if this stage has nothing to do in it; None if it has."""
    setting = settings.of(images)
    return setting if name in setting.idle else None


@contextlib.contextmanager
def unchanged(function: Callable[..., None], read: Arguments | None = None) -> Iterator[None]:
    """Check that nobody changed the images or the parameters while the stage read them.

    Raises DataError or ParamsError.

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
    """A hash of the names, sizes and modification times below a folder; reads no file.

    If there is no such folder, it is the hash of nothing.
    """
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


def remove_leftovers(function: Callable[..., None]) -> None:
    """Remove what a killed run of this stage had begun to write beside its outputs.

    This is done under the run lock. outputs.whole gives such files their names.
    """
    for parameter in inspect.signature(function).parameters.values():
        if isinstance(parameter.default, Path):
            for left in parameter.default.parent.glob(f".{glob.escape(parameter.default.name)}.*"):
                if left.suffix[1:].isdigit():
                    shutil.rmtree(left) if left.is_dir() else left.unlink()


def arguments(function: Callable[..., None]) -> dict[str, Block]:
    """The keyword-only arguments of a stage function, from params.yaml.

    Each is of the type that the function's signature names.

    `block` is the block of the stage's name, `shared` the top of the file, any other name the block of that name. A stage that names a
    type with fewer fields (Seeded for Shared, Repeats for Verdict) is given, and depends on, these alone.
    """
    everything = params.load()
    check_aim(everything.aim)
    blocks = {**dict(everything), "shared": everything}
    if function.__name__ in blocks:
        blocks["block"] = blocks[function.__name__]
    return {name: narrowed(blocks[name], kind) for name, kind in wanted(function).items()}


def check_aim(aim: Aim, images: Path = IMAGES) -> None:
    """Raise ParamsError if the aim names a class for which there is no folder of images: at once, not when the head is trained."""
    if aim.label and not no_labels.marked(images) and (classes := layout.class_names(images)):
        goals.check_label(aim.label, classes)


def wanted(function: Callable[..., None]) -> dict[str, type[Block]]:
    """The types of a stage function's keyword-only arguments, by name."""
    signature = inspect.signature(function, eval_str=True)
    return {p.name: p.annotation for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}


def narrowed(block: Block, kind: type[Block]) -> Block:
    """What a block holds of the fields of `kind`."""
    return kind.model_validate({name: getattr(block, name) for name in kind.model_fields})


def note(path: Path, content: Mapping[str, object]) -> None:
    """Write a small JSON file whole or not at all, in ASCII.

    ASCII, because a message may name a file whose name is not valid UTF-8.
    """
    with outputs.whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, so that a killed run leaves no orphan writing.

    Elsewhere: nothing.
    """
    if sys.platform == "linux":
        import ctypes
        import signal

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def die_with_dvc() -> None:
    """Under dvc on Linux, end this process and its workers when dvc is gone.

    It is dvc that would have recorded what we make.

    The parent-death signal alone is not enough: a shell that stays between dvc and us (dash does) hides dvc's death from us.
    """
    if "DVC_STAGE" not in os.environ or sys.platform != "linux":
        return
    import select

    try:
        pid = handing.caller()
        dvc = os.pidfd_open(pid)
    except OSError:  # gone before we looked, or a kernel before 5.3
        return
    if pid == 1 and b"dvc" not in Path("/proc/1/cmdline").read_bytes():
        _end()  # dvc died while we started: our shell has been left to another parent
    _watch(dvc, select.POLLIN)


def die_with_run() -> None:
    """Under a flow, end this process and its workers when the flow is gone.

    The flow reads our output. dvc waits for us to end, so that it can release its locks.
    """
    if lock.VARIABLE not in os.environ or sys.platform == "win32" or not stat.S_ISFIFO(os.fstat(1).st_mode):
        return
    # dvc gets its own signal first, which it ignores while we run; later it would break off releasing its locks
    _watch(1, 0, 0.5)


def _watch(descriptor: int, events: int, patience: float = 0.0) -> None:
    """End this process `patience` seconds after something has come to a descriptor.

    That is one of the events, or the closing of the other end.
    """
    import select
    import threading

    def watch() -> None:
        other = select.poll()
        other.register(descriptor, events)
        other.poll()
        time.sleep(patience)
        _end()

    threading.Thread(target=watch, daemon=True).start()


def _end() -> None:
    """End this process's workers and itself."""
    import multiprocessing
    import signal

    for worker in multiprocessing.active_children():
        worker.terminate()
    os.kill(os.getpid(), signal.SIGTERM)
