"""Whether a new model becomes the current one of the registry: a paired test on the promotion split.

Runs after the pipeline and outside its graph. The new model and the current one are compared on images that neither was fitted on: a model
that ships fitted on train and validation answers for validation images through its twin fitted on train alone, and images that the
current model was trained on (the data may have changed since) are left out. Both chose their epochs, and what ships, on validation
images, so figures on that split are a little high for either; `split="test"` is free of it, but wears the test split out if it decides often.
If their classes differ, images of the classes that both know are compared. A class that the new model no longer knows is lost whatever
they show, so it is refused; one that is new is no reason. Which model it is, and which images judge it, says offered.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base import weights
from headstart.base.devices import CPU, Device
from headstart.data import encoding
from headstart.features import classify, of_source
from headstart.linear import frozen_head
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards, heads
from headstart.registry import offered, shelf
from headstart.registry.shelf import Entry, Model
from headstart.statistics import intervals, likelihood, paired

SPLITS = ("validation", "test")
LEVEL = 0.95  # confidence in each end of an interval
FITTED_ON = dict.fromkeys(
    ("head", offered.ADAPTED), ("train", "validation")
)  # of models whose card does not say it; all else is fitted on train


class Figures(TypedDict):
    """Two models on the same `n` images; `difference` is new - current.

    Shares (0-1) that are right, and how many images only the new model (`gained`) or only the current one (`lost`) has right.
    """

    n: int
    accuracy: float
    standing_accuracy: float  # of the current model
    difference: float
    standard_error: float
    interval: list[float]
    gained: int
    lost: int


def promote(
    folder: Path = shelf.FOLDER,
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    head: Path = Path("models/head"),
    chosen: Path = Path("models/chosen"),
    final: Path = Path("models/final"),
    ranking: Path = Path("reports/ranking.json"),
    target: Path = Path("data/target.parquet"),
    adapted: Path = Path("models/adapted"),
    adapt: Path = Path("reports/adapt.json"),
    *,
    split: str = "validation",
    force: bool = False,
    device: Device = CPU,
) -> Entry:
    """Make what the run offers (offered.py) the current model of the registry `folder`, unless it is worse.

    Returns the decision; `decision` is promoted, refused, or unchanged if this very model is current already. Looks at no other split
    than `split`. Call under the run lock. Raises HeadstartError if there is no model, or not of this data, or if the current one cannot be read (unless `force`).
    """
    offer = offered.offer(offered.Places(images, clean, target, final, adapted, adapt), split)
    model, rows, data = offer.model, offer.rows, offer.data
    shelf.tidy(folder)
    current, lost = _current(folder, force)
    shelf.record_ranking(folder, ranking, data)
    entry = _entry(model, current, offer.split)
    if current and (current.sha256, current.card) == (model.sha256, model.card):
        return {**entry, "decision": "unchanged", "model": current.folder.name, "reason": "this very model is current already"}
    answers = _own_answers(model, rows, images, source, (head, chosen), device) if len(rows) else np.empty(0, dtype=object)
    right = (answers == rows["label"]).to_numpy(bool)
    if len(rows):
        entry["n"], entry["accuracy"] = len(rows), float(right.mean())
    if not current:
        fine, entry["reason"] = not lost, lost or "there was no current model"
    elif why := offer.beyond(current):
        fine, entry["reason"] = False, why
    else:
        fine, entry["reason"], figures, entry["notes"], entry["batches"] = _against(current, model, rows, right, images, device)
        entry = {**entry, **figures} if figures else entry
    entry["notes"] = [*offer.notes, *entry["notes"]]
    if not fine and not force:
        entry["decision"] = "refused"
        shelf.record(folder, entry)
        return entry
    entry["decision"], entry["forced"], entry["model"] = "promoted", not fine, shelf.name(folder, data)
    given = dict(zip(rows["path"], answers, strict=True))
    shelf.store(folder, model, entry, offer.kept[["sha256", "split"]].assign(answer=offer.kept["path"].map(given)))
    return entry


def compare(new: np.ndarray, current: np.ndarray) -> Figures:
    """Figures of right answers (n,) bool of two models on the same images.

    Each end of `interval` holds with 95% confidence on its own.
    """
    gained, lost = int((new & ~current).sum()), int((current & ~new).sum())
    difference, error = paired.difference(new, current)
    return {
        "n": len(new),
        "accuracy": float(new.mean()),
        "standing_accuracy": float(current.mean()),
        "difference": difference,
        "standard_error": error,
        "interval": list(intervals.proportions(gained, lost, len(new), LEVEL)),
        "gained": gained,
        "lost": lost,
    }


def not_worse(interval: Sequence[float]) -> tuple[bool, str]:
    """Whether a model may become the current one, and why: it may unless it is shown to be worse.

    `interval` is that of `compare`. The usual new model is the same recipe on more data, and to prove even an equal one no worse by a point
    takes thousands of images, so a rule that asks for proof would refuse nearly every honest retraining. What this rule may let
    through, the
    images bound: the reason says by how much.
    """
    low, high = (100 * end for end in interval)
    if high < 0:
        return False, f"it is worse, by {-high:.1f} points at the least"
    if low > 0:
        return True, f"it is better, by {low:.1f} points at the least"
    return True, f"it is not shown to be worse, nor to be better: it may be up to {-low:.1f} points worse or {high:.1f} points better"


def _entry(model: Model, current: Model | None, split: str) -> Entry:
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
        "standing": current.folder.name if current else None,
        "split": split,
        "n": None,
        "accuracy": None,
        "standing_accuracy": None,
        "difference": None,
        "standard_error": None,
        "interval": None,
        "gained": None,
        "lost": None,
        "notes": [],
        "batches": [],
    }


def _current(folder: Path, force: bool) -> tuple[Model | None, str]:
    """The current model, if any; if `force` passes over one that cannot be read, why it cannot."""
    try:
        return shelf.current(folder), ""
    except HeadstartError as error:
        if not force:
            raise HeadstartError(f"{error}; fetch it again (`dvc pull`), or replace it with --force") from None
        return None, str(error)


def _against(
    current: Model, model: Model, rows: pd.DataFrame, right: np.ndarray, root: Path, device: Device
) -> tuple[bool, str, Figures | None, list[str], list[shelf.OfBatch]]:
    """Whether `model` may take the place of `current`, and why.

    Returns the figures too, None if the two cannot be compared, notes, and the figures of each batch. `right` (n,) says on which of `rows`
    the new model is right.
    """
    ours, theirs = (set(one.card.classes) for one in (model, current))
    change = [f"{word} {', '.join(sorted(names))}" for word, names in (("new:", ours - theirs), ("gone:", theirs - ours)) if names]
    known = rows["label"].isin(ours & theirs).to_numpy(bool)
    if not known.any():
        return False, f"it has no class of the current model ({'; '.join(change)}), so the two cannot be compared", None, [], []
    right, rows = right[known], rows[known].reset_index(drop=True)
    answers, notes = _their_answers(current, model, rows, root, device)
    notes += [f"the classes differ ({'; '.join(change)}); compared on {len(rows):,} images of those that both know"] if change else []
    fair = answers.notna().to_numpy(bool)
    if not fair.any():
        return False, "there is no image on which to compare them: the current model was trained on all of them", None, [], []
    theirs_right = (answers == rows["label"]).to_numpy(bool)
    figures, of_batches = compare(right[fair], theirs_right[fair]), _of_batches(rows["batch"][fair], right[fair], theirs_right[fair])
    fine, reason = _rule(model, rows["label"][fair], figures, right[fair], theirs_right[fair])
    if gone := sorted(theirs - ours):
        return False, f"it no longer knows {', '.join(gone)}; on what both know, {reason}", figures, notes, of_batches
    return fine, reason, figures, notes, of_batches


def _rule(model: Model, labels: pd.Series, figures: Figures, right: np.ndarray, theirs_right: np.ndarray) -> tuple[bool, str]:
    """Whether the new model is not worse, by what it aims at, and the words for it."""
    goal = model.card.aim
    if goal is None or not goal.even:
        return not_worse(figures["interval"])
    counts = goal.counts(encoding.encode(labels, model.card.classes))
    interval = intervals.images(counts * (right.astype(float) - theirs_right), 1 - LEVEL)
    fine, reason = not_worse([float(end) for end in interval])
    return fine, f"by balanced accuracy, which it aims at, {reason}"


def _of_batches(names: pd.Series, right: np.ndarray, theirs_right: np.ndarray) -> list[shelf.OfBatch]:
    """The figures of each batch, by name; none if the images came at once."""
    found = sorted(set(names) - {""})
    told: list[shelf.OfBatch] = []
    for name in found if len(found) > 1 else []:
        these = (names == name).to_numpy(bool)
        figures = compare(right[these], theirs_right[these])
        told.append({"name": name, **{key: figures[key] for key in ("n", "accuracy", "standing_accuracy", "interval")}})  # type: ignore[typeddict-item]
    return told


def _own_answers(model: Model, rows: pd.DataFrame, root: Path, source: Path, twins: tuple[Path, Path], device: Device) -> np.ndarray:
    """The class (n,) that the new model gives each of `rows`.

    If it was fitted on them, it is the class that its twin gives: the folders of the frozen head's and of what ships else.
    """
    if not _fitted(model, rows):
        return _answers(model, rows, root, device, "new model")
    card = cards.read_source(source)
    if card.weights_sha256 != model.card.weights_sha256:
        raise HeadstartError(
            f"{model.folder} was not made on the source in {source}; run `headstart run` first, so that both are of one run"
        )
    head, chosen = twins
    if model.card.shipped != "head":
        if not (chosen / cards.TWIN).is_file():
            raise HeadstartError(
                f"{chosen / cards.TWIN} is missing; run `headstart run` first, so that it and {model.folder} are of one run"
            )
        return _classes(model, classify.logits(weights.read(chosen / cards.TWIN), model.card, rows, root, device, "new model, images"))
    twin = heads.load(head / "head.safetensors", frozen_head.TRAIN_ONLY)
    return _classes(model, twin.logits(of_source.of_source(card, rows, root, device)))


def _their_answers(current: Model, model: Model, rows: pd.DataFrame, root: Path, device: Device) -> tuple[pd.Series, list[str]]:
    """The class (n,) that the current model gives each of `rows`, and what to bear in mind.

    There is none for an image that it was fitted on.
    """
    path = current.folder / shelf.IMAGES
    if not path.is_file():
        answers = pd.Series(_answers(current, rows, root, device, "current model"))
        if _fitted(current, rows) or current.card.data_sha256 != model.card.data_sha256:
            return answers, [
                f"{path} is missing: the current model may have been trained on some of these images, and its figure flatter it"
            ]
        return answers, []
    known = pd.read_parquet(path)
    kept = known.dropna(subset="answer")
    answers = rows["sha256"].map(dict(zip(kept["sha256"], kept["answer"], strict=True))).astype(object)
    fitted = set(known.loc[known["split"].isin(_fitted_on(current)), "sha256"])
    seen = answers.isna() & rows["sha256"].isin(fitted)
    fresh = answers.isna() & ~seen
    if fresh.any():
        answers[fresh] = _answers(current, rows[fresh], root, device, "current model")
    if not seen.any():
        return answers, []
    left_out = f"{int(seen.sum()):,} of {len(rows):,} images, on which the current model was trained"
    return answers, [f"left out of the comparison: {left_out}"]


def _answers(model: Model, rows: pd.DataFrame, root: Path, device: Device, what: str) -> np.ndarray:
    """The class (n,) that a model gives each of `rows`."""
    arrays = weights.read(model.folder / cards.WEIGHTS)
    return _classes(model, classify.logits(arrays, model.card, rows, root, device, f"{what}, images"))


def _classes(model: Model, logits: np.ndarray) -> np.ndarray:
    return np.array(model.card.classes, dtype=object)[model.card.named(likelihood.softmax(logits))]


def _fitted_on(model: Model) -> tuple[str, ...]:
    said = model.card.fitted_on
    return FITTED_ON.get(model.card.shipped or "", ("train",)) if said is None else said


def _fitted(model: Model, rows: pd.DataFrame) -> bool:
    return bool(rows["split"].isin(_fitted_on(model)).any())
