"""Keep what a run left as a DVC experiment.

That is a commit under refs/exps with its parameters, data version, results and code.

`dvc exp save` is not used. It begins with `dvc commit --force`, which puts whatever lies in the workspace on record as made with the
parameters of the moment, and until it is done it takes the workspace apart (stash, detached HEAD), so that a kill leaves it so. Here
the commit is made from an index of its own; files, index, HEAD and branches are not touched, and `dvc exp list`, `show`, `apply`,
`push`, `pull` and `remove` take it for one of theirs.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from flows.projects import images
from flows.repository import dvc, git
from headstart import params
from headstart.machinery.errors import HeadstartError
from headstart.words import lists
from tasks import stage

GRAPH, LOCK = Path("dvc.yaml"), Path("dvc.lock")
FAILED = stage.STATE / "runs.jsonl"  # runs that did not finish, a line each; deleting it forgets only that they were tried
REFS = "refs/exps"
_EXPERIMENT = re.compile(rf"{REFS}/[0-9a-f]{{2}}/[0-9a-f]{{38,}}/([^/]+)")  # and not what DVC keeps beside them, refs/exps/exec/...


class Unfinished(TypedDict):
    """A run that did not finish: a line of FAILED."""

    name: str
    when: str  # ISO 8601
    state: str  # failed or cancelled
    error: NotRequired[str]
    data: NotRequired[str | None]  # version of the images


class Output(TypedDict, total=False):
    """How DVC treats an output."""

    cache: bool


class Stage(TypedDict, total=False):
    """A stage of dvc.yaml, as far as it is used here."""

    deps: list[str]
    params: list[str | Mapping[str, list[str] | None]]  # names in params.yaml, or names in another file by its path
    outs: list[str | dict[str, Output | None]]
    metrics: list[str | dict[str, Output | None]]
    plots: list[str | dict[str, Output | None]]


@contextlib.contextmanager
def kept(name: Callable[[], str], say: dvc.Say) -> Iterator[list[dvc.Outcome]]:
    """Around a run: yields the list for the outcomes of its stages, and keeps the run at the end.

    Call it under the run lock. A run that changed something becomes an experiment called name(), and data and weights go to the DVC
    remote if one is set. If either fails, `say` gets a warning, and nothing is raised; if there is no commit for an experiment to stand on,
    it is told so. A run that raises gets a line in .headstart/runs.jsonl.
    """
    outcomes: list[dvc.Outcome] = []
    before = _read(LOCK)
    try:
        yield outcomes
    except BaseException as error:
        with contextlib.suppress(Exception):
            _note_failure(name(), error)
        with contextlib.suppress(Exception):
            if back := _bring_back():
                say(back)
        raise
    try:
        ran = [outcome["stage"] for outcome in outcomes if outcome["outcome"] == "ran"]
        if not ran and _read(LOCK) == before and _is_kept():
            return
        if base():
            say(f"kept as experiment {experiment(name(), kind='run', ran=ran)}")
        else:
            say(f"this run is not kept for `headstart runs`: {git.problem()}")
    except Exception as error:
        say(f"warning: this run could not be kept as an experiment ({_short(error)}); its results are here all the same")
    try:
        if remote := dvc.remote():
            say(f"pushing data and weights to the DVC remote {remote}")
            say("; ".join(dvc.call("push")[-1:]))
    except Exception as error:
        say(f"warning: data and weights could not be pushed to the DVC remote ({_short(error)}); try `dvc push`")


def experiment(name: str, **facts: str | list[str]) -> str:
    """Make an experiment of the workspace as it is, and return its name.

    That is `name`, made fit for git, with a number if it is taken. The experiment holds every file of git's as it is now, and what the
    graph names and git does not have yet: parameters, dvc.lock, the record of the images, reports that DVC does not cache, code.
    `facts` go into its message as JSON. Raises GitError.
    """
    if not (start := base()):
        raise git.GitError(f"an experiment needs a commit: {git.problem()}")
    tree = _tree(start)
    message = f"headstart: {name}\n\n{json.dumps({'name': name, **facts}, ensure_ascii=False)}\n"
    commit = git.call("commit-tree", tree, "-p", start, given=message, extra=_identity()).strip()
    final = free_name(name)
    git.call("update-ref", f"{REFS}/{start[:2]}/{start[2:]}/{final}", commit, "0" * len(start))
    return final


def found() -> str | None:
    """The newest experiment on the last commit that holds all that is here; None if there is none.

    Raises GitError.
    """
    if not (start := base()):
        return None
    lines = git.call("for-each-ref", "--sort=-committerdate", "--format=%(tree) %(refname)", f"{REFS}/{start[:2]}/{start[2:]}").splitlines()
    tree = _tree(start)
    return next((ref.rpartition("/")[2] for kept, _, ref in (line.partition(" ") for line in lines) if kept == tree), None)


def recorded() -> list[Path]:
    """The files that tell what a run was, beside those that git has.

    They are what the graph names and DVC's cache does not hold. That takes in what lies in the rooms of code that stages depend on, less
    what git ignores. Raises GitError.
    """
    stages, cached = _stages(), set(outs(cached=True))
    deps = {Path(dep) for entry in stages.values() for dep in entry.get("deps") or []} - cached
    files = {Path(file) for entry in stages.values() for given in entry.get("params") or [] if isinstance(given, dict) for file in given}
    paths = {_record(path) if _record(path).exists() else path for path in {*deps, *files, *outs(cached=False)}}
    rooms = [path for path in deps if path.is_dir() and path != images.IMAGES and not _record(path).exists()]
    paths |= {
        params.PATH,
        GRAPH,
        LOCK,
        images.RECORD,
        images.IMAGES.parent / ".gitignore",
        *(path.parent / ".gitignore" for path in cached),
    }
    return sorted({*(path for path in paths if path.is_file()), *_new_in(rooms)})


def _new_in(folders: Sequence[Path]) -> list[Path]:
    """The files in folders that git neither has nor ignores. Raises GitError."""
    if not folders:
        return []
    listed = git.call("ls-files", "-z", "--others", "--exclude-standard", "--", *(f"{folder}/" for folder in folders))
    return [Path(name) for name in listed.split("\0") if name]


def outs(*, cached: bool) -> dict[Path, str]:
    """The outputs that DVC caches, or those that are left to git, each with the name of its stage."""
    paths = {}
    for name, entry in _stages().items():
        for out in [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]:
            for path, how in out.items() if isinstance(out, dict) else [(out, None)]:
                if (how or {}).get("cache", True) is cached:
                    paths[Path(path)] = name
    return paths


def experiments() -> dict[str, str]:
    """Every experiment of this repository and its commit, the oldest first. Raises GitError."""
    lines = git.call("for-each-ref", "--sort=committerdate", "--format=%(objectname) %(refname)", REFS).splitlines()
    matches = ((_EXPERIMENT.fullmatch(ref), commit) for commit, _, ref in (line.partition(" ") for line in lines))
    return {match[1]: commit for match, commit in matches if match}


def free_name(name: str) -> str:
    """`name` as git and DVC take it, with a number if an experiment of that name is there already."""
    fit = re.sub(r"[^A-Za-z0-9._-]+|\.\.+", "-", name).removesuffix(".lock").strip(".-")[:100] or "run"
    taken = {known.lower() for known in experiments()}  # some file systems do not mind case
    number, free = 1, fit
    while free.lower() in taken:
        number += 1
        free = f"{fit}-{number}"
    return free


def failures() -> Iterator[Unfinished]:
    """The runs that did not finish, the oldest first. Lines that are no record are passed by."""
    for line in (_read(FAILED) or b"").decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and {"name", "when", "state"} <= entry.keys():
                yield cast(Unfinished, entry)


def _bring_back() -> str:
    """That the last run's results can be had again, if dvc removed some of them before a stage that failed; else "".

    dvc removes the outputs of a stage before it runs.
    """
    gone = [path for path in [*outs(cached=True), *outs(cached=False)] if not path.exists()]
    kept = list(experiments()) if base() else []
    if not gone or not kept:
        return ""
    shown = lists.listing([str(path) for path in gone], 3)
    return f"{shown} of the last run were removed before this one failed; `headstart restore {kept[-1]}` brings its results back"


def _tree(start: str) -> str:
    """The workspace as a git tree, on top of that of the commit `start`."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        git.call("read-tree", start, extra=own)
        git.call("add", "--update", ".", extra=own)
        git.call("update-index", "--add", "-z", "--stdin", given="".join(f"{path}\0" for path in recorded()), extra=own)
        return git.call("write-tree", extra=own).strip()


