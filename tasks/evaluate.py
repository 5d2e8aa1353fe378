"""Read the test split once, measure what ships beside the frozen head, and put models/final together: python -m tasks.evaluate"""

from __future__ import annotations

from pathlib import Path

from headstart.base import devices, outputs, weights
from headstart.data import manifest
from headstart.evaluation import test_split
from headstart.networks import cards, heads
from headstart.networks.cards import SourceCard
from headstart.params import Evaluate, Shared
from tasks import stage


def evaluate(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    head: Path = Path("models/head"),
    fine_tuned: Path = Path("models/fine_tuned"),
    baseline: Path = Path("models/baseline"),
    chosen: Path = Path("models/chosen"),
    verdict: Path = Path("reports/verdict.json"),
    final: Path = Path("models/final"),
    predictions: Path = Path("reports/predictions.parquet"),
    metrics: Path = Path("reports/metrics.json"),
    confusion: Path = Path("reports/plots/confusion.csv"),
    reliability: Path = Path("reports/plots/reliability.csv"),
    *,
    block: Evaluate,
    shared: Shared,
) -> None:
    """Write the final model and its card, the metrics, the prediction for each test image, and the plots' data."""
    card, ships = cards.read_source(source), outputs.read_json(chosen / "summary.json")
    summaries = [
        outputs.read_json(source),
        *(outputs.read_json(folder / "summary.json") for folder in (head, fine_tuned, baseline, chosen)),
    ]
    models = [test_split.Model("fine_tuned", weights.read(fine_tuned / cards.WEIGHTS), card)]
    if (baseline / cards.WEIGHTS).exists():
        models.append(
            test_split.Model(
                "scratch", weights.read(baseline / cards.WEIGHTS), SourceCard.from_json(summaries[3]["card"], baseline / "summary.json")
            )
        )
    done = test_split.evaluate(
        manifest.read(clean),
        images,
        card,
        heads.load(head / "head.safetensors", "final"),
        summaries[1],
        models,
        test_split.Model(ships["arm"], weights.read(chosen / cards.WEIGHTS), SourceCard.from_json(ships["card"], chosen / "summary.json")),
        summaries,
        answer=outputs.read_json(verdict)["answer"],
        bootstrap=block.bootstrap,
        bins=block.calibration_bins,
        seed=shared.seed,
        device=devices.choose(shared.device, shared.precision),
    )
    with outputs.folder(final) as folder:
        weights.write(folder / cards.WEIGHTS, done.weights)
        outputs.write_json(folder / cards.CARD, done.card.to_json())
    with outputs.whole(predictions) as temporary:
        done.predictions.to_parquet(temporary, index=False)
    for path, table in ((confusion, done.confusion), (reliability, done.reliability)):
        with outputs.whole(path) as temporary:
            table.to_csv(temporary, index=False)
    outputs.write_json(metrics, done.metrics)
    test = done.metrics["test"]
    print(f"test accuracy {test['accuracy']:.4f} ({done.metrics['shipped']} ships; frozen head {done.metrics['head']['accuracy']:.4f})")


if __name__ == "__main__":
    stage.run(evaluate)
