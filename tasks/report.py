"""Write the report: python -m tasks.report"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from headstart.base import outputs
from headstart.data import settings
from headstart.data.settings.no_labels import NO_LABELS
from headstart.params import Report
from headstart.report import findings, grouped, page
from tasks import stage


def report(
    images: Path = Path("data/images"),
    validation: Path = Path("reports/validation.json"),
    ranking: Path = Path("reports/ranking.json"),
    head: Path = Path("models/head"),
    fine_tuned: Path = Path("models/fine_tuned"),
    baseline: Path = Path("models/baseline"),
    final: Path = Path("models/final"),
    curve: Path = Path("reports/curves/fine_tune.csv"),
    baseline_curve: Path = Path("reports/curves/baseline.csv"),
    verdict: Path = Path("reports/verdict.json"),
    metrics: Path = Path("reports/metrics.json"),
    predictions: Path = Path("reports/predictions.parquet"),
    confusion: Path = Path("reports/plots/confusion.csv"),
    reliability: Path = Path("reports/plots/reliability.csv"),
    thresholds: Path = Path("reports/plots/thresholds.csv"),
    adapt: Path = Path("reports/adapt.json"),
    target: Path = Path("reports/target"),
    batches: Path = Path("reports/batches.json"),
    groups: Path = Path("reports/groups.json"),
    labels: Path = Path("reports/labels"),
    seen: Path = Path("reports/seen"),
    out: Path = Path("reports/report.html"),
    *,
    block: Report,
) -> None:
    """Write one self-contained HTML page about the run, whole or not at all."""
    places = findings.Places(
        validation=validation,
        ranking=ranking,
        head=head,
        fine_tuned=fine_tuned,
        curve=curve,
        final=final,
        metrics=metrics,
        predictions=predictions,
        confusion=confusion,
        reliability=reliability,
        thresholds=thresholds,
        verdict=verdict,
        baseline=baseline,
        baseline_curve=baseline_curve,
        adapt=adapt,
        target=target,
        batches=batches,
        labels=labels,
        seen=seen,
        images=images,
    )
    _write(out, places, groups, block.mistakes)


def _write(out: Path, places: findings.Places, groups: Path, mistakes: int) -> None:
    """Write the page on images without labels, or the usual one."""
    if settings.of(places.images) is NO_LABELS:
        text = grouped.render(groups, places.validation, places.images)
    else:
        text = page.render(findings.gather(replace(places, timings=stage.STATE / "timings")), mistakes=mistakes)
    with outputs.whole(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"report: {out}")


if __name__ == "__main__":
    stage.run(report)
