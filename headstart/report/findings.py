"""What the stages left for the report, read from their outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

from headstart import params
from headstart.base.grey import Grey
from headstart.machinery.errors import HeadstartError
from headstart.words import spreadsheet

if TYPE_CHECKING:
    import pandas as pd

    from headstart.checks.validation import Validation
    from headstart.choice.selection import Ranking
    from headstart.continual.outcome import Report as Batches
    from headstart.domains.outcome import Report as Adapted
    from headstart.evaluation.metrics import Figures
    from headstart.evaluation.outlying import Outliers
    from headstart.evaluation.pictured import Heat
    from headstart.evaluation.test_split import Metrics
    from headstart.labels.doubtful import Doubts
    from headstart.linear.frozen_head import Summary as HeadSummary
    from headstart.proof.shipping import Verdict
    from headstart.training.tuning import Summary as Tuned


class Limited(TypedDict):
    """A parameter of the baseline: the most images of each split that it saw."""

    max_images: int


class OfBaseline(TypedDict):
    """The parameters of the baseline, by stage."""

    baseline: Limited


class Baseline(TypedDict):
    """What the report reads of models/baseline/summary.json."""

    parameters: OfBaseline


class Transform(TypedDict):
    """How the model wants its images."""

    input_size: int  # pixels
    mean: list[float]
    std: list[float]
    interpolation: str


class Card(TypedDict):
    """What the report reads of models/final/card.json."""

    architecture: str
    source: str
    weights_sha256: str
    transform: Transform
    data_sha256: str
    parameters: dict[str, object]
    versions: dict[str, str]
    grey: NotRequired[dict[str, list[float]]]  # how more than 8 bits a channel are shown, if any image has them


class Work(TypedDict):
    """A part of a stage's work: `done` images in `seconds`, and what computed them."""

    what: str
    how: str
    done: int
    seconds: float


class Timing(TypedDict):
    """How long a stage took, and on which parts of its work."""

    stage: str
    seconds: float
    work: list[Work]


@dataclass(frozen=True)
class Findings:
    """What the stages left, as read. Summaries and metrics are the JSON objects themselves."""

    validation: Validation
    ranking: Ranking
    head: HeadSummary
    fine_tuned: Tuned
    card: Card
    metrics: Metrics
    verdict: Verdict
    baseline: Baseline
    adapt: Adapted
    batches: Batches
    labels: Doubts
    heat: Heat
    far: Outliers
    map: pd.DataFrame  # path, label, split, x, y; empty if there is none
    domains: pd.DataFrame  # both domains (headstart/domains/mapping.py, COLUMNS); empty if there is no second one
    curve: pd.DataFrame
    baseline_curve: pd.DataFrame
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    reliability: pd.DataFrame
    thresholds: pd.DataFrame
    images: Path
    model_sha256: str = ""
    timings: list[Timing] = field(default_factory=list)

    @property
    def grey(self) -> Grey | None:
        """The scale on which more than 8 bits a channel are shown; None if no image has them."""
        return Grey.from_json(self.card.get("grey"))

    def of_contender(self, name: str) -> Figures | None:
        """The test figures of a contender, None if it was not measured on the test images."""
        return cast("Mapping[str, Figures | None]", self.metrics).get(name)


@dataclass(frozen=True)
class Places:
    """Where the stages left what the report reads."""

    validation: Path
    ranking: Path
    head: Path
    fine_tuned: Path
    curve: Path
    final: Path
    metrics: Path
    predictions: Path
    confusion: Path
    reliability: Path
    thresholds: Path
    verdict: Path
    baseline: Path
    baseline_curve: Path
    adapt: Path
    target: Path
    batches: Path
    labels: Path
    seen: Path
    images: Path
    timings: Path | None = None


def gather(at: Places) -> Findings:
    """Read the outputs of the stages.

    Curves, the reliability table and the timings may be missing; if anything else is, HeadstartError says which file it is.
    """
    import pandas as pd

    try:
        return Findings(
            validation=_json(at.validation),
            ranking=_json(at.ranking),
            head=_json(at.head / "summary.json"),
            fine_tuned=_json(at.fine_tuned / "summary.json"),
            card=_json(at.final / "card.json"),
            metrics=_json(at.metrics),
            verdict=_json(at.verdict),
            baseline=_json(at.baseline / "summary.json"),
            adapt=_json(at.adapt),
            batches=_json(at.batches),
            labels=_json(at.labels / "labels.json"),
            heat=_json(at.seen / "heat.json"),
            far=_json(at.seen / "far.json"),
            map=pd.read_parquet(at.seen / "map.parquet"),
            domains=pd.read_parquet(both) if (both := at.target / "map.parquet").is_file() else pd.DataFrame(),
            curve=_table(at.curve),
            baseline_curve=_table(at.baseline_curve),
            predictions=pd.read_parquet(at.predictions),
            confusion=pd.read_csv(at.confusion, dtype=str, keep_default_na=False).map(spreadsheet.text),  # a class may be called NA
            reliability=_table(at.reliability),
            thresholds=_thresholds(at.thresholds),
            images=at.images,
            model_sha256=_sha256(at.final / "model.safetensors"),
            timings=_timings(at.timings),
        )
    except FileNotFoundError as error:
        raise HeadstartError(f"the report needs {error.filename}, which is missing; run `dvc repro`") from None


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _thresholds(path: Path) -> pd.DataFrame:
    """The curves of the operating points, an empty table if there are none."""
    import pandas as pd

    if not path.exists():
        return pd.DataFrame()
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"label": str})
    return table.assign(label=table["label"].map(spreadsheet.text))


def _table(path: Path) -> pd.DataFrame:
    """A CSV file, an empty table if there is none."""
    import pandas as pd

    try:
        return pd.read_csv(path, keep_default_na=True)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()


def _sha256(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _timings(folder: Path | None) -> list[Timing]:
    """How long each stage took when it last ran, in the order of the stages.

    What is missing or broken is left out.
    """
    found: list[Timing] = []
    if folder is None:
        return found
    for stage in params.STAGES[:-1]:  # the report itself is still being written
        try:
            found.append({"work": []} | _json(folder / f"{stage}.json"))
        except (OSError, ValueError):
            continue
    return found
