"""How often each interval that the product prints holds the truth: simulated samples of 12 to 1,000 images.

    python benchmarks/coverage.py [--samples 4000]

All are at nominal 95%. An image is right with the probability `accuracy`, whatever its class; `true` cells have no error at all.

- accuracy, balanced_accuracy, macro_f1: of two even classes and of three with 60, 30 and 10% of the images (headstart/evaluation/metrics.py).
- calibration: a model whose probabilities are exact, and one that is too sure by half of what it may be wrong (calibration.py).
- images, crossed, folds: the paired difference of two models that are equally good, and of one that is better by 5 points. Half of the errors of the
  better one are those of the other. `crossed` and `folds` are five seeds (headstart/proof/comparison.py); proportions: that of promotion.

`events` is how many errors (accuracies), or images that only one of the models has right (differences), a sample has on average. With fewer than
five, many samples have none, and an interval that holds for these holds nearly always: `lowest` is of all cells, `highest` of those with five
events or more, `certain` of those in which the truth is that there is no error (1 is right there). `unevenly` is the lowest of balanced accuracy and macro-F1 where the
rarest of three classes has five times the errors of the commonest. Ends with a line of JSON. About three minutes of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from workspace import report

from headstart.evaluation import metrics
from headstart.statistics import calibration, intervals

IMAGES, ACCURACIES = (12, 50, 200, 1000), (0.5, 0.9, 0.99, 1.0)
CLASSES = {"two even": (0.5, 0.5), "three uneven": (0.6, 0.3, 0.1)}
LEVEL = 0.025  # of one end
SEEDS = 5
EVENTS = 5
BINS, DRAWS, POPULATION = 15, 300, 200_000
Row = dict[str, Any]


def covered(ends: intervals.Ends, truth: float) -> float:
    """The share of intervals that hold the truth."""
    low, high = ends
    return round(float(np.mean((low <= truth + 1e-9) & (truth - 1e-9 <= high))), 4)


def table(shares: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Probabilities (classes, classes) of (actual, predicted), errors (classes,) being spread over the other classes as they are common."""
    others = shares * ~np.eye(len(shares), dtype=bool)
    found = (shares * errors)[:, None] * others / others.sum(1, keepdims=True)
    return found + np.diag(shares * (1 - errors))


def figures(samples: int, random: np.random.Generator, *, spread: tuple[float, float] = (1, 1)) -> Iterator[Row]:
    """Accuracy, balanced accuracy and macro-F1; `spread`: how many times the errors of the first class and of the last."""
    for name, given in CLASSES.items():
        shares = np.array(given)
        for n in IMAGES:
            for accuracy in ACCURACIES:
                errors = (1 - accuracy) * np.linspace(*spread, len(shares))
                errors *= (1 - accuracy) / max((errors * shares).sum(), 1e-9)
                truth = table(shares, np.minimum(errors, 0.95))
                values, _ = metrics.shares(truth * 1e6)
                _, ends = metrics.shares(random.multinomial(n, truth.ravel(), samples).reshape(samples, *truth.shape))
                for key, value in values.items():
                    yield row(f"{key}, {name}", n, accuracy, n * (1 - accuracy), covered(ends[key], float(value)))


def calibrated(samples: int, random: np.random.Generator) -> Iterator[Row]:
    """The calibration error; in a population of images, each with a probability of being right."""
    for name, sure in (("exact", 0.0), ("too sure", 0.5)):
        for accuracy in ACCURACIES:
            right = random.beta(6 * accuracy, 6 * (1 - accuracy), POPULATION) if accuracy < 1 else np.ones(POPULATION)
            said = np.clip(right + sure * (1 - right), 0.05, 1)
            truth = calibration.bins(*probabilities(said, right), BINS).error if sure else 0.0
            for n in IMAGES:
                ends = []
                for number in range(samples):
                    some = random.integers(POPULATION, size=n)
                    found = calibration.bins(*probabilities(said[some], random.random(n) < right[some]), BINS)
                    ends.append(calibration.error(found, draws=DRAWS, seed=number)[1:])
                yield row(f"calibration, {name}", n, accuracy, n * (1 - accuracy), covered(tuple(np.array(ends).T), truth))


def probabilities(said: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 2) and labels (n,) that `calibration.bins` takes for images of which `right` (n,) are."""
    return np.stack([said, np.zeros(len(said))], axis=1), np.where(right, 0, 1)


def pairs(samples: int, random: np.random.Generator) -> Iterator[Row]:
    """Paired differences of right answers."""
    fold = {n: np.arange(n) % SEEDS for n in IMAGES}
    for gap in (0.0, 0.05):
        for n in IMAGES:
            for accuracy in ACCURACIES:
                wrong = 1 - accuracy
                gained, lost = wrong / 2 + gap, wrong / 2
                events = n * (gained + lost)
                drawn = random.random((samples, n), np.float32)
                one = (drawn < gained).astype(np.int8) - ((drawn >= gained) & (drawn < gained + lost))
                counts = [((one == side).sum(1)) for side in (1, -1)]
                both = [intervals.proportions(int(up), int(down), n, 1 - LEVEL) for up, down in zip(*counts, strict=True)]
                yield row(f"proportions, {gap:+.0%}", n, accuracy, events, covered(tuple(np.array(both).T), gap))
                yield row(f"images, {gap:+.0%}", n, accuracy, events, covered(intervals.images(one, LEVEL), gap))
                yield row(f"folds, {gap:+.0%}", n, accuracy, events, covered(intervals.folds(one, fold[n], LEVEL), gap))
                some = max(samples // 4, 100)
                same = random.random((some, 1, n), np.float32)  # an image is as hard for each seed
                hard = np.where(random.random((some, SEEDS, n), np.float32) < 0.5, same, random.random((some, SEEDS, n), np.float32))
                seeds = (hard < gained).astype(np.int8) - ((hard >= gained) & (hard < gained + lost))
                yield row(f"crossed, {gap:+.0%}", n, accuracy, events, covered(intervals.crossed(seeds, LEVEL), gap))


def row(interval: str, n: int, accuracy: float, events: float, coverage: float) -> Row:
    """A cell, printed as it is made."""
    print(f"{interval}  n {n}  accuracy {accuracy}  {coverage:.3f}", flush=True)
    return {"interval": interval, "n": n, "accuracy": accuracy, "events": round(events, 2), "coverage": coverage}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000, help="of a cell; a tenth of them for the calibration error")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    rows = [*figures(options.samples, random), *pairs(options.samples, random), *calibrated(max(options.samples // 10, 20), random)]
    uneven = [one for one in figures(options.samples, random, spread=(0.4, 2.0)) if "three" in one["interval"]]
    possible = [one for one in rows if one["events"] > 0]
    many = [one for one in possible if one["events"] >= EVENTS]
    report(
        {
            "samples": options.samples,
            "cells": len(rows),
            "lowest": min(rows, key=lambda one: one["coverage"]),
            "highest": max(many, key=lambda one: one["coverage"]),
            "outside": [one for one in rows if one["coverage"] < 0.93] + [one for one in many if one["coverage"] > 0.99],
            "few_events": [min(some), max(some)] if (some := [one["coverage"] for one in possible if one["events"] < EVENTS]) else [],
            "certain": min(one["coverage"] for one in rows if one["events"] == 0),
            "unevenly": min(one["coverage"] for one in uneven),
        }
    )


if __name__ == "__main__":
    main()
