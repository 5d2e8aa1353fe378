"""Say whether transfer helped, and choose what ships: python -m tasks.verdict"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.base import devices, outputs, weights
from headstart.data import manifest
from headstart.networks import cards, heads, kept
from headstart.networks.cards import SourceCard
from headstart.params import Baseline, FineTune, Shared, TrainHead, Verdict
from headstart.proof import choosing, contenders, proving, refit, shipping
from headstart.proof.remedies import Context
from headstart.proof.trained import Blocks
from headstart.statistics import goals, operating, records
from headstart.words import naming
from tasks import stage

if TYPE_CHECKING:
    from headstart.training import tuning


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
    block: Verdict,
    shared: Shared,
) -> None:
    """Write the verdict with its evidence, and the weights that ship; neither depends on the test split."""
    table, card = manifest.read(clean), cards.read_source(source)
    summaries = {path: outputs.read_json(path / "summary.json") for path in (head, fine_tuned, baseline)}
    classes: list[str] = summaries[head]["classes"]
    head_block = TrainHead.model_validate(summaries[head]["parameters"]["train_head"])
    tuning_block = FineTune.model_validate(summaries[fine_tuned]["settled"])
    data = contenders.DataSet(table, images, classes, devices.choose(shared.device, shared.precision), goals.read(summaries[head]["goal"]))
    untrained = SourceCard.from_json(summaries[baseline]["card"], baseline / "summary.json")
    random = records.read(baseline / "trials.safetensors")
    blocks = Blocks(head_block, tuning_block, Baseline.model_validate(summaries[baseline]["settled"]))
    prove = partial(
        proving.prove,
        records.read(fine_tuned / "trials.safetensors")[0, 0],
        random,
        data=data,
        card=card,
        design=untrained.design,
        blocks=blocks,
        block=block,
        seed=shared.seed,
    )
    field = replace(_field(head, fine_tuned, summaries[fine_tuned], card, data, average=block.average), picked=tuning_block.keep != "last")
    if random:
        field = replace(field, scratch=_scratch(baseline, summaries[baseline], untrained, data))
    context = Context(data, card, head_block, tuning_block, outputs.read_json(ranking), shared.seed) if block.remedies else None
    shipped, said = shipping.decide(lambda ships: prove(ships=ships), field, data.labels, context)
    if field.tuned and shipped.contender.name in contenders.MIXED:
        shipped = replace(shipped, contender=contenders.scaled(shipped.contender, field.tuned, data.labels))
    point = operating.read(summaries[head]["point"]) if shipped.contender is field.head else shipped.contender.point(data.labels)
    again = None
    if refit.wanted(block.refit, shipped.contender, data):
        again = refit.refit(shipped.contender, data, card, head, tuning_block, summaries[fine_tuned], seed=shared.seed)
        shipped = replace(shipped, reason=f"{shipped.reason}; {refit.SAID if again else refit.LOST}")
    _write(out, shipped, point, block, again)
    outputs.write_json(result, {**said, "reason": shipped.reason})
    _say(said, shipped)


def _field(
    head: Path,
    fine_tuned: Path,
    summary: tuning.Summary,
    card: SourceCard,
    data: contenders.DataSet,
    *,
    average: bool,
) -> shipping.Field:
    """The contenders that begin with the source's weights, measured on the validation images."""
    arrays, fitted = weights.read(fine_tuned / cards.WEIGHTS), heads.load(head / "head.safetensors", "train_only")
    frozen = contenders.frozen(fitted, kept.with_head(card, arrays, fitted), card, data)
    if not summary["changed"]:
        return shipping.Field(frozen, None, [], None, _absent(summary))
    said = {float(share): logits for share, logits in weights.read(fine_tuned / cards.HELD_OUT).items()}
    tuned = contenders.fine_tuned(arrays, card, said.pop(1.0), data, summary["temperature"])
    mixes = (
        [*contenders.averages(frozen, tuned, dict(sorted(said.items()))), contenders.both(frozen, tuned, data.labels)] if average else []
    )
    return shipping.Field(frozen, tuned, mixes, None)


def _scratch(baseline: Path, summary: Mapping[str, float], card: SourceCard, data: contenders.DataSet) -> contenders.Contender:
    """The network from random weights, measured on the validation images."""
    arrays = weights.read(baseline / cards.WEIGHTS)
    return contenders.measure(contenders.SCRATCH, arrays, card, data, temperature=summary.get("temperature", 1.0))


def _absent(summary: tuning.Summary) -> str:
    """Why there is no fine-tuned model."""
    if not summary["phases"]:
        return "nothing was unfrozen, so the frozen head is all there is on the source's weights"
    return "fine-tuning brought nothing: after no epoch was the network better than the frozen head on validation"


def _write(out: Path, shipped: choosing.Shipped, point: operating.Point, block: Verdict, again: refit.Weights | None) -> None:
    """Write what ships: its weights, why it does, its operating point, and what its logits were divided by.

    again: its weights fitted on train and validation; what was measured on validation then lies beside them.
    """
    ships = shipped.contender
    with outputs.folder(out) as folder:
        weights.write(folder / cards.WEIGHTS, again or ships.weights)
        if again:
            weights.write(folder / cards.TWIN, ships.weights)
        chosen = {"arm": ships.name, "mix": ships.mix, "reason": shipped.reason, "card": ships.card.to_json(), "point": asdict(point)}
        fitted_on = ["train", "validation"] if again or ships.name == contenders.HEAD else ["train"]
        parameters = {name: getattr(block, name) for name in ("level", "margin", "average", "remedies", "refit", "seeds")}
        outputs.write_json(
            folder / "summary.json",
            {**chosen, "temperature": ships.temperature, "fitted_on": fitted_on, "parameters": {"verdict": parameters}},
        )


def _say(said: shipping.Verdict, shipped: choosing.Shipped) -> None:
    answer = naming.answer(said["answer"], shipping.looked_at(said))
    print(f"transfer: {answer}. {said['evidence'].removesuffix('.')}. {said['settle']}".rstrip())
    print(f"ships: {shipped.contender.name}. {shipped.reason}")


if __name__ == "__main__":
    stage.run(verdict)
