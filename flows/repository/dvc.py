"""The only caller of the dvc command: add and fetch data, reproduce one stage, say whether it ran."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

from flows.repository import child, git, warm
from headstart.machinery import failure, progress
from headstart.machinery.errors import BusyError, DataError, HeadstartError, ParamsError
from tasks import stage

Say = Callable[[str], None]
# Why something is not up to date: "changed command", or {"changed deps": {"data/images": "modified"}}.
Reason = str | Mapping[str, Mapping[str, object]]
MARKS = Path(".dvc/tmp/rwlock")
ERRORS: dict[int, type[HeadstartError]] = {kind.exit_code: kind for kind in (HeadstartError, ParamsError, DataError, BusyError)}
# What dvc says around a stage and the reader of a run does not need.
_CHATTER = re.compile(
    r"\s*$|To track the changes with git|To enable auto staging|\t(git add|dvc config) |Use `dvc push`|(Updating|Generating) lock file"
    r"|Data and pipelines are up to date|Stage '.*' (didn't change|is cached)|Running stage '|> |ERROR: failed to reproduce '"
    r"|Having any troubles\?"
)
# What dvc and the libraries below it write if a remote does not answer, as far as they say so.
_NO_ANSWER = re.compile(
    r"(could not|cannot|unable to|failed to) (connect|establish a new connection)|connect call failed|connection (was )?(refused|reset|aborted|closed|lost)"
    r"|timed? ?out|name or service not known|nodename nor servname|name resolution|getaddrinfo|network is (unreachable|down)|no route to host"
    r"|server disconnected|service unavailable|bad gateway|gateway time-?out|max retries exceeded",
    re.IGNORECASE,
)
# What dvc writes if the kernel ended the command of a stage for memory, or what the command wrote last.
_NO_MEMORY = re.compile(r"out of memory|exited with (-9|137)\b")


class Outcome(TypedDict):
    """What became of a stage. JSON types only: it is a Prefect result."""

    stage: str
    outcome: Literal["cached", "ran"]
    seconds: float


class Uncommitted(TypedDict, total=False):
    """What lies here and is not on record."""

    added: list[str]
    modified: list[str]


class DataStatus(TypedDict, total=False):
    """What `dvc data status --json` says, as far as it is used."""

    not_in_cache: list[str]  # what is on record and not there
    uncommitted: Uncommitted


class DvcError(HeadstartError):
    """A dvc command failed. `lines` are the last ones that it wrote.

    `killed` says whether signal 9 ended dvc itself. It may pass if the kernel ended a process for memory, which it does with signal 9;
    dvc says so of the command of a stage.
    """

    def __init__(self, message: str, lines: list[str], *, killed: bool = False) -> None:
        super().__init__("\n".join([message, *(f"  {line}" for line in lines)]))
        self.lines = lines
        self.killed = killed
        self.may_pass = killed or any(map(_NO_MEMORY.search, lines))


def check_place(folder: Path) -> None:
    """Raise HeadstartError for a folder in which DVC fails without saying why: one whose path has braces, or is not UTF-8."""
    path = str(folder.absolute())
    what = "is not valid UTF-8" if any("\ud800" <= letter <= "\udfff" for letter in path) else ""
    what = what or ("holds a brace" if "{" in path or "}" in path else "")
    if what:
        raise HeadstartError(f"the path of the project, {path}, {what}, and DVC cannot work there; give the folder another name")


def call(*arguments: str, say: Say | None = None, extra: Mapping[str, str] | None = None) -> list[str]:
    """Run `dvc --wait-for-lock arguments`, and return the last 500 lines that it writes.

    Each line except the chatter goes to `say` as it comes. `extra` is added to its environment. Whatever interrupts the wait ends dvc
    and everything it started. Raises DvcError, and HeadstartError for a folder in which dvc does not work.
    """
    check_place(Path.cwd())
    lines: deque[str] = deque(maxlen=500)
    environment = {"DVC_NO_ANALYTICS": "1", **_own_settings(), **(extra or {})}
    process = warm.dvc("--wait-for-lock", *arguments, extra=environment)
    try:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.rstrip()
            lines.append(line)
            if say and not _CHATTER.match(line):
                say(line)
        code = process.wait()
    finally:
        child.stop(process)
    if code:
        useful = [line for line in lines if line.startswith("ERROR") or not _CHATTER.match(line)]
        message = f"`dvc {' '.join(arguments)}` failed ({_how(code)}); the last it said:"
        if killed := code == -signal.SIGKILL:
            forget_dead()  # what was killed while it wrote its marks would stop the next dvc
        raise DvcError(message, useful[-10:] or [_silence()], killed=killed)
    return list(lines)


def _own_settings() -> dict[str, str]:
    """Another home for DVC (and the git in it) if it may not look for settings in the user's, as after `sudo` without -H.

    It would fail without a word.
    """
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
        (home / "dvc/config").stat()
    except (PermissionError, NotADirectoryError):
        own = str((stage.STATE / "home").resolve())
        return {"HOME": own, "DVC_GLOBAL_CONFIG_DIR": own}
    except (OSError, RuntimeError):  # no such file, or nobody's home
        pass
    return {}


def _silence() -> str:
    """A reason for a dvc command that failed and gave none, as it does with --quiet."""
    return git.problem() or "nothing; the same command by hand, without --quiet, may say more"


def forget_dead() -> None:
    """Remove the marks of dvc processes that were killed.

    dvc takes them for busy if zombies stay, and fails at torn ones. Call it under the run lock, or if a dvc of one's own was killed. Marks
    of a process that lives are left alone.
    """
    for _ in range(2):  # a torn file may be one that is just being written
        try:
            marks = json.loads(MARKS.read_text(encoding="utf-8"))
            infos = [info for kind in marks.values() for held in kind.values() for info in (held if isinstance(held, list) else [held])]
            if any(child.alive(info["pid"]) for info in infos):
                return
        except FileNotFoundError:
            return
        except (ValueError, AttributeError, TypeError, KeyError):
            time.sleep(0.1)
            continue
        break
    MARKS.unlink(missing_ok=True)


def add(path: Path, say: Say | None = None) -> None:
    """Record a data folder as it is now. If nothing changed, PATH.dvc keeps its bytes."""
    call("add", "--quiet", str(path), say=say)


def fetch(path: Path, say: Say | None = None, pauses: Sequence[float] = ()) -> None:
    """Bring back a data folder that is recorded in PATH.dvc and gone.

    It comes from the cache, else from the remote, as with `pull`, which see for `pauses`. Raises DvcError.
    """
    target = f"{path}.dvc"
    try:
        call("checkout", target)  # unheard: in a fresh clone it fails, as the cache is empty
    except DvcError:
        pull(target, say=say, pauses=pauses)


def pull(*targets: str, say: Say | None = None, pauses: Sequence[float] = ()) -> None:
    """Bring what is on record from the remote.

    If it does not answer, try again after each of the pauses (seconds). Raises DvcError.
    """
    for pause in (*pauses, None):
        try:
            call("pull", *targets, say=say)
            return
        except DvcError as error:
            away = _away(error)
            if not away:
                raise
            if pause is None:
                raise DvcError(str(error).splitlines()[0], [*error.lines, away]) from None
            if say:
                say(f"{away}; trying again in {pause:.0f} seconds")
            time.sleep(pause)


def _away(error: DvcError) -> str:
    """That the remote does not answer, in words; "" if it does, or if there is none.

    dvc itself takes a folder or a web server that is away for one that lacks the files, so these are looked at.
    """
    try:
        name = remote()
        url = call("config", f"remote.{name}.url")[-1].strip() if name else ""
    except (DvcError, IndexError):
        return ""
    scheme = url.partition("://")[0] if "://" in url else ""
    if any(map(_NO_ANSWER.search, error.lines)):
        away = True
    elif scheme in ("http", "https"):
        away = not _answers(url)
    else:
        away = bool(url) and not scheme and not Path(url).exists()
    shown = re.sub("//[^/]*@", "//", url)  # without a password
    return f"the DVC remote {name} ({shown}) does not answer" if away else ""


def _answers(url: str) -> bool:
    """Whether a web server does, and does not say itself that it cannot at the moment."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=20):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def remote() -> str | None:
    """The name of the default remote, None if none is set. Raises DvcError."""
    lines = call("config", "core.remote")
    return lines[-1].strip() or None if lines else None


