"""Bring the workspace back to a past run: parameters, images, models and reports.

What is here is kept first. Code stays as it is.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from flows.experiments import runs, save
from flows.forms import given
from flows.projects import images
from flows.repository import dvc, git
from headstart import params
from headstart.base import outputs
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.params import project_code
from tasks import stage

UNDERWAY = stage.STATE / "restoring.json"  # there while a restore is
RECORDS = (save.LOCK, images.RECORD)
_Files = Mapping[Path, bytes | None]  # None: not there


class Underway(TypedDict):
    """What a restore notes of itself, in UNDERWAY."""

    run: str  # what is restored
    kept: str  # the experiment of what was here before
    force: bool
    bring: bool  # whether it has begun to change the workspace


def restore(name: str, *, force: bool = False, say: dvc.Say) -> str:
    """Make the workspace what it was after the run that `name` means (runs.find), and return what to tell the user.

    Call it under the run lock. By the time that anything changes, what is here is kept as an experiment and all that the run needs is
    in DVC's cache. Raises ParamsError for an unknown run or for parameters that this version does not take, DataError for data that
    cannot be had, and HeadstartError if something here is on no record and would be lost, unless `force`: then all is as it was.
    """
    run = runs.find(name)
    name = run.name  # a number may mean another run later
    files = _files(run)
    try:
        images.tidy(say)
        finish(say)
    except HeadstartError as error:  # an earlier restore cannot be finished; what was here before it is kept
        if not force:
            raise
        say(f"warning: {error}")
    try:
        if images.IMAGES.is_dir():
            images.record(say)
        _refuse_losses()
    except HeadstartError as error:
        if not force or isinstance(error, dvc.DvcError):
            raise
        say(f"warning: {error}")
    kept = save.found() or save.experiment(f"before-{re.sub('^(before-)+', '', name)}", kind="before", restored=name)
    note: Underway = {"run": name, "kept": kept, "force": force, "bring": False}
    outputs.write_json(UNDERWAY, note)
    _fetch(files, say)
    outputs.write_json(UNDERWAY, {**note, "bring": True})
    _bring(run.name, files, force=force, kept=kept)
    return "\n".join(_told(run, kept))


def finish(say: dvc.Say) -> None:
    """End a restore that was killed.

    Nobody is to work with the parameters of one run and the images of another. Call it under the run lock. If the restore had begun to
    change the workspace, it is completed; else the records that it had lent are put back. Raises HeadstartError if that fails.
    """
    note = cast(Underway, outputs.read_object(UNDERWAY))
    if not note:
        return
    name, kept = note["run"], note["kept"]
    files, before = _files(runs.find(name)), _files(runs.find(kept))
    if note["bring"]:
        say(f"`headstart restore {name}` was killed half-way and is finished now; what was here before is kept as {kept}")
        now = outputs.read_bytes(params.PATH)
        if now not in (files[params.PATH], before[params.PATH]):
            say(f"{params.PATH} was edited since; that is kept as {save.experiment(f'before-{name}', kind='before', restored=name)}")
        _bring(name, files, force=note["force"], kept=kept)
    else:
        outputs.put_back({path: before[path] for path in RECORDS if outputs.read_bytes(path) == files[path]})
        UNDERWAY.unlink()


def fetch_outputs(say: dvc.Say, pauses: Sequence[float] = ()) -> None:
    """In a fresh clone, bring what finished stages left from the remote.

    A run need not make it again then. Call it under the run lock. Only what is on record and not here is brought, and nothing of stages
    whose own inputs were changed. A remote that does not answer is asked again after each of the pauses (seconds); what cannot be had
    is made again.
    """
    lock = _locked(outputs.read_bytes(save.LOCK))
    absent = {stage for path, stage in save.outs(cached=True).items() if stage in lock and not path.exists()}
    try:
        if not absent or not dvc.remote():
            return
        wanted = sorted(absent - {stage for stage, why in dvc.status().items() if any(map(_is_change, why))})
        if wanted:
            say(f"bringing what these stages left from the DVC remote: {', '.join(wanted)}")
            dvc.pull(*wanted, say=say, pauses=pauses)
    except dvc.DvcError as error:
        say(f"warning: not all could be had from the DVC remote, and is made again ({error.lines[-1] if error.lines else error})")


def _is_change(why: dvc.Reason) -> bool:
    """Whether a reason that `dvc status` gives is more than a file that is not here."""
    return why == "changed command" if isinstance(why, str) else any(how != "deleted" for how in why.get("changed deps", {}).values())


def _files(run: runs.Run) -> _Files:
    """What git holds of the run and belongs back here.

    Raises ParamsError if this version does not take its parameters.
    """
    from ruamel.yaml import YAML, YAMLError

    ignoring = {path.parent / ".gitignore" for path in [images.IMAGES, *save.outs(cached=True)]}
    paths = [params.PATH, save.LOCK, images.RECORD, *save.outs(cached=False), *(path for path in ignoring if not path.exists())]
    files = dict(zip(paths, git.read([f"{run.commit}:./{path}" for path in paths]), strict=True))
    try:
        params.check(YAML(typ="safe").load((files[params.PATH] or b"").decode()), f"{params.PATH} of {run.name}")
    except (ParamsError, YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{error}\n{_other_code(run)}; nothing was changed") from None
    return files


def _refuse_losses() -> None:
    """Raise HeadstartError if outputs lie here that no run has put on record."""
    uncommitted = dvc.data_status().get("uncommitted", {})
    lost = sorted({*uncommitted.get("added", []), *uncommitted.get("modified", [])})
    if lost:
        raise HeadstartError(
            f"{', '.join(lost[:5])}{', ...' if len(lost) > 5 else ''}: not what a finished stage has left, so no record has it and it would be "
            "lost; `headstart run` first, copy it elsewhere, or give --force"
        )


def _fetch(files: _Files, say: dvc.Say) -> None:
    """Have all that these records name in the cache, from the remote if need be.

    The records here stay. Raises DataError.
    """
    here = {path: outputs.read_bytes(path) for path in RECORDS}
    outputs.put_back({path: files[path] for path in RECORDS})
    try:
        reason = "no remote is set: `dvc remote add -d NAME PATH-OR-URL`"
        if (missing := _missing()) and dvc.remote():
            say(f"fetching {len(missing):,} files or folders from the DVC remote")
            try:
                dvc.call("fetch")
                missing, reason = _missing(), "the remote does not have it"
            except dvc.DvcError as error:
                reason = error.lines[-1] if error.lines else str(error)
    finally:
        outputs.put_back(here)
        UNDERWAY.unlink()
    if missing:
        shown = f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
        raise DataError(f"not in DVC's cache, nor could it be fetched: {shown} ({reason}); nothing was changed")


def _missing() -> list[str]:
    return list(dvc.data_status(granular=True).get("not_in_cache", []))


def _bring(name: str, files: _Files, *, force: bool, kept: str) -> None:
    """Change the workspace. Raises HeadstartError that says how to go on."""
    try:
        _change(files, force)
    except Exception as error:
        raise HeadstartError(
            f"{name} is restored in part only ({error}); try again, or go back with `headstart restore {kept} --force`"
        ) from error
    UNDERWAY.unlink()


def _change(files: _Files, force: bool) -> None:
    outputs.put_back(files)
    given.forget()  # what a form gave to the last run is no part of this one
    lock, cached = _locked(files[save.LOCK]), save.outs(cached=True)
    gone = [path for path, stage in cached.items() if stage not in lock] + ([] if files[images.RECORD] else [images.IMAGES])
    for path in gone:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    there = [*(stage for stage in lock if stage in cached.values()), *([str(images.RECORD)] if files[images.RECORD] else [])]
    if there:
        dvc.call("checkout", *(["--force"] if force else []), *there)
    images.remember()


def _locked(content: bytes | None) -> set[str]:
    """The stages that a dvc.lock knows."""
    from ruamel.yaml import YAML

    return set((YAML(typ="safe").load((content or b"").decode()) or {}).get("stages") or {})


def _told(run: runs.Run, kept: str) -> list[str]:
    version = f" (images {run.data[:8]})" if run.data else ""
    lines = [f"restored {run.name}{version}; what was here is kept as {kept}"]
    if stale := dvc.status():
        lines.append(f"`headstart run` would do this anew: {', '.join(stale)}. {_other_code(run)}")
    return lines


def _other_code(run: runs.Run) -> str:
    """Where the code of a run is to be had: a version of the package in a project, else a commit."""
    [code] = git.read([f"{run.commit}:./{project_code.PATH}"])
    if made := re.search(rb'^version: "(.*)"$', code or b"", re.MULTILINE):
        return f"Its code may have been another: it was made with headstart {made[1].decode(errors='replace')}"
    return f"Its code may have been another: `git worktree add PLACE {str(run.commit)[:12]}` makes a checkout with it"
