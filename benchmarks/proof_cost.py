"""What race, baseline and verdict cost beside the rest of the pipeline: multiply-adds of the images that pass through networks, and images.

    python benchmarks/proof_cost.py CHECKOUT

Reads what a finished run with `verdict.seeds: 1` left in a checkout. An image that passes through a network, or a part of one, counts the multiply-adds of that part, and three
times as many where it is trained on (forward, and backward for weights and images). Decoding, heads on features, probes and remedies do not count. Ends with a line of
JSON: `flops_ratio` and `passes_ratio` are the whole / what there is without race, baseline and verdict, by multiply-adds and by images that enter a network.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from workspace import report

from headstart import params
from headstart.base import outputs
from headstart.choice import race
from headstart.networks import averaging, common, cut, sources
from headstart.training import scratch


@dataclass
class Cost:
    """Images that entered a network, and the multiply-adds (10^9) that they took."""

    images: float = 0
    gflops: float = 0

    def add(self, images: float, gflops: float) -> None:
        """Count images at so many multiply-adds each."""
        self.images += images
        self.gflops += images * gflops


@cache
def parts(name: str, size: int, depth: int) -> tuple[float, float]:
    """Multiply-adds (10^9) an image of a source below its last `depth` stages, and of these."""
    whole = cut.chain(sources.load(name).trunk).eval()
    lower = whole[: len(whole) - depth]
    below, total = common.gflops(lower, size), common.gflops(whole, size)
    return below, total - below


def pipeline(folder: Path, n: dict[str, int]) -> Cost:
    """Ranking, head, fine-tuning, and the measurement of two arms on the test split."""
    cost, ranking = Cost(), outputs.read_json(folder / "reports/ranking.json")
    for row in ranking["candidates"]:
        if row["status"] == "ranked":
            cost.add(ranking["n_images"], row["gflops"])
    card, done = outputs.read_json(folder / "models/source.json"), outputs.read_json(folder / "models/fine_tuned/summary.json")
    lower, upper = parts(card["name"], card["input_size"], len(done["trained"]) - 1)
    cost.add(n["validation"], lower + upper)
    cost.add(done["views"] * n["train"] + n["validation"], lower)
    train(cost, done["image_passes"], n, upper)
    cost.add(2 * n["test"], lower + upper)
    return cost


def train(cost: Cost, passes: int, n: dict[str, int], gflops: float) -> None:
    """Training passes, and a measurement on validation before the first epoch and after each."""
    cost.add(passes, 3 * gflops)
    cost.add((passes // n["train"] + 1) * n["validation"], gflops)


def proof(folder: Path, n: dict[str, int]) -> Cost:
    """Race, baseline with the choice of its random weights, and what verdict and evaluate measure beside."""
    cost, ranking = Cost(), outputs.read_json(folder / "reports/ranking.json")
    card, sizes = outputs.read_json(folder / "models/source.json"), {row["name"]: row["input_size"] for row in ranking["candidates"]}
    views = params.load(folder / "params.yaml").select_source.race.views
    for row in ranking.get("race", {}).get("rows", []):
        lower, upper = parts(row["name"], sizes[row["name"]], int(race.BLOCK.depth))
        frozen = views * n["train"] if row["round"] == 1 else 0
        cost.add(frozen + n["validation"] * (row["round"] == 1), lower)
        train(cost, row["image_passes"] - frozen, n, upper)
    done = outputs.read_json(folder / "models/baseline/summary.json")
    if done.get("image_passes"):
        small = sum(parts(card["name"], done["card"]["input_size"], 0))
        cost.add(scratch.DRAWS * min(n["train"], scratch.LARGEST_START) + n["validation"], small)
        train(cost, done["image_passes"], n, small)
        cost.add(n["validation"] + n["test"], small)
    tuned = outputs.read_json(folder / "models/fine_tuned/summary.json")
    if tuned["changed"]:
        _, trained = parts(card["name"], card["input_size"], len(tuned["trained"]) - 1)  # the head is among them
        cost.add(len(averaging.MIXES) * n["validation"], trained)
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    options = parser.parse_args()
    counts: Any = pd.read_parquet(options.checkout / "data/clean.parquet")["split"].value_counts()
    n = {split: int(counts[split]) for split in ("train", "validation", "test")}
    without, beside = pipeline(options.checkout, n), proof(options.checkout, n)
    for what, cost in (("pipeline", without), ("race, baseline, verdict", beside)):
        print(f"{what:24}{cost.images:12,.0f} images{cost.gflops:12,.0f} G multiply-adds")
    report(
        {
            "flops_ratio": round(1 + beside.gflops / without.gflops, 3),
            "passes_ratio": round(1 + beside.images / without.images, 3),
            "images": {"pipeline": without.images, "proof": beside.images},
        }
    )


if __name__ == "__main__":
    main()
