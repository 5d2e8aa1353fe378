"""The result of the last run as text for a terminal.

It reads the small JSON files that the stages left, and imports nothing heavy.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator

from flows.results import files, in_batches, in_groups
from flows.results.files import FINAL, METRICS, REPORT, ClassScores, Metrics, Ranking, Score, Scores, Validation, Verdict
from headstart.machinery.errors import HeadstartError
from headstart.words import aims, limits, naming, partly
from headstart.words import batches as batch_words
from headstart.words import labels as label_words
from headstart.words.formats import count, percent

_OTHERS: tuple[tuple[Score, str], ...] = (("balanced_accuracy", "balanced"), ("macro_f1", "macro F1"), ("ece", "calibration"))
_BATCHES = 5  # the last ones, that are listed
_LABEL, _WIDTH = 12, 88  # characters; what the Prefect UI shows of a line in a window of usual size


def metrics_text() -> str:
    """reports/metrics.json as it is, of images without labels reports/groups.json. Raises HeadstartError if there is no result yet."""
    if in_groups.groups():
        return in_groups.GROUPS.read_text(encoding="utf-8")
    try:
        return METRICS.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HeadstartError(f"there is no result yet ({METRICS} is missing); make one with `headstart run`") from None


def summary() -> str:
    """What a run came to: in plain words first, then in detail.

    How many of the test images are right, what ships, whether transfer helped, and warnings; below that how the source was chosen, why
    what ships does, and the other figures. Raises HeadstartError if there is no result.
    """
    try:
        if made := in_groups.groups():
            return "\n".join(_grouped(made))
        metrics: Metrics = json.loads(metrics_text())
        return "\n".join([*_plainly(metrics), "", *_detail(metrics)])
    except (ValueError, KeyError, TypeError) as error:
        raise HeadstartError(
            f"{METRICS} is not what this version writes ({type(error).__name__}: {error}); run `headstart run` again"
        ) from None


def headline(metrics: Metrics) -> str:
    """How many of the test images are right: 95.0% of 359 test images right."""
    return f"{percent(metrics['test']['accuracy'])} of {count(metrics['n_test'], 'test image')} right"


def _plainly(metrics: Metrics) -> Iterator[str]:
    test, verdict = metrics["test"], files.verdict()
    yield from _line("accuracy", headline(metrics) + _interval(test, "accuracy", percent), _beside(metrics))
    yield from _aim(metrics)
    yield from _line("ships", naming.terminal(metrics["shipped"], verdict.get("mix")))
    yield from _line("source", metrics["source"] + _clear(files.ranking()))
    yield from _transfer(verdict, metrics.get("transfer"))
    yield from _without_labels(files.self_training())
    yield from _second_domain(files.adapted())
    yield from _batches(in_batches.batches())
    if labels := metrics.get("labels"):
        yield from _line("labels", label_words.found(**labels))
    for index, caveat in enumerate(metrics.get("caveats") or []):
        yield from _line("" if index else "caveats", caveat)
    yield from _health(files.validation())
    yield from _line("model", f"{FINAL}/")
    if REPORT.exists():
        yield from _line("report", str(REPORT))


def _grouped(made: in_groups.Groups) -> Iterator[str]:
    """What is known of images without labels."""
    for title, text in in_groups.lines(made):
        yield from _line(title, text)
    yield from _health(files.validation())
    if REPORT.exists():
        yield from _line("report", str(REPORT))


def _aim(metrics: Metrics) -> Iterator[str]:
    """What the model was to be good at, and whether it is, unless that is accuracy by default."""
    made = metrics.get("aim")
    if not made or (made["goal"]["measure"] == "accuracy" and not made["goal"]["asked"]):
        return
    goal, reached = made["goal"], made["reached"]
    words = aims.goal(goal["measure"], goal["label"], goal["reach"])
    if reached:
        low, high = reached["interval"]
        found = f"{percent(reached['value'])} of {reached['n']:,} test images (95% interval {percent(low)} to {percent(high)})"
    else:
        found = percent(metrics["test"]["balanced_accuracy" if goal["measure"] == "balanced_accuracy" else "accuracy"])
    yield from _line("aim", f"{words}: {found}", aims.why(goal["measure"], goal["asked"], goal["ratio"]).strip(" ()"))


def _detail(metrics: Metrics) -> Iterator[str]:
    test, verdict = metrics["test"], files.verdict()
    yield "in detail"
    for name, label in _OTHERS:
        yield from _line(label, _score(test, name) + (" expected calibration error" if name == "ece" else ""))
    yield from _line("images", f"{metrics['n_train']:,} training, {metrics['n_validation']:,} validation, {metrics['n_test']:,} test")
    yield from _classes(test.get("per_class") or {})
    if made := metrics.get("limits"):
        yield from _line("limits", limits.unsure(made["answered"], made["error"]), limits.unlike(made["false_alarms"]))
    chosen = files.ranking().get("reason", "").removeprefix("no clear winner: ")
    for label, why in (("source", chosen), ("transfer", verdict.get("evidence")), ("ships", verdict.get("reason"))):
        if why:
            yield from _line(label, why)


def _clear(ranking: Ranking) -> str:
    """Whether the ranking had a clear winner, and whether the race overruled it."""
    if "clear" not in ranking or sum(row["status"] == "ranked" for row in ranking.get("candidates", [])) == 1:
        return ""
    if ranking["chosen"] != ranking["ranked_first"]:
        return f" (by the race; the ranking had {'a' if ranking['clear'] else 'no'} clear winner)"
    return " (the clear winner)" if ranking["clear"] else " (no clear winner)"


def _transfer(verdict: Verdict, test: files.Agreement | None) -> Iterator[str]:
    """Whether transfer helped, how surely, and whether the test images agree."""
    if not verdict:
        return
    answer = naming.answer(files.answer(verdict), files.looked_at(verdict), verdict["standing"])
    says = f"the test images {naming.TEST[test['says']].format(answer='it')}" if test else ""
    yield from _line("transfer", answer, says)


def _without_labels(made: files.SelfTraining) -> Iterator[str]:
    """Whether images without labels joined the labelled ones."""
    if made:
        yield from _line("unlabelled", partly.done(made["joined"], made["images"], made["learned"]), made["reason"])


def _second_domain(made: files.Adapted) -> Iterator[str]:
    """Whether labels were carried over to a second domain, and about how many of them are right."""
    if not made.get("images"):
        return
    told, tested = made.get("accuracy"), made.get("labelled")
    about = f"about {percent(told[0])} right, between {percent(told[1])} and {percent(told[2])}" if told else ""
    if tested:
        low, high = tested["adapted_interval"]
        about = f"{percent(tested['adapted'])} of {tested['n']:,} labelled ones right (95% interval {percent(low)} to {percent(high)}), {percent(tested['plain'])} without"
    if not made["adapted"]:
        yield from _line("target", f"labels were not carried over to {count(made['images'], 'image')}", made["reason"])
        return
    yield from _line("target", f"labels were carried over to {count(made['images'], 'image')}", about)
    yield from _line("", "models/adapted/, reports/target/predictions.csv")


def _batches(made: in_batches.Batches) -> Iterator[str]:
    """Accuracy on each batch, what the newest did to the others, and whether it drifts."""
    yield from _remembered(made)
    found = made.get("drift")
    if not found:
        return
    for index, one in enumerate(made["batches"][-_BATCHES:]):
        yield from _line(
            "" if index else "batches", f"{one['name']}: {batch_words.accuracy(one['accuracy'], one['interval'], one['n_test'])}"
        )
    for lost in made["forgetting"][-1:]:
        yield from _line("", batch_words.forgetting(lost["n"], lost["before"], lost["after"], lost["interval"], lost["name"]))
    shares = batch_words.shares(found["shares"]["p"], found["level"])
    yield from _line(
        "drift", batch_words.looks(**found["looks"], level=found["level"]), f"{shares}\n{batch_words.classes(found['new_classes'])}"
    )


def _remembered(made: in_batches.Batches) -> Iterator[str]:
    """What the model from sums of forgotten batches knows."""
    kept = made.get("remembered")
    if not kept:
        return
    told = batch_words.remembered_accuracy(kept["accuracy"], kept["interval"], kept["n_test"], kept["plain_accuracy"])
    known = batch_words.remembered(kept["images"], kept["batches"], kept["unusable"], kept["gone_classes"])
    yield from _line("forgotten", known, told if kept["images"] else "")


def _beside(metrics: Metrics) -> str:
    """What the other models reach on the same images."""
    others = {name: files.scores_of(metrics, name) for name in naming.CONTENDERS if name != metrics["shipped"]}
    return "\n".join(f"{naming.short(name)}: {percent(scores['accuracy'])}" for name, scores in others.items() if scores)


def _score(scores: Scores, name: Score) -> str:
    return f"{scores[name]:.3f}{_interval(scores, name, '{:.3f}'.format)}"


def _interval(scores: Scores, name: Score, shown: Callable[[float], str]) -> str:
    interval = (scores.get("interval") or {}).get(name)
    return f" (95% interval {shown(interval[0])} to {shown(interval[1])})" if interval else ""


def _classes(per_class: dict[str, ClassScores], most: int = 5) -> Iterator[str]:
    worst = sorted(per_class.items(), key=lambda item: (item[1]["f1"], item[0]))[:most]
    rows = [f"{label}: F1 {c['f1']:.3f}, precision {c['precision']:.3f}, recall {c['recall']:.3f}, {c['n']} images" for label, c in worst]
    title = "classes" if len(per_class) <= most else f"worst {len(rows)}"
    for index, row in enumerate(rows):
        yield from _line("" if index else title, row)


def _health(validation: Validation) -> Iterator[str]:
    """Warnings about the data, and how many files were left out."""
    warnings, quarantined = validation.get("warnings") or [], validation.get("quarantined") or []
    for index, warning in enumerate(warnings):
        yield from _line("" if index else "warnings", warning["message"])
    if quarantined:
        first = "; ".join(f"{item['path']} ({item['reason']})" for item in quarantined[:3])
        yield from _line("left out", f"{len(quarantined):,} unusable files: {first}" + ("; ..." if len(quarantined) > 3 else ""))


def _line(label: str, text: str, more: str | None = "") -> list[str]:
    """A labelled line, and the lines of `more` below it, wrapped."""
    indent = " " * _LABEL
    starts = [f"{label:<{_LABEL}}", *[indent] * len((more or "").splitlines())]
    return [
        part
        for start, line in zip(starts, [text, *(more or "").splitlines()], strict=True)
        for part in textwrap.wrap(
            line, _WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    ]
