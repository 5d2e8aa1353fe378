"""Carry the labels over to images of another domain, if there are any: python -m tasks.adapt"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart.base import devices, outputs, weights
from headstart.data import manifest, settings
from headstart.data.settings import two_domains
from headstart.domains import outcome
from headstart.features import classify
from headstart.networks import cards
from headstart.params import Adapt, Shared
from headstart.statistics import likelihood
from headstart.words import spreadsheet
from tasks import stage

if TYPE_CHECKING:
    from headstart.domains import adapting


def adapt(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    target: Path = Path("data/target.parquet"),
    ranking: Path = Path("reports/ranking.json"),
    final: Path = Path("models/final"),
    adapted: Path = Path("models/adapted"),
    predictions: Path = Path("reports/target"),
    out: Path = Path("reports/adapt.json"),
    *,
    block: Adapt,
    shared: Shared,
) -> None:
    """Write the adapted model if it counts, labels of all target images, which of them to label by hand, and what was decided and why."""
    rows, name = _target(images, target), settings.of(images).name
    if rows.empty or block.when == outcome.NEVER:
        reason = "adapt.when is never" if len(rows) else "there is no second domain (headstart import --target)"
        _write(adapted, predictions, None, [], block.ask)
        outputs.write_json(out, outcome.nothing(name, reason))
        print(f"nothing to adapt: {reason}")
        return
    from headstart.domains import adapting  # and with it PyTorch, which takes seconds

    arrays, card = cards.read_model(final)
    device = devices.choose(shared.device, shared.precision)
    plain = likelihood.softmax(classify.logits(arrays, card, rows, images, device, "target, as it is"))
    table = manifest.read(clean)
    ranked = [one for one in outputs.read_json(ranking)["candidates"] if one["status"] == "ranked"]
    done = adapting.adapt(
        table[table["split"] != "test"].reset_index(drop=True),
        rows,
        images,
        [(one["name"], one["input_size"]) for one in ranked],
        plain,
        two_domains.labels(images),
        card,
        setting=name,
        when=block.when,
        method=block.method,
        least=block.least_agreement,
        most=block.max_images,
        mapped=block.mapped,
        seed=shared.seed,
        device=device,
    )
    counts, classes, before = done.report["adapted"], list(card.classes), card.named(plain)
    found = _found(rows, classes, done.probabilities, done.probabilities.argmax(1) if counts else before, before)
    _write(adapted, predictions, done, found, block.ask, shared.seed)
    outputs.write_json(out, done.report)
    _say(done.report)


def _target(images: Path, target: Path) -> pd.DataFrame:
    """The usable images of a second domain; none if those without labels are of the first."""
    rows = manifest.read(target)
    return rows[rows["readable"] & (settings.of(images) is two_domains.TWO_DOMAINS)].reset_index(drop=True)


def _found(rows: pd.DataFrame, classes: list[str], q: np.ndarray, named: np.ndarray, plain: np.ndarray) -> list[tuple[object, ...]]:
    """A row per target image: path, label, probability, and the label of the model that was not adapted."""
    paths = (path.removeprefix(f"{two_domains.FOLDER}/") for path in rows["path"])
    return [(path, classes[k], round(float(p[k]), 4), classes[old]) for path, k, p, old in zip(paths, named, q, plain, strict=True)]


def _write(
    adapted: Path, predictions: Path, done: adapting.Adaptation | None, found: list[tuple[object, ...]], ask: int, seed: int = 0
) -> None:
    """Write the model (a word instead of one if none counts), the labels, the images to label by hand, and the maps, if there are any."""
    with outputs.folder(adapted) as folder:
        if done and done.report["adapted"] and done.weights is not None and done.card is not None:
            weights.write(folder / cards.WEIGHTS, done.weights)
            outputs.write_json(folder / cards.CARD, done.card.to_json())
        else:
            (folder / "README.txt").write_text("There is no adapted model; reports/adapt.json says why.\n")  # DVC warns of an empty folder
    drawn = np.sort(np.random.default_rng(seed).permutation(len(found))[:ask])
    with outputs.folder(predictions) as folder:
        spreadsheet.write(folder / "predictions.csv", ("path", "label", "probability", "not_adapted"), found)
        spreadsheet.write(folder / "label_these.csv", ("path", "label"), [(found[i][0], "") for i in drawn])
        if done and len(done.map):
            done.map.to_parquet(folder / outcome.MAP, index=False)


def _say(report: outcome.Report) -> None:
    print(f"{'adapted' if report['adapted'] else 'not adapted'}: {report['reason']}")
    if report["adapted"] and report["accuracy"]:
        about, low, high = report["accuracy"]
        print(f"accuracy on the target, without any label of it: about {about:.0%}, between {low:.0%} and {high:.0%}")
    if tested := report["labelled"]:
        low, high = tested["adapted_interval"]
        print(
            f"{tested['n']} labelled target images: adapted {tested['adapted']:.0%} right ({low:.0%} to {high:.0%}), plain {tested['plain']:.0%}"
        )


if __name__ == "__main__":
    stage.run(adapt)
