"""Carry the labels of one domain over to the images of another, as far as that can be trusted, and make a model of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.base.devices import Device
from headstart.data import folding, manifest
from headstart.data.sampling import sample
from headstart.domains import deciding, labelled, mapping, outcome
from headstart.domains.deciding import Decision
from headstart.domains.labelled import Labelled
from headstart.domains.methods import METHODS
from headstart.domains.outcome import ALWAYS, IF_SHOWN, Report
from headstart.domains.spaces import Spaces
from headstart.domains.views import View, view
from headstart.linear import logistic
from headstart.networks import common, heads, made, model, sources
from headstart.networks.cards import ModelCard
from headstart.statistics import likelihood, probabilities

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Adaptation:
    """What came of it; weights and card of the adapted model, whether or not it counts, None if none was made."""

    report: Report
    probabilities: np.ndarray  # (m, classes) of the target, by what counts
    map: pd.DataFrame  # both domains in a plane, before and after (mapping.COLUMNS)
    weights: dict[str, np.ndarray] | None
    card: ModelCard | None


def adapt(
    known: pd.DataFrame,
    target: pd.DataFrame,
    root: Path,
    candidates: Sequence[tuple[str, int]],
    plain: np.ndarray,
    labels: Mapping[str, str],
    final: ModelCard,
    *,
    setting: str,
    when: str,
    method: str,
    least: float,
    most: int,
    mapped: int,
    seed: int,
    device: Device,
) -> Adaptation:
    """Adapt each candidate (name, pixels) to the target, decide, and make a model.

    known: labelled rows; target: rows without labels, that can be read; plain: probabilities (m, classes) of the target by the model `final`
    of the run, which is what adapting is compared with; labels: those of some target images by path; the rest as in the block `adapt`.
    """
    classes = list(final.classes)
    seen = sample(known, most, seed)
    some = np.flatnonzero(target["path"].isin(set(sample(target, most, seed)["path"])).to_numpy())
    views = _views(candidates, seen, some, target, root, classes, device)
    decision = deciding.decide({name: one.spaces for name, one in views.items()}, method, seed, least)
    best = views[decision.tried[0].name]
    fitted = _head(best, METHODS[method].settled(best.spaces), some, target, decision.accuracy, seed)
    adapted = likelihood.softmax(fitted.logits(best.target))
    tested = labelled.test(target["path"].tolist(), labels, classes, adapted, final.named(plain))
    counts, reason = _settled(when, decision, tested)
    before, after = final.named(plain), adapted.argmax(1)
    report: Report = {
        **_told(decision, method, best.card.name),
        "setting": setting,
        "images": len(target),
        "adapted": counts,
        "reason": reason,
        "renamed": int((before != after).sum()),
        "shares": _shares(classes, best.spaces, after if counts else before),
        "labelled": tested,
    }
    first, last = (np.array(classes)[one[some]].tolist() for one in (before, after))
    drawn = mapping.places(seen, target.iloc[some], best.spaces, first, last, mapped, seed)
    card = _card(best, classes, known, target, report)
    return Adaptation(report, adapted if counts else plain, drawn, _weights(best, fitted), card)


def _told(decision: Decision, method: str, source: str) -> Report:
    """What every source says without a label of the target, and how far they agree."""
    return {
        **outcome.nothing("", ""),
        "method": method,
        "source": source,
        "agreement": [*decision.kappa, *decision.gap],
        "accuracy": list(decision.accuracy or ()),
        "sources": [
            {"name": t.name, "agrees": t.agrees, "carried_back": t.carried_back, "nuclear_norm": t.nuclear_norm} for t in decision.tried
        ],
    }


def _weights(best: View, head: heads.Head) -> dict[str, np.ndarray]:
    """The network's weights with the head, under the library's names."""
    return {name: tensor.numpy() for name, tensor in model.of(sources.known(best.card), head).weights().items()}


def _views(
    candidates: Sequence[tuple[str, int]],
    seen: pd.DataFrame,
    some: np.ndarray,
    target: pd.DataFrame,
    root: Path,
    classes: list[str],
    device: Device,
) -> dict[str, View]:
    """Both domains as each candidate sees them; one that cannot be had any more is passed over, the last raises why."""
    views: dict[str, View] = {}
    for number, (name, size) in enumerate(candidates, 1):
        try:
            with common.using(name, "adapted"):
                views[name] = view(name, size, seen, some, target, root, classes, device)
        except common.Unavailable as error:
            if number == len(candidates) and not views:
                raise
            log.warning("passed over: %s: %s", name, error)
    return views


def _head(
    best: View, q: np.ndarray, some: np.ndarray, target: pd.DataFrame, accuracy: tuple[float, float, float] | None, seed: int
) -> heads.Head:
    """A head on the target's features that gives the labels which were carried over, so that a single photo can be labelled.

    It is as sure, in the mean, as it is expected to be right.
    """
    labels = q.argmax(1)
    groups = target["group"].to_numpy()[some]
    folds = folding.split_folds(labels, groups, logistic.FOLDS, seed)
    features = best.target[some]
    head, _ = logistic.fit(features, labels, folds, classes=q.shape[1], penalties=logistic.PENALTIES, what="adapted head, fits")
    expected = accuracy[0] if accuracy else 0.5
    factor = probabilities.scale(head.logits(features).astype(np.float64), max(expected, 1.2 / q.shape[1]))
    return heads.Head((head.weight * factor).astype(np.float32), (head.bias * factor).astype(np.float32))


def _settled(when: str, decision: Decision, tested: Labelled | None) -> tuple[bool, str]:
    """Whether the adapted model counts, and why. Labels of target images overrule what is concluded without any."""
    if when != IF_SHOWN:
        return when == ALWAYS, f"adapt.when is {when}"
    if tested and tested["better"] is not None:
        return tested["better"], f"{tested['n']} labelled target images show that adapting {'helps' if tested['better'] else 'harms'}"
    unsure = f"; {tested['n']} labelled target images leave it open" if tested else ""
    if decision.adapt:
        return True, "the sources, each adapted by itself, agree clearly, and more than without" + unsure
    return False, "; ".join(decision.reasons) + unsure


def _shares(classes: list[str], spaces: Spaces, named: np.ndarray) -> dict[str, list[float]]:
    found = np.bincount(named, minlength=len(classes)) / len(named)
    return {name: [float(a), float(b)] for name, a, b in zip(classes, spaces.shares, found, strict=True)}


def _card(best: View, classes: list[str], known: pd.DataFrame, target: pd.DataFrame, report: Report) -> ModelCard:
    data = manifest.split_hash(pd.concat([known, target]))
    return made.card("adapted", best.card, classes, manifest.grey(target), data, {"estimated_target_accuracy": report["accuracy"]})
