"""How long a run will take, said before its first stage: "12 stages, 5 of them up to date, about 3 minutes".

What is expected of each stage (costs.py) is corrected by what the stages of the last runs took here (NOTE). It is said again what is left
when a stage has settled what nobody knew before (SETTLING). Nothing depends on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

from flows.pipeline import costs, workload
from flows.projects import images
from flows.repository import dvc
from headstart import params
from headstart.base import outputs
from headstart.machinery import progress
from tasks import stage

NOTE = stage.STATE / "estimates.json"  # by stage: what was expected and what it took
SETTLING = ("select_source", "fine_tune")  # which source it is, and how much of it is trained


class Noted(TypedDict):
    """What a stage was expected to take on a machine of pace 1 (0: not known), and what it took here (seconds)."""

    expected: float
    took: float


class Expected(NamedTuple):
    """What is expected of a run."""

    work: workload.Task | None  # what lies before it; None if it cannot be known
    plain: dict[str, float]  # seconds of each stage on a machine of pace 1; {} if they cannot be known
    names: list[str]  # the stages that will run


def tell(say: dvc.Say, *, force: bool = False) -> Expected:
    """Say how many stages there are and how long those that will run will take; `force` runs all. Raises nothing."""
    work: workload.Task | None = None
    try:
        block = params.load()
        work, pace = workload.task(block), costs.speed()
        plain, more = costs.expected(work, block, 1.0), sum(costs.whole(work, block, pace).values())
    except Exception:  # a candidate of which nothing is known, images that cannot be read
        plain, more, pace = {}, 0.0, 1.0
    names: list[str] = []
    try:
        names = waiting(force=force)
        say(_told(plain, pace, names, more))
    except Exception as error:  # a dvc.yaml or dvc.lock of another shape
        say(f"warning: how long this run takes could not be estimated ({type(error).__name__}: {error})")
    return Expected(work, plain, names)


def left(say: dvc.Say, before: Expected, outcomes: Sequence[dvc.Outcome]) -> Expected:
    """Say how long the stages after the last of `outcomes` will take, if it ran and is one of SETTLING.

    `before` is what was expected until then. Returns what is expected now. Raises nothing.
    """
    last, ended = outcomes[-1], {one["stage"] for one in outcomes}
    rest = [name for name in before.names if name not in ended]
    if not (before.work and before.plain and rest) or last["stage"] not in SETTLING or last["outcome"] == "cached":
        return before
    try:
        block = params.load()
        work = workload.settled(before.work, block)
        now, pace = costs.expected(work, block, 1.0), _pace(before.plain, outcomes)
        known = cast(Mapping[str, Noted], outputs.read_object(NOTE))
        seconds = sum(_seconds(now[name], pace, known.get(name)) or 0.0 for name in rest)
        longer = _or_longer(seconds, sum(costs.whole(work, block, pace).values()), rest, known)
        if last["stage"] == "fine_tune" and "verdict" in rest and "verdict" not in known:
            trains = costs.training(work, block)
            trained = max(0.0, last["seconds"] - pace * (now["fine_tune"] - trains))
            share = 1.0 if _deep() else costs.OPEN
            seconds += share * costs.again(work, block, trained) - costs.OPEN * costs.again(work, block, pace * trains)
    except Exception:  # what cannot be known now is not said again
        return before
    say(f"{about(seconds)} left{longer}")
    return Expected(work, now, before.names)


def _pace(plain: Mapping[str, float], outcomes: Sequence[dvc.Outcome]) -> float:
    """How slow this machine is, by the stages of this run that ran; how much fine_tune trains is not known beforehand, so it counts only alone."""
    ran = [one for one in outcomes if one["outcome"] == "ran"]
    ran = [one for one in ran if one["stage"] != "fine_tune"] or ran
    return sum(one["seconds"] for one in ran) / sum(plain[one["stage"]] for one in ran)


def _deep() -> bool:
    """Whether fine_tune trained most of the network, which ships then, alone or beside the frozen head."""
    tries = cast("list[Mapping[str, object]]", outputs.read_object(Path("models/fine_tuned/summary.json")).get("tries") or [{}])
    return tries[-1].get("way") == "deep"


def some_wait() -> bool:
    """Whether some stage will run, as far as that can be seen."""
    try:
        return bool(waiting())
    except Exception:  # a dvc.yaml or dvc.lock of another shape
        return True


def waiting(*, force: bool = False) -> list[str]:
    """The stages that will run, in order; with `force`, all of them."""
    graph = _graph()
    return list(graph) if force else stale(graph, _graph(Path("dvc.lock")))


def _told(plain: Mapping[str, float], pace: float, names: Sequence[str], more: float) -> str:
    graph, last = _graph(), cast(Mapping[str, Noted], outputs.read_object(NOTE))
    count = f"{len(graph)} stages" + (f", {len(graph) - len(names)} of them up to date" if len(names) < len(graph) else "")
    seconds = [_seconds(plain.get(name), pace, last.get(name)) for name in names]
    known = [value for value in seconds if value is not None]
    if not names:
        return count
    if len(known) < len(seconds):
        return f"{count}; how long they take is not known before they ran once"
    return f"{count}, {about(sum(known))}{_or_longer(sum(known), more, names, last)}"


def _or_longer(seconds: float, more: float, names: Sequence[str], last: Mapping[str, Noted]) -> str:
    """What is added to so many seconds of the stages `names` if it may be `more`, as most of the network may be trained.

    "" if that makes no difference, or if the last time has taught whether it is.
    """
    longer = about(seconds + more)
    if longer == about(seconds) or "fine_tune" not in names or "fine_tune" in last:
        return ""
    return f", or {longer} if most of the network is trained"


def note(plain: Mapping[str, float], outcomes: Sequence[dvc.Outcome]) -> None:
    """Keep what the stages that ran took, for the next estimate; `plain` as in Expected."""
    known = dict(outputs.read_object(NOTE))
    for outcome in outcomes:
        if outcome["outcome"] == "ran":
            known[outcome["stage"]] = {"expected": round(plain.get(outcome["stage"], 0.0), 2), "took": outcome["seconds"]}
    with contextlib.suppress(OSError):
        stage.note(NOTE, known)


def stages() -> list[tuple[str, str, str, str]]:
    """Each stage, after which others it comes, whether it will run, and how long it took the last time.

    Of the stages that it reads from, those are named that no other of them follows; all of them are in dvc.yaml.
    """
    graph, last = _graph(), cast(Mapping[str, Noted], outputs.read_object(NOTE))
    waiting, before = stale(graph, _graph(Path("dvc.lock"))), _before(graph)
    rows = []
    for name in graph:
        nearest = [one for one in graph if one in before[name] and not any(one in before[other] for other in before[name])]
        took = progress.duration(last[name]["took"]) if name in last else "-"
        rows.append((name, ", ".join(nearest) or "-", "will run" if name in waiting else "up to date", took))
    return rows


def about(seconds: float) -> str:
    """Seconds as an estimate says them: about 40 seconds, about 2.5 minutes, about 4 minutes, about 2 hours."""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} seconds"
    minutes = round(seconds / 30) / 2 if seconds < 200 else round(seconds / 60)
    return f"about {minutes:g} minutes" if minutes < 90 else f"about {round(minutes / 60)} hours"


def stale(graph: Mapping[str, Mapping[str, object]], lock: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The stages that will run, going by parameters, images and each other.

    `graph` and `lock` are the stages of dvc.yaml and dvc.lock. A change of the code of a checkout is not seen, and what DVC finds in its
    cache of runs is.
    """
    from ruamel.yaml import YAML

    given: dict[str, object] = {}
    makers: dict[str, str] = {}
    found: list[str] = []
    for name, entry in graph.items():
        recorded = lock.get(name, {})
        makers |= dict.fromkeys(_made(entry), name)
        same = bool(recorded)
        for file, values in cast(Mapping[str, Mapping[str, object]], recorded.get("params") or {}).items():
            if file not in given:
                given[file] = YAML(typ="safe").load(Path(file).read_text(encoding="utf-8")) if Path(file).exists() else {}
            same = same and all(_value(given[file], key) == value for key, value in values.items())
        for dep in cast("list[Mapping[str, str]]", recorded.get("deps") or []):
            same = same and (dep["path"] != str(images.IMAGES) or dep.get("md5", "").removesuffix(".dir") == images.version())
        if not same or any(makers.get(dep) in found for dep in _paths(_list(entry, "deps"))):
            found.append(name)
    return found


