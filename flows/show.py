"""The result of the last run as text for a terminal. Reads the small JSON files that the stages left; imports nothing heavy."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError

METRICS = Path("reports/metrics.json")
RANKING = Path("reports/ranking.json")
VALIDATION = Path("reports/validation.json")
FINE_TUNED = Path("models/fine_tuned/summary.json")
REPORT = Path("reports/report.html")
FINAL = Path("models/final")

_LABEL, _WIDTH = 12, 110


def metrics_text() -> str:
    """reports/metrics.json as it is. Raises HeadstartError if there is no result yet."""
    try:
        return METRICS.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HeadstartError(f"there is no result yet ({METRICS} is missing); make one with `headstart run`") from None


def summary() -> str:
    """What was chosen and why, what ships and why, how good it is, and where the report lies. Raises HeadstartError if there is none."""
    try:
        metrics = json.loads(metrics_text())
        return "\n".join(_summary(metrics))
    except (ValueError, KeyError, TypeError) as error:
        raise HeadstartError(
            f"{METRICS} is not what this version writes ({type(error).__name__}: {error}); run `headstart run` again"
        ) from None


def _summary(metrics: dict[str, Any]) -> Iterator[str]:
    test, ranking, fine_tuned = metrics["test"], _read(RANKING), _read(FINE_TUNED)
    yield from _line("source", metrics["source"], ranking.get("reason"))
    yield from _line("ships", {"head": "frozen head", "fine_tuned": "fine-tuned model"}[metrics["shipped"]], fine_tuned.get("reason"))
    yield from _line("accuracy", _score(test, "accuracy"), _beside(metrics))
    for name, label in (("balanced_accuracy", "balanced"), ("macro_f1", "macro F1"), ("ece", "calibration")):
        yield from _line(label, _score(test, name) + (" expected calibration error" if name == "ece" else ""))
    yield from _line("images", f"{metrics['n_train']:,} training, {metrics['n_validation']:,} validation, {metrics['n_test']:,} test")
    yield from _classes(test.get("per_class") or {})
    yield from _health(_read(VALIDATION))
    yield from _line("model", f"{FINAL}/")
    if REPORT.exists():
        yield from _line("report", str(REPORT))


def _beside(metrics: dict[str, Any]) -> str:
    """What the other model reaches on the same images."""
    if metrics["shipped"] == "fine_tuned":
        return f"frozen head: {_score(metrics['head'], 'accuracy')}"
    other = metrics.get("fine_tuned")
    return f"fine-tuned: {_score(other, 'accuracy')}" if other else ""


def _score(scores: dict[str, Any], name: str) -> str:
    interval = (scores.get("interval") or {}).get(name)
    return f"{scores[name]:.3f}" + (f" (95% interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def _classes(per_class: dict[str, dict[str, Any]], most: int = 5) -> Iterator[str]:
    worst = sorted(per_class.items(), key=lambda item: (item[1]["f1"], item[0]))[:most]
    rows = [f"{label}: F1 {c['f1']:.3f}, precision {c['precision']:.3f}, recall {c['recall']:.3f}, {c['n']} images" for label, c in worst]
    title = "classes" if len(per_class) <= most else f"worst {len(rows)}"
    for index, row in enumerate(rows):
        yield from _line("" if index else title, row)


def _health(validation: dict[str, Any]) -> Iterator[str]:
    """Warnings about the data, and how many files were left out."""
    warnings, quarantined = validation.get("warnings") or [], validation.get("quarantined") or []
    for index, warning in enumerate(warnings):
        yield from _line("" if index else "warnings", warning["message"])
    if quarantined:
        first = "; ".join(f"{item['path']} ({item['reason']})" for item in quarantined[:3])
        yield from _line("left out", f"{len(quarantined):,} unusable files: {first}" + ("; ..." if len(quarantined) > 3 else ""))


def _line(label: str, text: str, more: str | None = "") -> list[str]:
    """A labelled line, and `more` below it, wrapped."""
    lines = [f"{label:<{_LABEL}}{text}"]
    indent = " " * _LABEL
    return lines + textwrap.wrap(more or "", _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _read(path: Path) -> dict[str, Any]:
    """A JSON file, or nothing: the summary does without what is missing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
