"""What the stages left for the report, read from their outputs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import params
from headstart.machinery.errors import HeadstartError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Findings:
    """What the stages left, as read. Summaries and metrics are the JSON objects themselves."""

    validation: dict[str, Any]
    ranking: dict[str, Any]
    head: dict[str, Any]
    fine_tuned: dict[str, Any]
    card: dict[str, Any]
    metrics: dict[str, Any]
    verdict: dict[str, Any]
    baseline: dict[str, Any]
    curve: pd.DataFrame
    baseline_curve: pd.DataFrame
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    reliability: pd.DataFrame
    images: Path
    model_sha256: str = ""
    timings: list[dict[str, Any]] = field(default_factory=list)


def gather(
    *,
    validation: Path,
    ranking: Path,
    head: Path,
    fine_tuned: Path,
    curve: Path,
    final: Path,
    metrics: Path,
    predictions: Path,
    confusion: Path,
    reliability: Path,
    verdict: Path,
    baseline: Path,
    baseline_curve: Path,
    images: Path,
    timings: Path | None = None,
) -> Findings:
    """Read the outputs of the stages. Curves, the reliability table and the timings may be missing; for anything else HeadstartError says which file is not there."""
    import pandas as pd

    try:
        return Findings(
            validation=_json(validation),
            ranking=_json(ranking),
            head=_json(head / "summary.json"),
            fine_tuned=_json(fine_tuned / "summary.json"),
            card=_json(final / "card.json"),
            metrics=_json(metrics),
            verdict=_json(verdict),
            baseline=_json(baseline / "summary.json"),
            curve=_table(curve),
            baseline_curve=_table(baseline_curve),
            predictions=pd.read_parquet(predictions),
            confusion=pd.read_csv(confusion, dtype=str, keep_default_na=False),  # a class may be called NA
            reliability=_table(reliability),
            images=images,
            model_sha256=_sha256(final / "model.safetensors"),
            timings=_timings(timings),
        )
    except FileNotFoundError as error:
        raise HeadstartError(f"the report needs {error.filename}, which is missing; run `dvc repro`") from None


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _table(path: Path) -> pd.DataFrame:
    """A CSV file, an empty table where there is none."""
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


def _timings(folder: Path | None) -> list[dict[str, Any]]:
    """How long each stage took when it last ran, in the order of the line; what is missing or broken is left out."""
    found = []
    for stage in params.STAGES[:-1]:  # the report itself is still being written
        try:
            found.append({"work": []} | _json((folder or Path()) / f"{stage}.json"))
        except (OSError, ValueError):
            continue
    return found if folder else []
