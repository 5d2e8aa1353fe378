"""What fine-tuning brings on few images, way by way, on many test images that decide nothing.

    python benchmarks/arms.py FOLDER... [--images 60 250] [--seeds 1] [--ways usual deep] [--set decay=0.7] [--out FILE.jsonl] [--logits FOLDER]

Each seed draws `--images` images of a folder to train and validate on, and tests on others (panel.py). On frozen EfficientNet-Lite0: the head
that was fitted on all images of the draw, and networks that were fine-tuned from its twin: in the usual way, and most of the network
(headstart/training/whole.py), each as it was trained on the training images alone, and once more on those of train and validation together
(`refit`), by itself, beside the head with half of the logits (`pair`) or with the share that the validation images give it (`weighed`, as it ships;
headstart/proof/choosing.py), and as the average of both one's weights that is best on validation (`average`); `by_head`: where the head alone was
fitted once more, which takes no training. Beside the accuracies on the test images stands what the validation images say: the difference in log
likelihood from the head in standard errors. If the classes are uneven, `balanced` has each arm's balanced accuracy at the operating point that the validation
images give (statistics/operating.py). With `--logits`, the logits of all arms are kept, so that rules can be compared without training again.
A row per draw and way, appended to FILE; ends with a line of JSON: mean differences from the head in points.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import panel
from workspace import report

from headstart.base.devices import CPU
from headstart.data import encoding
from headstart.features import classify, of_source
from headstart.library import steps
from headstart.networks import averaging, kept
from headstart.params import FineTune
from headstart.proof import contenders
from headstart.statistics import goals, likelihood, operating, paired
from headstart.statistics.goals import Goal
from headstart.statistics.likelihood import softmax
from headstart.training import augmenting, fine_tuning, refitting, tuning

ALONE = ("network", "pair", "weighed", "average", "pair_by_head", "average_by_head")
ARMS = (*ALONE, "refit", "refit_pair", "refit_weighed", "refit_average")
ONCE_MORE = {
    "pair_by_head": "pair",
    "average_by_head": "average",
    "refit": "network",
    "refit_pair": "pair",
    "refit_weighed": "weighed",
    "refit_average": "average",
}


def ways(card: Any, changes: list[augmenting.Change], table: Any, values: dict[str, float]) -> dict[str, FineTune]:
    """The blocks of the ways of fine-tuning, as a run goes through them, but for these values."""
    block = FineTune()
    settled = block.model_copy(update={"augmentation": augmenting.settled(block.augmentation, changes)})
    found = tuning.ways(settled, card, table, True, False, CPU)
    own = {name: value for name, value in values.items() if name in FineTune.model_fields}
    seen = {name: value for name, value in values.items() if name not in own}
    return {way: one.model_copy(update={**own, "augmentation": one.augmentation.model_copy(update=seen)}) for way, one in found}


def merits(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log likelihoods (n,) at the best temperature."""
    return np.asarray(likelihood.of_labels(logits / likelihood.temperature(logits, labels), labels))