def _stages() -> dict[str, Stage]:
    """The stages of the graph, by name."""
    from ruamel.yaml import YAML

    return dict((YAML(typ="safe").load(GRAPH.read_text(encoding="utf-8")) or {}).get("stages") or {})


def _record(path: Path) -> Path:
    """Where `dvc add` puts what it knows of a file or folder."""
    return path.with_name(f"{path.name}.dvc")


def _note_failure(name: str, error: BaseException) -> None:
    # Ctrl-C, Cancel in the Prefect UI, or the end of the worker: no Exception, but an order to stop
    state = "failed" if isinstance(error, Exception) else "cancelled"
    when = datetime.fromtimestamp(int(time.time())).astimezone().isoformat()
    entry: Unfinished = {"name": name, "when": when, "state": state, "data": images.version()}
    if state == "failed":
        entry["error"] = _short(error)
    FAILED.parent.mkdir(exist_ok=True)
    with FAILED.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def base() -> str | None:
    """The last commit, on which experiments are made; None if git is not in use.

    That means: no git, no repository, or nothing committed yet.
    """
    try:
        return git.call("rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
    except git.GitError:
        return None


def _is_kept() -> bool:
    """Whether dvc.lock as it is belongs to an experiment or to the last commit; True if there can be none."""
    if not (start := base()) or not LOCK.exists():
        return True
    names = [f"{commit}:./{LOCK}" for commit in [start, *experiments().values()]]
    known = git.call("cat-file", "--batch-check", given="".join(f"{name}\n" for name in names)).splitlines()
    return git.call("hash-object", str(LOCK)).strip() in {line.partition(" ")[0] for line in known}


def _identity() -> dict[str, str]:
    """Names for a commit if git has none: a run that nobody watches has nobody to configure git."""
    try:
        git.call("var", "GIT_COMMITTER_IDENT")
        git.call("var", "GIT_AUTHOR_IDENT")
    except git.GitError:
        return {
            f"GIT_{who}_{what}": text
            for who in ("AUTHOR", "COMMITTER")
            for what, text in (("NAME", "headstart"), ("EMAIL", "headstart@localhost"))
        }
    return {}


def _short(error: BaseException) -> str:
    """An error in a line: a dvc command's own last line, else the first of the message."""
    lines = error.lines[-1:] if isinstance(error, dvc.DvcError) else str(error).splitlines()[:1]
    text = lines[0].removeprefix("ERROR: ") if lines else ""
    return text if isinstance(error, HeadstartError) and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
