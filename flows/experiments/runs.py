"""Past runs: a table of them, and how two of them differ.

They are the experiments that flows/experiments/save.py keeps and the failures that it notes. They are read with git alone, all of them
in a few processes, so that a thousand runs take less than one start of dvc.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict, cast

from flows.experiments import save
from flows.projects import images
from flows.repository import git
from flows.results import files
from flows.results.files import Metrics, Verdict
from flows.results.table import aligned
from headstart import params
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.words import naming

LAST = "last"  # the newest run that was completed
_HEADINGS = ("NO", "WHEN", "NAME", "DATA", "SOURCE", "ACCURACY", "VERDICT", "STATE")
_STATES = {"run": "completed", "before": "saved"}  # by kind of experiment: a run; what lay here before a restore
_ASIDE = {"per_class", "interval", "caveats"}  # of the metrics; too many for a table


Values = Mapping[str, object]  # by dotted name
Differences = dict[str, list[object]]  # by dotted name: the value of the first run and that of the second, None for what it does not have


class Comparison(TypedDict):
    """The names of two runs, and in what they differ."""

    runs: list[str]
    run: Differences  # data, source, verdict
    parameters: Differences
    metrics: Differences


@dataclass(frozen=True)
class Run:
    """A run; None for what it did not come to know."""

    name: str
    when: str  # ISO 8601
    state: str  # completed, failed or cancelled; saved: before a restore; kept: with the dvc command
    data: str | None = None  # version of the images
    source: str | None = None
    accuracy: float | None = None  # on the test images
    verdict: str | None = None  # positive, none_shown, negative, too_few or not tested
    standing: str | None = None  # of the verdict
    error: str | None = None
    commit: str | None = None  # the experiment's
    looked_at: int | None = None  # held-out images that the verdict is from
    number: int = 0  # of all that are known here, the oldest is 1


def every() -> list[Run]:
    """All runs known here, the newest first."""
    failed = [
        Run(entry["name"], entry["when"], entry["state"], data=entry.get("data"), error=entry.get("error")) for entry in save.failures()
    ]
    oldest_first = sorted([*_kept(), *failed], key=lambda run: datetime.fromisoformat(run.when).timestamp())
    return [replace(run, number=number) for number, run in enumerate(oldest_first, 1)][::-1]


def find(name: str) -> Run:
    """The run that was kept and is meant by `name`.

    That is its name, how its name begins or ends, its number in the table, or `last`. Raises ParamsError that lists the known ones.
    """
    known = every()
    meant = _meant(name, known)
    kept = [run for run in meant if run.commit]
    if len(kept) == 1:
        return kept[0]
    if kept:
        raise ParamsError(f"{name} may mean {', '.join(run.name for run in kept[:20])}; give more of the name, or its number")
    if meant:
        raise ParamsError(f"{meant[0].name} did not finish, so nothing of it was kept; `headstart runs` lists what was")
    names = [run.name for run in known if run.commit]
    if not names and (problem := git.problem()):
        raise HeadstartError(f"no runs are kept here, so there is none to find: {problem}")
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    shown = ", ".join(names[:20]) + (f", and {len(names) - 20} more (`headstart runs`)" if len(names) > 20 else "")
    raise ParamsError(f"there is no run {name}; {hint}known: {shown or 'none, `headstart run` makes one'}")


def _meant(name: str, known: Sequence[Run]) -> list[Run]:
    """The runs that `name` may mean, by the first of the ways to name one that finds any."""
    ways: list[Callable[[Run], bool]] = [
        lambda run: run.name == name and run.commit is not None,
        lambda run: run.name == name,
        lambda run: name.isdecimal() and run.number == int(name),
        lambda run: run.commit is not None and (run.name.startswith(name) or run.name.endswith(name)),
        lambda run: run.name.startswith(name) or run.name.endswith(name),
    ]
    if name == LAST:
        return [run for run in known if run.state == "completed"][:1]
    return next((found for way in ways if name and (found := [run for run in known if way(run)])), [])


def table(runs: Sequence[Run]) -> str:
    """The runs, a line each, under headings."""
    return aligned([_HEADINGS, *(_row(run) for run in runs)], right=[0])


def remark(runs: Sequence[Run]) -> str:
    """How many there are, or why there are none."""
    if runs:
        many = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
        return f"{many}; `headstart runs --compare A B` shows how two differ, `headstart restore A` goes back to one (by number, name or `last`)"
    if not save.base():
        return f"no runs are kept here: {git.problem()}"
    return "no run was kept yet; `headstart run` makes one"


def compare(first: str, second: str) -> Comparison:
    """The parameters and metrics in which two runs differ.

    Raises ParamsError for an unknown run, HeadstartError for an unreadable file.
    """
    pair = [find(first), find(second)]
    contents = git.read([f"{run.commit}:./{path}" for run in pair for path in (params.PATH, files.METRICS, files.VERDICT)])
    facts = [{"data": run.data, "source": run.source, "verdict": run.verdict, "standing": run.standing} for run in pair]
    return {
        "runs": [run.name for run in pair],
        "run": _differing(*facts),
        "parameters": _differing(*(_parameters(content) for content in contents[::3])),
        "metrics": _differing(*(_flat(_json(content)) for content in contents[1::3])),
    }


def comparison(found: Comparison) -> str:
    """A comparison as a table."""
    metrics = {name: pair for name, pair in found["metrics"].items() if not _ASIDE & set(name.split("."))}
    rows: list[tuple[str, ...]] = [("", *found["runs"])]
    for title, differences in (("run", found["run"]), ("parameters", found["parameters"]), ("metrics", metrics)):
        rows += [("", "", ""), (title.upper(), "" if differences else "the same", "")]
        rows += [(name, *(_shown(value) for value in pair)) for name, pair in differences.items()]
    return aligned(rows)


def _kept() -> Iterator[Run]:
    """The experiments of this repository; none if git is not in use."""
    if not save.base():
        return
    known = save.experiments()
    described = git.call(
        "log", "--no-walk=unsorted", "--stdin", "--format=%H%x1f%cI%x1f%b%x1e", given="".join(f"{c}\n" for c in known.values())
    )
    told = {commit.strip(): rest for commit, *rest in (entry.split("\x1f", 2) for entry in described.split("\x1e") if entry.strip())}
    paths = (files.METRICS, files.VERDICT, images.RECORD)
    contents = iter(git.read([f"{commit}:./{path}" for commit in known.values() for path in paths]))
    for name, commit in known.items():
        when, body = told[commit]
        metrics, verdict, record = cast(Metrics, _json(next(contents))), cast(Verdict, _json(next(contents))), next(contents)
        tested = "pretrained_against_random" in verdict
        yield Run(
            name,
            when,
            _STATES.get(str(_json(body.encode()).get("kind")), "kept"),
            images.version_in(record or b""),
            metrics.get("source"),
            (metrics.get("test") or {}).get("accuracy"),
            files.answer(verdict) if verdict else None,
            verdict.get("standing") if tested else None,
            commit=commit,
            looked_at=files.looked_at(verdict),
        )


def _parameters(content: bytes | None) -> Values:
    """A params.yaml by dotted name, what it leaves out with its default.

    As it is if this version does not take it. Raises HeadstartError if it is no YAML.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        values = YAML(typ="safe").load((content or b"").decode())
    except (YAMLError, UnicodeDecodeError) as error:
        raise HeadstartError(f"the {params.PATH} of one of these runs cannot be read: {error}") from None
    try:
        return _flat(params.check(values).model_dump())
    except ParamsError:
        return _flat(values if isinstance(values, dict) else {})


def _flat(values: Values, prefix: str = "") -> dict[str, object]:
    """Nested values by dotted name."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _differing(first: Values, second: Values) -> Differences:
    return {name: [first.get(name), second.get(name)] for name in {**first, **second} if first.get(name) != second.get(name)}


def _row(run: Run) -> tuple[str, ...]:
    answer = (naming.answer(run.verdict, run.looked_at, run.standing) if run.verdict else "-").removeprefix("is ")
    return (
        str(run.number),
        datetime.fromisoformat(run.when).astimezone().strftime("%Y-%m-%d %H:%M"),
        run.name,
        (run.data or "-")[:8],
        run.source or "-",
        "-" if run.accuracy is None else f"{run.accuracy:.3f}",
        answer,
        f"{run.state}: {run.error}"[:60] if run.error else run.state,
    )


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json(content: bytes | None) -> dict[str, object]:
    """A JSON object; {} for what is none, so that one odd run does not hide the others."""
    try:
        values = json.loads(content or b"{}")
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
