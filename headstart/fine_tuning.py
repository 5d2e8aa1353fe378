"""Fine-tune a source from its converged head: the frozen part once for each image and view, then the tail in phases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from headstart import features, heads, metrics, model, training
from headstart.errors import ParamsError
from headstart.strategies import STRATEGIES

HALF = "float16"  # of cached activations: half the disk, and the accuracy is the same (docs/decisions.md)


@dataclass(frozen=True)
class Result:
    """The fine-tuned network, a row an epoch, and a summary of plain values."""

    network: model.Network
    curve: list[dict[str, Any]]
    summary: dict[str, Any]


def run(
    table: pd.DataFrame,
    root: Path,
    card: dict[str, Any],
    network: model.Network,
    classes: list[str],
    *,
    strategy: str,
    depth: int,
    epochs: int,
    rate: float,
    decay: float,
    views: int,
    cache_gib: float,
    augmentation: dict[str, Any],
    recipe: training.Recipe,
) -> Result:
    """Fine-tune `network` (a source with its train-only head) in place on the train split, watching the validation split.

    Ships the result only if it beats the head it started from on validation by one paired standard error.
    """
    phases = STRATEGIES[strategy](network.stage_names(), depth=depth, epochs=epochs, rate=rate, decay=decay)
    trained = {name for phase in phases for name in phase.rates}
    below, count = network.below(trained)
    names = network.stage_names()
    frozen = features.Frozen.of(below, f"{card['weights_sha256']}:below:{count}", card["input_size"])
    parts = {split: table[table["split"] == split].reset_index(drop=True) for split in ("train", "validation")}
    count_views = fit_views(views, frozen.shape, len(parts["train"]), len(parts["validation"]), cache_gib)
    plain = model.plain_view(card)
    labels = {split: np.searchsorted(classes, part["label"].to_numpy()) for split, part in parts.items()}

    def activations(split: str, view: Any, what: str) -> Any:
        return features.extract(frozen, parts[split], root, view, dtype=HALF, what=what)

    drawn = features.views(plain, recipe.seed, augmentation, count_views)
    train = training.Examples(
        [activations("train", view, f"frozen layers, view {i} of {count_views}, images") for i, view in enumerate(drawn, 1)],
        labels["train"],
    )
    validation = training.Examples([activations("validation", plain, "frozen layers, validation images")], labels["validation"])
    tail = network.tail(count)
    before = right(tail, validation)
    done = training.fit(tail, phases, train, validation, recipe)
    network.head.weight.data /= done.temperature  # so that its probabilities mean what they say; it moves no prediction
    network.head.bias.data /= done.temperature
    after = right(tail, validation)
    summary = {
        "strategy": strategy,
        "phases": done.phases,
        "frozen": names[:count],
        "trained": [*names[count:], "head"],
        "views": count_views,
        "cache_bytes": cache_bytes(frozen.shape, len(parts["train"]) * count_views + len(parts["validation"])),
        "engine": frozen.engine_name,
        "image_passes": done.image_passes,
        "temperature": done.temperature,
        **verdict(before, after),
    }
    return Result(network, done.curve, summary)


def right(tail: nn.Module, examples: training.Examples) -> np.ndarray:
    """Whether each image (n,) is classified rightly."""
    return training.logits(tail, examples.views[0]).argmax(1) == examples.labels


def verdict(before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """Which arm ships, by the paired difference of right answers (n,) on validation, and why."""
    difference, error = metrics.paired_difference(after, before)
    # A gain of one image alone is exactly one standard error, whatever n: not enough, and not to be left to rounding.
    ships = "fine_tuned" if difference > error * (1 + 1e-9) else "head"
    compared = f"{after.mean():.1%} of {len(after)} validation images right against {before.mean():.1%} (difference {difference:+.1%}, standard error {error:.1%})"
    reason = (
        f"fine-tuning beats the frozen head: {compared}"
        if ships == "fine_tuned"
        else f"fine-tuning does not beat the frozen head by a standard error: {compared}"
    )
    figures = {
        "n": len(after),
        "head_accuracy": float(before.mean()),
        "fine_tuned_accuracy": float(after.mean()),
        "difference": difference,
        "standard_error": error,
    }
    return {"validation": figures, "ships": ships, "reason": reason}


def cache_bytes(shape: tuple[int, ...], rows: int) -> int:
    """Bytes of `rows` cached activations of this shape."""
    return rows * int(np.prod(shape)) * np.dtype(HALF).itemsize


def fit_views(views: int, shape: tuple[int, ...], train: int, validation: int, cache_gib: float) -> int:
    """As many views, up to `views`, as fit the disk budget. Raises ParamsError if not even one does."""
    budget = cache_gib * 2**30
    for count in range(views, 0, -1):
        if cache_bytes(shape, train * count + validation) <= budget:
            return count
    needed = cache_bytes(shape, train + validation) / 2**30
    raise ParamsError(
        f"fine_tune.cache_gib: one view of {train} training images needs {needed:.2g} GiB of disk and {cache_gib:g} are allowed; "
        "raise fine_tune.cache_gib, or lower fine_tune.depth so that less is cached"
    )


def class_weights(labels: pd.Series, classes: list[str], balanced: bool) -> np.ndarray:
    """Loss weights (classes,): ones, or such that every class weighs the same."""
    if not balanced:
        return np.ones(len(classes))
    counts = labels.value_counts().reindex(classes).to_numpy()
    return len(labels) / (len(classes) * counts)


def start(source: Any, trained_heads: Path) -> model.Network:
    """The source with the head that saw the train split only."""
    return model.of(source, heads.load(trained_heads, "train_only"))
