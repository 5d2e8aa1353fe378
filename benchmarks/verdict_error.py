"""How often the verdict claims a gain that is none, and how often it finds one: its intervals on simulated runs of five seeds.

    python benchmarks/verdict_error.py [--seed-spread 0.01] [--simulations 10000] [--difficulty 2] [--disagreement 1]

An image is classified rightly with a probability whose logit is the arm's level + the image's difficulty, normal and shared by both arms
(deviation `--difficulty`) + what it means to this arm (`--disagreement`) + the seed's luck, such that the accuracy of an arm varies
by `--seed-spread` from seed to seed. `accuracy` is that of the better arm, `n` counts different held-out images.

- `rate`: verdicts "positive" at the nominal one-sided 5% where the true difference is just the margin (1 point), so that a claim is only
  just wrong; `rate_1pct` at 1%; `rate_equal` where the arms are equal (5%).
- `discordant`: how many images, on average over the seeds, only one arm classifies rightly: where they are few, a rate can be below the
  nominal one since no test could use it up (a sign test claims nothing on fewer than five at 5%, seven at 1%).
- `naive`: the rate of a t interval that takes all seeds x images as independent (crossed), or the images (folds, one seed).
- `one_seed`: the same rates of an indicative verdict, whose interval leaves out the seeds, so that they grow with the spread.
- `auto`: the rates of `verdict.seeds: auto`, which looks at one fold alone first, and at all of them if that does not settle it.
- `power`: verdicts "positive" at 5% by true difference, in points.

Ends with a line of JSON: these, and `lowest`, `highest` and `highest_1pct` of five seeds. Half a minute of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import t
from workspace import report

from headstart.proof.proving import FIRST_LOOK
from headstart.statistics import intervals

SEEDS, MARGIN, LEVELS = 5, 0.01, (0.05, 0.01)
IMAGES, ACCURACIES, DIFFERENCES = (50, 150, 600), (0.7, 0.9, 0.97), (0.02, 0.05, 0.1, 0.2)
AT_ONCE = 1000  # simulations
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)


@dataclass(frozen=True)
class World:
    """What the simulated runs have in common: standard deviations, `spread` as a share, the others on the scale of logits."""

    spread: float
    difficulty: float
    disagreement: float

    def arm(self, accuracy: float) -> tuple[float, float]:
        """The level of an arm of this accuracy and the standard deviation of its seeds, both as logits."""
        images, weights = np.hypot(self.difficulty, self.disagreement), WEIGHTS / WEIGHTS.sum()

        def mean(level: float, deviation: float) -> float:
            return float(weights @ expit(level + deviation * NODES))

        def level(seeds: float) -> float:
            return brentq(lambda at: mean(at, np.hypot(images, seeds)) - accuracy, -50, 50)

        def excess(seeds: float) -> float:
            of_seed = np.array([mean(level(seeds) + seeds * node, images) for node in NODES])
            return float(np.sqrt(weights @ (of_seed - accuracy) ** 2)) - self.spread

        seeds = brentq(excess, 0, 10, xtol=1e-4) if self.spread else 0.0
        return level(seeds), seeds

    def differences(
        self, accuracy: float, gap: float, n: int, design: str, count: int, random: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Paired differences of `count` simulations of arms of `accuracy` and `accuracy - gap`, some at a time.

        Each (simulations, seeds, n) where the design is crossed, else (simulations, n). "auto" is folds after a look at the first of them alone.
        """
        arms = [self.arm(accuracy), self.arm(accuracy - gap)]
        for _ in range(0, count, AT_ONCE):
            shared = random.standard_normal((AT_ONCE, 1, n), np.float32) * self.difficulty
            right = []
            for level, deviation in arms:
                own = random.standard_normal((AT_ONCE, 1, n), np.float32) * self.disagreement
                seeds = random.standard_normal((AT_ONCE, SEEDS, 1), np.float32) * deviation
                logits = (
                    shared + own + seeds + level if design not in ("folds", "auto") else (shared + own)[:, 0] + seeds[:, fold(n), 0] + level
                )
                logits = logits[:, 0] if design == "one_seed" else logits
                right.append(random.random(logits.shape, np.float32) < expit(logits))
            yield right[0].astype(np.float32) - right[1]


