"""Read the test split once and put models/final together: python -m tasks.evaluate"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.base import devices, outputs, weights
from headstart.data import manifest
from headstart.evaluation import compared as to_compare
from headstart.evaluation import limits, outlying, pictured, test_split
from headstart.features import of_source
from headstart.features.transforms import View
from headstart.labels import doubtful, lists
from headstart.networks import cards, heads
from headstart.networks.cards import SourceCard
from headstart.params import Evaluate, Shared
from headstart.statistics import goals, operating
from headstart.statistics.goals import Goal
from headstart.statistics.operating import Point
from headstart.words import labels as label_words
from headstart.words import spreadsheet
from tasks import stage

if TYPE_CHECKING:
    from headstart.proof.shipping import Verdict


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
    compared: Path = Path("reports/compared.json"),
    confusion: Path = Path("reports/plots/confusion.csv"),
    reliability: Path = Path("reports/plots/reliability.csv"),
    thresholds: Path = Path("reports/plots/thresholds.csv"),
    labels: Path = Path("reports/labels"),
    seen: Path = Path("reports/seen"),
    *,
    block: Evaluate,
    shared: Shared,
) -> None:
    """Write the final model, the metrics (all, and those that people compare), the prediction for each test image, the plots' data, labels to look at, and what the report draws of what the model sees."""
    before = _before(source, head, fine_tuned, baseline, chosen, verdict)
    done = test_split.evaluate(
        manifest.read(clean),
        images,
        before.card,
        heads.load(head / "head.safetensors", "final"),
        before.classes,
        before.models,
        before.ships,
        parameters=before.parameters,
        verdict=before.verdict,
        bootstrap=block.bootstrap,
        bins=block.calibration_bins,
        seed=shared.seed,
        goal=before.goal,
        points=before.points,
        device=devices.choose(shared.device, shared.precision),
    )
    known = _limits(done, clean, images, head, before.ships, before.points, block, shared)
    done.metrics["limits"] = known.tested
    _labels(labels, done, clean, images, before.card, head, shared)
    _write(final, predictions, done, known)
    _seen(seen, done, clean, images, head, before.ships, known, block, shared)
    _plots(done, confusion, reliability, thresholds)
    outputs.write_json(metrics, done.metrics)
    outputs.write_json(compared, to_compare.compared(done.metrics))
    _say(done.metrics)


@dataclass(frozen=True)
class _Before:
    """What the stages before have left."""

    card: SourceCard  # of the source
    classes: list[str]
    goal: Goal
    models: list[test_split.Model]  # whole models beside the head
    ships: test_split.Model
    points: dict[str, Point]  # operating points, by contender
    parameters: dict[str, object]  # of all stages
    verdict: Verdict


def _before(source: Path, head: Path, fine_tuned: Path, baseline: Path, chosen: Path, verdict: Path) -> _Before:
    """Read it."""
    card = cards.read_source(source)
    summaries = {folder: outputs.read_json(folder / "summary.json") for folder in (head, fine_tuned, baseline, chosen)}
    models = [test_split.Model("fine_tuned", weights.read(fine_tuned / cards.WEIGHTS), card)] if summaries[fine_tuned]["changed"] else []
    if (baseline / cards.WEIGHTS).exists():
        models.append(_model("scratch", baseline, summaries[baseline]["card"]))
    proved, fitted, ships = outputs.read_json(verdict), summaries[head], summaries[chosen]
    points = {arm["name"]: arm["point"] for arm in proved["arms"]} | {"head": fitted["point"], ships["arm"]: ships["point"]}
    return _Before(
        card,
        fitted["classes"],
        goals.read(fitted["goal"]),
        models,
        _ships(chosen, ships),
        {name: operating.read(point) for name, point in points.items()},
        {key: value for left in (outputs.read_json(source), *summaries.values()) for key, value in left["parameters"].items()},
        proved,
    )


def _limits(
    done: test_split.Evaluation,
    clean: Path,
    images: Path,
    head: Path,
    ships: test_split.Model,
    points: dict[str, Point],
    block: Evaluate,
    shared: Shared,
) -> limits.Limits:
    """When the model that ships should not be believed."""
    twin, final = (heads.load(head / "head.safetensors", name) for name in ("train_only", "final"))
    return limits.choose(
        manifest.read(clean),
        images,
        ships,
        twin,
        final,
        done.metrics["classes"],
        points.get(ships.name, operating.plain(len(done.metrics["classes"]))),
        by=block.abstain.by,
        asked=block.abstain.share,
        false_alarms=block.false_alarms,
        seed=shared.seed,
        device=devices.choose(shared.device, shared.precision),
    )