def balanced(held: dict[str, np.ndarray], said: dict[str, np.ndarray], labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Balanced accuracy on the test images of each arm, at the operating point that its logits `held` of the validation images give.

    An arm that was fitted once more has the point of what it was before.
    """
    goal, names = Goal("balanced_accuracy"), [str(number) for number in range(said["head"].shape[1])]
    points = {arm: operating.choose(goal, softmax(logits), labels, names) for arm, logits in held.items()}
    gains = {arm: (points[ONCE_MORE.get(arm, arm)].named(softmax(logits)) == truth) * goal.counts(truth) for arm, logits in said.items()}
    return {arm: round(float(gain.mean()), 4) for arm, gain in gains.items()}


def draw(
    folder: Path, images: int, seed: int, wanted: list[str], out: Path, logits: Path | None, values: dict[str, float]
) -> list[dict[str, Any]]:
    """A row for each way."""
    with tempfile.TemporaryDirectory() as name:
        some = steps.index(panel.drawn(folder, images, 800, seed, Path(name)), seed=seed)
        head = steps.fit_head(some, panel.SOURCE, seed=seed)
        card, held, test = head.source, some.split("validation"), some.split("test")
        labels, truth = (encoding.encode(rows["label"], head.classes) for rows in (held, test))
        features = of_source.of_source(card, test, some.root)
        before = head.train_only.logits(of_source.of_source(card, held, some.root))
        alone, final = head.train_only.logits(features), head.final.logits(features)
        changes = augmenting.measure(some.split("train"), some.root, card, head.classes, seed=seed)
        rows = []
        for way, block in ways(card, changes, some.usable, values).items():
            if way not in wanted:
                continue
            begun, plan = time.monotonic(), fine_tuning.plan_of(block, some.usable, head.classes, seed)
            done = fine_tuning.run(some.usable, some.root, card, head.train_only, head.classes, plan)
            trained = time.monotonic()
            nets = {"network": {key: value.numpy() for key, value in done.network.weights().items()}}
            if done.best:
                given = (some.usable, some.root, card, head.final, head.classes, block, done.summary)
                nets["refit"] = refitting.refit(*given, seed=seed) or nets["network"]
            first, last = (kept.with_head(card, nets["network"], one) for one in (head.train_only, head.final))

            def of_average(mix: float, rows: Any = held, begun: Any = first, network: str = "network", nets: Any = nets) -> np.ndarray:
                return classify.logits(averaging.averaged(begun, nets[network], mix), card, rows, some.root)

            mix = max(averaging.MIXES, key=lambda mix: merits(of_average(mix), labels).mean())
            trained_alone = classify.logits(nets["network"], card, held, some.root)
            goal = goals.resolve("auto", None, 0.0, list(some.split("train")["label"]))
            of_head, of_network = (contenders.Contender("", {}, card, logits, goal=goal) for logits in (before, trained_alone))
            share = contenders.share(of_head, of_network, labels)
            known = {"head": before, "network": trained_alone, "pair": (before + trained_alone) / 2, "average": of_average(mix)}
            known["weighed"] = averaging.mixed(before, trained_alone, share)
            said = {key: classify.logits(values, card, test, some.root) for key, values in nets.items()}
            said |= {"pair": (alone + said["network"]) / 2, "pair_by_head": (final + said["network"]) / 2}
            said["weighed"] = averaging.mixed(alone, said["network"], share)
            said |= {"average": of_average(mix, test), "average_by_head": of_average(mix, test, last)}
            if "refit" in nets:
                said["refit_weighed"] = averaging.mixed(final, said["refit"], share)
                said |= {"refit_pair": (final + said["refit"]) / 2, "refit_average": of_average(mix, test, last, "refit")}
            gap, error = paired.difference(merits(done.logits, labels), merits(before, labels))
            said["head"] = final
            row: dict[str, Any] = {
                **{"folder": folder.name, "images": images, "seed": seed, "way": way, "n_validation": len(held), "n_test": len(test)},
                **{"best_epoch": done.best, "image_passes": done.summary["image_passes"], "seconds": round(trained - begun, 1)},
                "refit_seconds": round(time.monotonic() - trained, 1),
                "validation_errors_better": round(gap / error, 2) if error else 0.0,
                **{"mix": mix, "share": share},
                "head": float((final.argmax(1) == truth).mean()),
                **{arm: float((said[arm].argmax(1) == truth).mean()) for arm in ARMS if arm in said},
            }
            if logits:
                arrays = {f"held_{arm}": values for arm, values in known.items()} | {f"test_{arm}": values for arm, values in said.items()}
                np.savez(logits / f"{folder.name}_{images}_{seed}_{way}.npz", labels=labels, truth=truth, **arrays)
            if goal.even:
                row["balanced"] = balanced(known, said, labels, truth)
            rows.append(row)
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        return rows


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--images", nargs="+", type=int, default=[60, 250])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--ways", nargs="+", default=["usual", "deep"])
    parser.add_argument("--out", type=Path, default=Path("arms.jsonl"))
    parser.add_argument("--logits", type=Path, help="a folder for the logits of all arms, a file per draw and way")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=NUMBER", help="of fine_tune or its augmentation: rate=0.0018 min_crop_share=1"
    )
    given = parser.parse_args()
    values = {name: json.loads(value) for name, value in (word.split("=") for word in given.set)}
    rows = [
        row
        for images in given.images
        for folder in given.folders
        for seed in range(given.seeds)
        for row in draw(folder.resolve(), images, seed, given.ways, given.out, given.logits, values)
    ]
    gains = {}
    for way in given.ways:
        for arm in ARMS:
            gaps = [100 * (row.get(arm, row["head"]) - row["head"]) for row in rows if row["way"] == way]
            gains[f"{way}_{arm}"] = round(statistics.mean(gaps), 2) if gaps else None
    report({**gains, "draws": len(rows)})


if __name__ == "__main__":
    main()