def _seconds(plain: float | None, pace: float, last: Noted | None) -> float | None:
    """What a stage will take here: what it took the last time, if need be for more or less work, or else what is expected at this pace.

    A pace is measured in a moment in which other things may run, so what the last time taught goes before it.
    """
    if last is None:
        return None if plain is None else plain * pace
    return plain * last["took"] / last["expected"] if plain and last["expected"] else last["took"]


def _before(graph: Mapping[str, Mapping[str, object]]) -> dict[str, set[str]]:
    """For each stage all that come before it; `graph` is in order."""
    makers: dict[str, str] = {}
    before: dict[str, set[str]] = {}
    for name, entry in graph.items():
        direct = {makers[dep] for dep in _paths(_list(entry, "deps")) if dep in makers}
        before[name] = direct.union(*(before[other] for other in direct))
        makers |= dict.fromkeys(_made(entry), name)
    return before


def _made(entry: Mapping[str, object]) -> list[str]:
    """The outputs of a stage."""
    return _paths([*_list(entry, "outs"), *_list(entry, "metrics"), *_list(entry, "plots")])


def _graph(path: Path = Path("dvc.yaml")) -> dict[str, Mapping[str, object]]:
    """The stages of a dvc.yaml or dvc.lock, by name."""
    from ruamel.yaml import YAML

    try:
        return dict((YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}).get("stages") or {})
    except FileNotFoundError:
        return {}


def _list(entry: Mapping[str, object], key: str) -> list[object]:
    return list(cast("list[object]", entry.get(key) or []))


def _paths(entries: list[object]) -> list[str]:
    return [str(next(iter(entry))) if isinstance(entry, dict) else str(entry) for entry in entries]


def _value(values: object, dotted: str) -> object:
    """A value by its dotted name, None if there is none."""
    if isinstance(values, dict) and dotted in values:
        return values[dotted]
    for key in dotted.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values