def _labels(out: Path, done: test_split.Evaluation, clean: Path, images: Path, source: SourceCard, head: Path, shared: Shared) -> None:
    """Write which labels to look at, and note in the metrics how many."""
    fitted, how = heads.load(head / "head.safetensors", "final"), outputs.read_json(head / "summary.json")["final"]
    table = manifest.read(clean)
    features = of_source.of_source(source, table, images, devices.choose(shared.device, shared.precision))
    found = doubtful.find(
        table, features, fitted, done.metrics["classes"], penalty=how["penalty"], balanced=how["class_weights"] == "balanced"
    )
    lists.write(out, found)
    counted = done.metrics["labels"] = {"singles": found["singles"], "expected": found["expected"], "blocks": len(found["blocks"])}
    done.metrics["caveats"] += [said] if (said := label_words.caveat(**counted)) else []
    print(f"labels: {label_words.found(**counted)}")


def _seen(
    out: Path,
    done: test_split.Evaluation,
    clean: Path,
    images: Path,
    head: Path,
    ships: test_split.Model,
    known: limits.Limits,
    block: Evaluate,
    shared: Shared,
) -> None:
    """Write what counted for the worst mistakes, the map, and the images unlike the others."""
    engine = limits.engine(ships, heads.load(head / "head.safetensors", "final"), devices.choose(shared.device, shared.precision))
    view = replace(View.of_card(ships.card), grey=manifest.grey(manifest.read(clean)))
    with ThreadPoolExecutor(1) as other:  # the map takes one core, and no card
        mapped = other.submit(pictured.mapped, known.rows, known.features, block.mapped, shared.seed)
        heat = pictured.counted(done.predictions, images, engine, view, done.metrics["classes"], block.heat_maps)
    pictured.write(out, heat, mapped.result(), outlying.find(known))


def _write(final: Path, predictions: Path, done: test_split.Evaluation, known: limits.Limits) -> None:
    """Write the final model with its limits, and the prediction for each test image."""
    with outputs.folder(final) as folder:
        weights.write(folder / cards.WEIGHTS, done.weights)
        outputs.write_json(folder / cards.CARD, replace(done.card, unsure=known.unsure, unlike=known.unlike).to_json())
        if known.known is not None:
            weights.write(folder / cards.KNOWN, {"known": known.known})
    with outputs.whole(predictions) as temporary:
        done.predictions.to_parquet(temporary, index=False)


def _plots(done: test_split.Evaluation, confusion: Path, reliability: Path, thresholds: Path) -> None:
    """Write the data of the plots, class names as text that no spreadsheet runs."""
    curves = done.thresholds.assign(label=done.thresholds["label"].map(spreadsheet.cell))
    for path, table in ((confusion, done.confusion.map(spreadsheet.cell)), (reliability, done.reliability), (thresholds, curves)):
        with outputs.whole(path) as temporary:
            table.to_csv(temporary, index=False)


def _say(figures: test_split.Metrics) -> None:
    accuracy, head = figures["test"]["accuracy"], figures["head"]["accuracy"]
    if aim := figures["aim"]["reached"]:
        low, high = aim["interval"]
        goal = figures["aim"]["goal"]
        print(
            f"{goal['measure']} of {goal['label']} {aim['value']:.4f} of {aim['n']} (95% interval {low:.3f} to {high:.3f}; asked for: {goal['reach']})"
        )
    print(f"test accuracy {accuracy:.4f} ({figures['shipped']} ships; frozen head {head:.4f})")


def _model(name: str, folder: Path, card: object) -> test_split.Model:
    """A whole model whose network is not that of the source card."""
    return test_split.Model(name, weights.read(folder / cards.WEIGHTS), SourceCard.from_json(card, folder / "summary.json"))


def _ships(folder: Path, summary: dict[str, Any]) -> test_split.Model:
    """What ships, with its twin if there is one."""
    twin = weights.read(folder / cards.TWIN) if (folder / cards.TWIN).exists() else None
    return replace(
        _model(summary["arm"], folder, summary["card"]),
        twin=twin,
        fitted_on=tuple(summary["fitted_on"]),
        temperature=summary.get("temperature"),
    )


if __name__ == "__main__":
    stage.run(evaluate)
