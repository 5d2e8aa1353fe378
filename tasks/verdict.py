"""Say whether transfer helped, and choose what ships: python -m tasks.verdict"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.base import devices, outputs, weights
from headstart.data import manifest
from headstart.networks import cards, heads, kept
from headstart.networks.cards import SourceCard
from headstart.proof import contenders, proving, shipping
from headstart.proof.remedies import Context
from headstart.statistics import records
from tasks import stage


def verdict(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    ranking: Path = Path("reports/ranking.json"),
    head: Path = Path("models/head"),
    fine_tuned: Path = Path("models/fine_tuned"),
    baseline: Path = Path("models/baseline"),
    out: Path = Path("models/chosen"),
    result: Path = Path("reports/verdict.json"),
    *,
    seeds: int,
    label_curve: bool,
    level: float,
    margin: float,
    resamples: int,
    average: bool,
    remedies: bool,
    seed: int,
    device: str,
    precision: str,
) -> None:
    """Write the verdict with its evidence, and the weights that ship; the test split plays no part in either."""
    table, card = manifest.read(clean), cards.read_source(source)
    summaries = {path: outputs.read_json(path / "summary.json") for path in (head, fine_tuned, baseline)}
    classes: list[str] = summaries[head]["classes"]
    blocks: dict[str, dict[str, Any]] = {}
    for summary in summaries.values():
        blocks |= summary["parameters"]
    place = devices.choose(device, precision)
    untrained = SourceCard.from_json(summaries[baseline]["card"], baseline / "summary.json")
    random = records.read(baseline / "trials.safetensors")
    proved = proving.prove(
        records.read(fine_tuned / "trials.safetensors")[0, 0],
        random,
        table=table,
        root=images,
        card=card,
        classes=classes,
        blocks=blocks,
        size=untrained.transform.input_size,
        seeds=seeds,
        label_curve=label_curve,
        level=level,
        margin=margin,
        resamples=resamples,
        seed=seed,
        device=place,
    )
    data = contenders.DataSet(table, images, classes, place)
    tuned = contenders.measure(contenders.FINE_TUNED, weights.read(fine_tuned / cards.WEIGHTS), card, data)
    fitted = heads.load(head / "head.safetensors", "train_only")
    frozen = contenders.frozen(fitted, kept.with_head(card, tuned.weights, fitted), card, data)
    averages = contenders.averages(frozen, tuned, data) if average else []
    scratch = contenders.measure(contenders.SCRATCH, weights.read(baseline / cards.WEIGHTS), untrained, data) if random else None
    context = Context(data, card, blocks["train_head"], blocks["fine_tune"], outputs.read_json(ranking), seed) if remedies else None
    shipped, said = shipping.decide(proved, shipping.Field(frozen, tuned, averages, scratch), data.labels, context)
    ships = shipped.contender
    with outputs.folder(out) as folder:
        weights.write(folder / cards.WEIGHTS, ships.weights)
        chosen = {"arm": ships.name, "mix": ships.mix, "reason": shipped.reason, "card": ships.card.to_json()}
        parameters = {"level": level, "margin": margin, "average": average, "remedies": remedies, "seeds": seeds}
        outputs.write_json(folder / "summary.json", {**chosen, "parameters": {"verdict": parameters}})
    outputs.write_json(result, said)
    print(f"transfer: {said['answer']} ({said['standing']}). {said['evidence']}")
    print(f"ships: {ships.name}. {shipped.reason}")


if __name__ == "__main__":
    stage.run(verdict)
