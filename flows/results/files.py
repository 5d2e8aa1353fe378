"""The small JSON files that the stages left, as far as people are shown them.

All fields may be missing: a file can be of an earlier version, or of a run that did less.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypedDict, cast

from headstart.base import outputs
from headstart.words import naming

METRICS = Path("reports/metrics.json")
ADAPT = Path("reports/adapt.json")
HEAD = Path("models/head/summary.json")
RANKING = Path("reports/ranking.json")
VALIDATION = Path("reports/validation.json")
VERDICT = Path("reports/verdict.json")
REPORT = Path("reports/report.html")
FINAL = Path("models/final")

Score = Literal["accuracy", "balanced_accuracy", "macro_f1", "ece"]  # figures of a model on the test images
SCORES: tuple[Score, ...] = ("accuracy", "balanced_accuracy", "macro_f1", "ece")


class ClassScores(TypedDict):
    """How good a model is at one class."""

    precision: float
    recall: float
    f1: float
    n: int  # test images


class Scores(TypedDict, total=False):
    """How good a model is on the test images: shares between 0 and 1."""

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    ece: float  # expected calibration error
    interval: dict[str, tuple[float, float]]  # 95%, by the name of a score
    per_class: dict[str, ClassScores]


class Agreement(TypedDict):
    """What the test images say of the verdict on transfer: confirms, leaves open, ..."""

    says: str


class Goal(TypedDict):
    """What the model was to be good at: the fields of headstart/statistics/goals.py's Goal."""

    measure: str
    label: str | None
    reach: float | None
    asked: bool
    ratio: float | None


class Reached(TypedDict):
    """A recall or precision that was asked for, on `n` test images."""

    value: float
    interval: tuple[float, float]  # 95%
    n: int


class Aim(TypedDict):
    """The aim, and what became of it."""

    goal: Goal
    reached: Reached | None


class Limits(TypedDict):
    """What `unsure` and `unlike` do to the test images: shares (0-1)."""

    answered: float
    error: float | None
    false_alarms: float | None


class Labels(TypedDict):
    """Labels to look at: single ones, how many of these are expected to be wrong and a rough range, and blocks of files."""

    singles: int
    expected: list[float]
    blocks: int


class Metrics(TypedDict, total=False):
    """reports/metrics.json. It also has the scores of each arm under the arm's name (`scores_of`)."""

    source: str
    shipped: str
    n_train: int
    n_validation: int
    n_test: int
    test: Scores  # of what ships
    transfer: Agreement | None
    aim: Aim
    limits: Limits
    labels: Labels
    caveats: list[str]


class Candidate(TypedDict, total=False):
    """A source in the ranking."""

    name: str
    status: str  # ranked, or why not
    probe_accuracy: float | None
    chance_best: float | None
    gflops: float | None
    parameters: int | None
    input_size: int | None
    licence: str | None
    reason: str | None


class Ranking(TypedDict, total=False):
    """reports/ranking.json."""

    chosen: str
    ranked_first: str
    clear: bool
    reason: str
    candidates: list[Candidate]


class Finding(TypedDict):
    """A check of the data that failed."""

    message: str
    files: list[str]


class Unusable(TypedDict):
    """A file that was left out."""

    path: str
    reason: str


class Validation(TypedDict, total=False):
    """reports/validation.json."""

    critical: list[Finding]
    warnings: list[Finding]
    quarantined: list[Unusable]


class Counted(TypedDict):
    """On how many images models were compared."""

    n_images: int


class Compared(TypedDict, total=False):
    """What ships beside the network from random weights."""

    asymptote: Counted


class Verdict(TypedDict, total=False):
    """reports/verdict.json. It has `pretrained_against_random` only if transfer was tested."""

    answer: str
    standing: str
    evidence: str
    settle: str  # what would tell, if there are too few images
    reason: str
    mix: float | None  # the share of the fine-tuned model in an average or a pair that ships
    pretrained_against_random: Compared


class Labelled(TypedDict):
    """What labels of `n` images of the second domain say: accuracy of the adapted and of the plain model, the first with its interval."""

    n: int
    adapted: float
    adapted_interval: list[float]
    plain: float


class Adapted(TypedDict, total=False):
    """reports/adapt.json: whether labels were carried over to a second domain."""

    images: int
    adapted: bool
    reason: str
    accuracy: list[float]  # estimate, lower and upper end
    labelled: Labelled | None


class SelfTraining(TypedDict):
    """What became of images without labels beside labelled ones, in models/head/summary.json."""

    joined: bool
    reason: str
    images: int
    learned: int


def self_training() -> SelfTraining:
    """What became of images without labels, empty if there are none."""
    return cast(SelfTraining, outputs.read_object(HEAD).get("self_training") or {})


def adapted() -> Adapted:
    """reports/adapt.json, empty if there is none."""
    return cast(Adapted, outputs.read_object(ADAPT))


def metrics() -> Metrics:
    """reports/metrics.json, empty if there is none."""
    return cast(Metrics, outputs.read_object(METRICS))


def ranking() -> Ranking:
    """reports/ranking.json, empty if there is none."""
    return cast(Ranking, outputs.read_object(RANKING))


def validation() -> Validation:
    """reports/validation.json, empty if there is none."""
    return cast(Validation, outputs.read_object(VALIDATION))


def verdict() -> Verdict:
    """reports/verdict.json, empty if there is none."""
    return cast(Verdict, outputs.read_object(VERDICT))


def scores_of(metrics: Metrics, arm: str) -> Scores | None:
    """The scores of an arm (head, fine_tuned, scratch, ...); None if there are none."""
    found = cast(Mapping[str, object], metrics).get(arm)
    return cast(Scores, found) if isinstance(found, dict) else None


def looked_at(verdict: Verdict) -> int | None:
    """How many held-out images the answer on transfer is from; None if that is not known."""
    return verdict.get("pretrained_against_random", {}).get("asymptote", {"n_images": None})["n_images"]


def answer(verdict: Verdict) -> str:
    """Whether transfer was tested, and what came of it: a key of naming.ANSWERS. Earlier versions called untested transfer none_shown."""
    return verdict["answer"] if "pretrained_against_random" in verdict else naming.NOT_TESTED
