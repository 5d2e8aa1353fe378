"""The dozen figures of a run that people compare with those of another, for `dvc metrics show` and `dvc exp show`.

All figures are in reports/metrics.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

from headstart.evaluation.test_split import Metrics

DIGITS = 4  # after the point


class Compared(TypedDict):
    """The content of reports/compared.json; shares (0-1) of the test images, None for what was not trained."""

    accuracy: float  # of what ships
    balanced_accuracy: float
    macro_f1: float
    calibration_error: float
    frozen_head: float | None  # accuracies of the arms
    fine_tuned: float | None
    random_weights: float | None
    transfer: str  # the verdict
    ships: str
    source: str
    n_train: int
    n_test: int


def compared(metrics: Metrics) -> Compared:
    """The figures that people compare, shortened."""
    test, transfer = metrics["test"], metrics["transfer"]
    return {
        "accuracy": round(test["accuracy"], DIGITS),
        "balanced_accuracy": round(test["balanced_accuracy"], DIGITS),
        "macro_f1": round(test["macro_f1"], DIGITS),
        "calibration_error": round(test["ece"], DIGITS),
        "frozen_head": _accuracy(metrics, "head"),
        "fine_tuned": _accuracy(metrics, "fine_tuned"),
        "random_weights": _accuracy(metrics, "scratch"),
        "transfer": transfer["verdict"] if transfer else "not tested",
        "ships": metrics["shipped"],
        "source": metrics["source"],
        "n_train": metrics["n_train"],
        "n_test": metrics["n_test"],
    }


def _accuracy(metrics: Metrics, arm: str) -> float | None:
    found = cast(Mapping[str, object], metrics).get(arm)
    return round(found["accuracy"], DIGITS) if isinstance(found, dict) else None
