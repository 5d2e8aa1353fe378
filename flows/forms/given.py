"""Parameters of one run: values given in a form, on top of params.yaml.

That is params.yaml as it is here or as it is committed in git. The values are written to params.yaml, so that `dvc repro` alone repeats
the run, and stay there until the next run, which takes them back first (.headstart/given.json says what was given and what was there
before). If a run starts from the committed file although the one here differs, the one here is put back when the run ends. What
somebody has written to params.yaml in the meantime stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TypedDict

from flows.repository import git
from flows.repository.dvc import Say
from headstart import params
from headstart.base import outputs
from headstart.machinery.errors import ParamsError
from tasks import stage

NOTE = stage.STATE / "given.json"
_DRAFT = stage.STATE / "params.yaml"  # the file as it is going to be
_LOST = stage.STATE / "params.before.yaml"
Values = Mapping[str, object]  # by dotted name


class Note(TypedDict):
    """What is noted of values that were given, in NOTE."""

    who: str  # gave them
    given: dict[str, object]  # by dotted name
    before: str  # the text of params.yaml without them
    left: str  # the text of params.yaml with them


@contextlib.contextmanager
def values(given: Values, say: Say, *, committed: bool = False, who: str = "a form") -> Iterator[None]:
    """Have `given` values in params.yaml during the run. Call under the run lock.

    `committed` starts from the file as it is in git. Raises ParamsError, and leaves params.yaml as it was, if a value is wrong.
    """
    take_back(say)
    before = params.PATH.read_text(encoding="utf-8")
    changes = params.write(given, dry=True)
    base = _committed(say) if committed else None
    apart = [] if base is None else _differences(before, base)
    if base is not None and apart:
        say(f"{params.PATH} here differs from the committed one, which is used; yours comes back after the run ({', '.join(apart)})")
    for change in changes:
        say(f"{change} (for this run)")
    left = _with(base if base is not None and apart else before, given)
    if left != before:
        note: Note = {"who": who, "given": dict(given), "before": before, "left": left}
        outputs.write_json(NOTE, note)
        _write(left)
    try:
        yield
    finally:
        if apart:
            take_back(lambda line: None)


def take_back(say: Say) -> None:
    """Undo in params.yaml what an earlier run was given, as far as it is still there.

    Call it under the run lock.
    """
    try:
        note: Note = outputs.read_json(NOTE)
    except (OSError, ValueError):
        return
    now = params.load()
    try:
        before = _flat(note["before"])
    except ParamsError:  # of another version of Headstart
        say(f"warning: what {note['who']} had given cannot be taken back, as the parameters are others now; look at {params.PATH}")
        forget()
        return
    if params.PATH.read_text(encoding="utf-8") == note["left"]:
        for line in _differences(note["left"], note["before"]):
            say(f"{line} (taken back: {note['who']} had given it)")
        _write(note["before"])
    else:
        held = flat(now)
        kept = {name: before[name] for name, value in note["given"].items() if held.get(name) == value}
        for change in params.write(kept):
            say(f"{change} (taken back: {note['who']} had given it)")
        _LOST.write_text(note["before"], encoding="utf-8")  # a killed run may have replaced the whole file
    forget()


def forget() -> None:
    """Let what params.yaml holds now be the user's own: the next run takes nothing back."""
    NOTE.unlink(missing_ok=True)


def flat(block: params.Block, prefix: str = "") -> dict[str, object]:
    """Every parameter by dotted name."""
    found: dict[str, object] = {}
    for name in type(block).model_fields:
        value = getattr(block, name)
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, params.Block) else {prefix + name: value}
    return found


def _committed(say: Say) -> str | None:
    """The text of params.yaml as git has it, None if it has none."""
    try:
        return git.call("show", f"HEAD:./{params.PATH}")
    except git.GitError:
        say(f"{params.PATH} is not committed in git; it is used as it is here")
        return None


def _differences(first: str, second: str) -> list[str]:
    old, new = _flat(first), _flat(second)
    return [f"{name}: {old[name]} -> {new[name]}" for name in new if old[name] != new[name]]


def _flat(text: str) -> dict[str, object]:
    """Every parameter of the text of a params.yaml. Raises ParamsError if this version does not take it."""
    from ruamel.yaml import YAML

    return flat(params.check(YAML(typ="safe").load(text), str(params.PATH)))


def _with(text: str, given: Values) -> str:
    """The text of a params.yaml with these values in it."""
    _DRAFT.parent.mkdir(exist_ok=True)
    _DRAFT.write_text(text, encoding="utf-8")
    try:
        params.write(given, _DRAFT)
        return _DRAFT.read_text(encoding="utf-8")
    finally:
        _DRAFT.unlink()


def _write(text: str) -> None:
    with outputs.whole(params.PATH) as temporary:
        temporary.write_text(text, encoding="utf-8")
