"""Say whether transfer helped, and choose what ships: python -m tasks.verdict"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart import arms, devices, evaluation, heads, manifest, outputs, proof, trials, weights
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
    table, card = manifest.read(clean), outputs.read_json(source)
    summaries = {path: outputs.read_json(path / "summary.json") for path in (head, fine_tuned, baseline)}
    classes: list[str] = summaries[head]["classes"]
    blocks: dict[str, dict[str, Any]] = {}
    for summary in summaries.values():
        blocks |= summary["parameters"]
    place = devices.choose(device, precision)
    random = trials.read(baseline / "trials.safetensors")
    proved = proof.prove(
        trials.read(fine_tuned / "trials.safetensors")[0, 0],
        random,
        table=table,
        root=images,
        card=card,
        classes=classes,
        blocks=blocks,
        size=summaries[baseline]["card"]["input_size"],
        seeds=seeds,
        label_curve=label_curve,
        level=level,
        margin=margin,
        resamples=resamples,
        seed=seed,
        device=place,
    )
    data = arms.Data(table, images, classes, place)
    tuned = arms.arm(arms.FINE_TUNED, weights.read(fine_tuned / weights.WEIGHTS), card, data)
    fitted = heads.load(head / "head.safetensors", "train_only")
    frozen = arms.frozen(fitted, evaluation.with_head(card, tuned.weights, fitted), card, data)
    averages = arms.average(frozen, tuned, data) if average else []
    fresh = arms.arm(arms.SCRATCH, weights.read(baseline / weights.WEIGHTS), summaries[baseline]["card"], data) if random else None
    choice = arms.choose(frozen, [tuned, *averages], fresh, data.labels)
    tried: list[dict[str, Any]] = []
    if remedies and fresh and proved["pretrained_against_random"]["asymptote"]["difference"] <= 0:
        context = arms.Context(data, card, blocks["train_head"], blocks["fine_tune"], outputs.read_json(ranking), seed)
        choice, tried = arms.remedy(context, choice)
    known = [frozen, tuned, *averages, *([fresh] if fresh else [])]
    said = {
        **proved,
        "ships": choice.arm.name,
        "mix": choice.arm.mix,
        "reason": choice.reason,
        "arms": [arms.figures(one, data.labels) for one in known],
        "remedies": tried,
    }
    with outputs.folder(out) as folder:
        weights.write(folder / weights.WEIGHTS, choice.arm.weights)
        chosen = {"arm": choice.arm.name, "mix": choice.arm.mix, "reason": choice.reason, "card": choice.arm.card}
        parameters = {"level": level, "margin": margin, "average": average, "remedies": remedies, "seeds": seeds}
        outputs.write_json(folder / "summary.json", {**chosen, "parameters": {"verdict": parameters}})
    outputs.write_json(result, said)
    print(f"transfer: {said['answer']} ({said['standing']}). {said['evidence']}")
    print(f"ships: {choice.arm.name}. {choice.reason}")


if __name__ == "__main__":
    stage.run(verdict)