def data_status(*, granular: bool = False) -> DataStatus:
    """What `dvc data status` says, about files inside folders too if `granular`. Raises DvcError."""
    found: DataStatus = json.loads(_object(call("data", "status", "--json", *(["--granular"] if granular else []))))
    return found


def status() -> dict[str, list[Reason]]:
    """The stages and records that are not up to date, each with the reasons.

    As `dvc status --json` gives them. Raises DvcError.
    """
    found: dict[str, list[Reason]] = json.loads(_object(call("status", "--json")))
    return found


def _object(lines: list[str]) -> str:
    """The JSON object among the lines, some of which may be warnings."""
    found = [line for line in lines if line.startswith("{")]
    return found[-1] if found else "{}"


def repro(name: str, *, force: bool = False, say: Say | None = None, events: Path | None = None) -> Outcome:
    """Reproduce one stage and nothing before it.

    The stage appends its progress to the file `events`, if one is given (headstart/machinery/progress.py). Raises the error that the
    stage noted in .headstart/failure.json, with its exit code, or DvcError with the last lines, of which only dvc's own errors if `say`
    has told all.
    """
    stage.FAILURE.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        extra = {progress.VARIABLE: str(events.resolve())} if events else {}
        lines = call("repro", "--single-item", *(["--force"] if force else []), name, say=say, extra=extra)
    except DvcError as error:
        last = [line for line in error.lines if line.startswith("ERROR") or not say]
        raise _reason(name) or DvcError(f"stage {name} failed; the last it said:", last, killed=error.killed) from None
    ran = any(line.startswith(f"Running stage '{name}'") for line in lines)
    return {"stage": name, "outcome": "ran" if ran else "cached", "seconds": round(time.monotonic() - started, 1)}


def _reason(name: str) -> HeadstartError | None:
    """The error that the stage itself noted, if it got that far."""
    noted = failure.read(stage.FAILURE)
    if noted is None or noted["stage"] != name:
        return None
    error = ERRORS.get(noted["exit_code"], HeadstartError)(noted["message"])
    error.may_pass = noted["may_pass"]
    return error


def _how(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"ended by signal {-code}"
