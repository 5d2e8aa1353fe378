"""Whether a new model may stand in the registry: a paired test on the promotion split against the one that stands.

Runs after the pipeline and outside its graph. Both models are compared on images that neither was fitted on: the frozen head, which ships
fitted on train and validation, answers for validation images through its twin fitted on train alone, and images that the standing model was
trained on (the data may have changed since) are left out. Both chose their epochs and their arm on validation images, so figures on
that split are a little high for either; `split="test"` is free of it, but wears the test split out when it decides often.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import manifest
from headstart.features import classify, extraction, of_source
from headstart.features.transforms import View
from headstart.linear import frozen_head
from headstart.machinery.errors import DataError, HeadstartError
from headstart.networks import cards, heads
from headstart.registry import shelf
from headstart.registry.shelf import Model
from headstart.statistics import paired

if TYPE_CHECKING:
    from torch import nn


SPLITS = ("validation", "test")
LEVEL = 0.95  # confidence in each end of an interval
FITTED_ON = {"head": ("train", "validation")}  # by what ships; all else is fitted on train
FIGURES = ("n", "accuracy", "standing_accuracy", "difference", "standard_error", "interval", "gained", "lost")


def promote(
    folder: Path = shelf.FOLDER,
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    head: Path = Path("models/head"),
    final: Path = Path("models/final"),
    ranking: Path = Path("reports/ranking.json"),
    *,
    split: str = "validation",
    force: bool = False,
    device: Device = CPU,
) -> dict[str, Any]:
    """Let the model in `final` stand in the registry `folder` unless it is worse than the one that does; return the decision as plain values.

    `decision` is promoted, refused, or unchanged where this very model stands already. Looks at no other split than `split`. Call under the run
    lock. Raises HeadstartError where there is no model, or not of this data, or where the one that stands cannot be read (unless `force`).
    """
    model, table = Model.read(final), manifest.read(clean)
    data = manifest.split_hash(table)
    if model.card.data_sha256 != data:
        raise HeadstartError(f"{final} was not made from the data in {clean}; run `headstart run` first, so that both are of one run")
    rows = table[table["split"] == split].reset_index(drop=True)
    if rows.empty:
        raise DataError(f"{clean} has no image in the {split} split, so there is nothing to compare on")
    shelf.tidy(folder)
    standing, lost = _standing(folder, force)
    shelf.record_ranking(folder, ranking, data)
    start = _entry(model, standing, split)
    if standing and (standing.sha256, standing.card) == (model.sha256, model.card):
        return {**start, "decision": "unchanged", "model": standing.folder.name, "reason": "this very model stands already"}
    answers = _own_answers(model, rows, images, source, head, device)
    right = (answers == rows["label"]).to_numpy(bool)
    start |= {"n": len(rows), "accuracy": float(right.mean())}
    if standing:
        fine, reason, figures = _judge(model, standing, rows, right, images, device)
    else:
        fine, reason, figures = not lost, lost or "nothing stood there", {}
    entry = {**start, **figures, "decision": "promoted" if fine or force else "refused", "forced": force and not fine, "reason": reason}
    if entry["decision"] == "refused":
        shelf.record(folder, entry)
        return entry
    entry["model"] = shelf.name(folder, entry["data_sha256"])
    given = dict(zip(rows["path"], answers, strict=True))
    shelf.store(folder, model, entry, table[["sha256", "split"]].assign(answer=table["path"].map(given)))
    return entry


def compare(challenger: np.ndarray, standing: np.ndarray) -> dict[str, Any]:
    """Figures of right answers (n,) bool of two models on the same images, as shares; `difference` is challenger - standing.

    Each end of `interval` holds with 95% confidence on its own: the adjusted Wald interval for paired proportions (Bonett & Price, 2012,
    Journal of Educational and Behavioral Statistics 37), which keeps its width where the two never differ.
    """
    n = len(challenger)
    gained, lost = int((challenger & ~standing).sum()), int((standing & ~challenger).sum())
    difference, error = paired.difference(challenger, standing)
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    reach = NormalDist().inv_cdf(LEVEL) * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    interval = [max(up - down - reach, -1.0), min(up - down + reach, 1.0)]
    values = (n, float(challenger.mean()), float(standing.mean()), difference, error, interval, gained, lost)
    return dict(zip(FIGURES, values, strict=True))


def verdict(figures: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a model with these figures (of `compare`) may stand, and why: it may unless it is shown to be worse.

    The usual challenger is the same recipe on more data, and to prove even an equal one no worse by a point takes thousands of images, so a rule
    that asks for proof would refuse nearly every honest retraining. What this rule may let through, the images bound: the reason says by how much.
    """
    low, high = (100 * end for end in figures["interval"])
    if high < 0:
        return False, f"it is worse, by {-high:.1f} points at the least"
    if low > 0:
        return True, f"it is better, by {low:.1f} points at the least"
    return True, f"it is not shown to be worse, nor to be better: it may be up to {-low:.1f} points worse or {high:.1f} points better"