def fold(n: int) -> np.ndarray:
    """The fold (n,) of each image."""
    return np.arange(n) % SEEDS


def lower(differences: np.ndarray, design: str, level: float) -> np.ndarray:
    """Lower ends of the verdict's intervals."""
    if design == "crossed":
        return intervals.crossed(differences, level)[0]
    if design in ("folds", "auto"):
        of = fold(differences.shape[-1])
        ends = intervals.folds(differences, of, level)[0]
        return ends if design == "folds" else np.maximum(ends, intervals.images(differences[:, of == 0], level / FIRST_LOOK)[0])
    return intervals.images(differences, level)[0]


def naive(differences: np.ndarray, level: float) -> np.ndarray:
    """Lower ends of t intervals that take every difference as independent of the others."""
    flat = differences.reshape(len(differences), -1)
    return flat.mean(1) - t.ppf(1 - level, flat.shape[1] - 1) * flat.std(1, ddof=1) / np.sqrt(flat.shape[1])


def error_rates(world: World, designs: tuple[str, ...], count: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """The rates of false claims, a row for each design, number of images and accuracy."""
    rows = []
    for design in designs:
        for n in IMAGES:
            for accuracy in ACCURACIES:
                ends: dict[str, list[np.ndarray]] = {"rate": [], "rate_1pct": [], "rate_equal": [], "naive": []}
                discordant = []
                for differences in world.differences(accuracy, MARGIN, n, design, count, random):
                    discordant.append(np.abs(differences).mean() * n)
                    ends["rate"].append(lower(differences, design, LEVELS[0]))
                    ends["rate_1pct"].append(lower(differences, design, LEVELS[1]))
                    ends["naive"].append(naive(differences, LEVELS[0]))
                for differences in world.differences(accuracy, 0.0, n, design, count, random):
                    ends["rate_equal"].append(lower(differences, design, LEVELS[0]))
                rates = {name: float(np.mean(np.concatenate(some) > MARGIN)) for name, some in ends.items()}
                rows.append({"n": n, "accuracy": accuracy, "design": design, **rates, "discordant": round(float(np.mean(discordant)), 1)})
                print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    return rows


def power(world: World, designs: tuple[str, ...], count: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """The share of gains that are found, a row for each design, number of images and accuracy."""
    rows = []
    for design in designs:
        for n in IMAGES:
            for accuracy in ACCURACIES:
                row: dict[str, Any] = {"n": n, "accuracy": accuracy, "design": design}
                for gap in DIFFERENCES:
                    ends = [lower(some, design, LEVELS[0]) for some in world.differences(accuracy, gap, n, design, count, random)]
                    row[f"{100 * gap:g}"] = round(float(np.mean(np.concatenate(ends) > MARGIN)), 3)
                rows.append(row)
                print("power  " + "  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed-spread", type=float, default=0.01, help="standard deviation of an arm's accuracy over seeds, as a share")
    parser.add_argument("--simulations", type=int, default=10_000, help="a cell, in thousands; a fifth of them for power")
    parser.add_argument("--difficulty", type=float, default=2.0, help="of images, standard deviation of logits")
    parser.add_argument("--disagreement", type=float, default=1.0, help="of arms about an image, standard deviation of logits")
    options = parser.parse_args()
    world, random = World(options.seed_spread, options.difficulty, options.disagreement), np.random.default_rng(0)
    rates = error_rates(world, ("crossed", "folds"), options.simulations, random)
    twice = error_rates(world, ("auto",), options.simulations, random)
    single = error_rates(world, ("one_seed",), options.simulations, random)
    found = power(world, ("crossed", "folds", "auto", "one_seed"), max(options.simulations // 5, 2 * AT_ONCE), random)
    report(
        {
            "seed_spread": options.seed_spread,
            "error_rates": rates,
            "lowest": min(row["rate"] for row in rates),
            "highest": max(row["rate"] for row in rates),
            "highest_1pct": max(row["rate_1pct"] for row in rates),
            "auto": twice,
            "auto_highest": max(row["rate"] for row in twice),
            "one_seed": single,
            "power": found,
        }
    )


if __name__ == "__main__":
    main()