def _entry(model: Model, standing: Model | None, split: str) -> dict[str, Any]:
    """A decision still to be made, with every field that it will have."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "decision": "",
        "forced": False,
        "reason": "",
        "model": None,
        "shipped": model.card.shipped,
        "source": model.card.source,
        "data_sha256": model.card.data_sha256,
        "model_sha256": model.sha256,
        "standing": standing.folder.name if standing else None,
        "split": split,
        **dict.fromkeys(FIGURES),
        "notes": [],
    }


def _standing(folder: Path, force: bool) -> tuple[Model | None, str]:
    """The model that stands, if any; where `force` passes over one that cannot be read, why it cannot."""
    try:
        return shelf.standing(folder), ""
    except HeadstartError as error:
        if not force:
            raise HeadstartError(f"{error}; fetch it again (`dvc pull`), or replace it with --force") from None
        return None, str(error)


def _judge(
    model: Model, standing: Model, rows: pd.DataFrame, right: np.ndarray, root: Path, device: Device
) -> tuple[bool, str, dict[str, Any]]:
    """Whether `model`, whose answers on `rows` are `right` (n,), may stand in the place of `standing`, why, and the figures."""
    ours, theirs = (set(one.card.classes) for one in (model, standing))
    if ours != theirs:
        change = [f"{word} {', '.join(sorted(names))}" for word, names in (("new:", ours - theirs), ("gone:", theirs - ours)) if names]
        return False, f"its classes are not those of the standing model ({'; '.join(change)}), so the two cannot be compared", {}
    answers, notes = _their_answers(standing, model, rows, root, device)
    fair = answers.notna().to_numpy(bool)
    if not fair.any():
        return False, "there is no image on which to compare them: the standing model was trained on all of them", {}
    figures = compare(right[fair], (answers == rows["label"]).to_numpy(bool)[fair])
    return *verdict(figures), {**figures, "notes": notes}


def _own_answers(model: Model, rows: pd.DataFrame, root: Path, source: Path, head: Path, device: Device) -> np.ndarray:
    """The class (n,) that the new model gives each of `rows`; where it was fitted on them, the class that its twin gives."""
    if not _fitted(model, rows):
        return _answers(model, rows, root, device, "new model")
    card = cards.read_source(source)
    if card.weights_sha256 != model.card.weights_sha256:
        raise HeadstartError(
            f"{model.folder} was not made on the source in {source}; run `headstart run` first, so that both are of one run"
        )
    twin = heads.load(head / "head.safetensors", frozen_head.TRAIN_ONLY)
    return _classes(model, twin.logits(of_source.of_source(card, rows, root, device)))


def _their_answers(standing: Model, model: Model, rows: pd.DataFrame, root: Path, device: Device) -> tuple[pd.Series, list[str]]:
    """The class that the standing model gives each of `rows`, none where it was fitted on the image; and what to bear in mind."""
    path = standing.folder / shelf.IMAGES
    if not path.is_file():
        doubtful = _fitted(standing, rows) or standing.card.data_sha256 != model.card.data_sha256
        note = f"{path} is missing: the standing model may have been trained on some of these images, and its figure flatter it"
        return pd.Series(_answers(standing, rows, root, device, "standing model")), [note] * doubtful
    known = pd.read_parquet(path)
    kept = known.dropna(subset="answer")
    answers = rows["sha256"].map(dict(zip(kept["sha256"], kept["answer"], strict=True))).astype(object)
    fitted = set(known.loc[known["split"].isin(_fitted_on(standing)), "sha256"])
    seen = answers.isna() & rows["sha256"].isin(fitted)
    fresh = answers.isna() & ~seen
    if fresh.any():
        answers[fresh] = _answers(standing, rows[fresh], root, device, "standing model")
    note = f"left out of the comparison: {int(seen.sum()):,} of {len(rows):,} images, on which the standing model was trained"
    return answers, [note] * bool(seen.any())


def _answers(model: Model, rows: pd.DataFrame, root: Path, device: Device, what: str) -> np.ndarray:
    """The class (n,) that a model gives each of `rows`."""

    def make() -> nn.Module:
        from headstart.networks import model as model_module

        return model_module.load(model.folder)[0]

    frozen = classify.prepared(model.card, model.sha256, make, device)
    return _classes(
        model, extraction.extract(frozen, rows, root, View.of(model.card.transform), dtype="float32", what=f"{what}, images")[:]
    )


def _classes(model: Model, logits: np.ndarray) -> np.ndarray:
    return np.array(model.card.classes, dtype=object)[logits.argmax(1)]


def _fitted_on(model: Model) -> tuple[str, ...]:
    return FITTED_ON.get(model.card.shipped or "", ("train",))


def _fitted(model: Model, rows: pd.DataFrame) -> bool:
    return bool(rows["split"].isin(_fitted_on(model)).any())
