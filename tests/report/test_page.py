"""The report: everything is said, nothing is loaded from elsewhere, hostile names stay text, and what may be missing may be missing."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from headstart.data import provenance
from headstart.machinery.errors import HeadstartError
from headstart.params import Report
from headstart.report import charts, findings, gallery, photos, pictures, summary
from headstart.report import page as pages
from headstart.words import formats
from tasks.report import report as write_report
from tests import ROOT
from tests.left import LITE, Page, a_try, changed, curve, dump, leave, page, rendered


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Path]]:
    paths = leave(tmp_path_factory.mktemp("usual"))
    return pages.render(findings.gather(findings.Places(**paths)), mistakes=24), paths


def test_the_answer_comes_first(usual: tuple[str, dict[str, Path]]) -> None:
    text = Page(usual[0]).text
    metrics = json.loads(usual[1]["metrics"].read_text())
    accuracy = formats.percent(metrics["test"]["accuracy"])
    assert f"{accuracy} of 96 test images right (95% interval" in text
    assert "What ships: a fine-tuned tf_efficientnet_lite1 , 4 classes, from wheel:efficientnet_lite1" in text
    assert text.index(accuracy) < 200
    plain = text[: text.index("Result on the test images")]
    assert not [word for word in ("log loss", "GFLOPs", "bootstrap", "probe", "standard error") if word in plain]


def test_every_section_says_its_part(usual: tuple[str, dict[str, Path]]) -> None:
    text = Page(usual[0]).text
    for words in (
        "Of 3 pretrained sources that were ranked, wheel:efficientnet_lite1 was chosen. Transfer helped: the fine-tuned model has +51.2 points",
        "It ships. Fine-tuning beats the frozen head: 96.2% of 80 validation images right against 91.2% (+5.0 points, 90% interval +0.8 to +9.2).",
        "Transfer helped: the fine-tuned model has +51.2 points of accuracy on held-out images beside the same network from random weights (90% interval",
        "Transfer helped. indicative Pretrained 96.2% of 80 held-out images right, from random weights 45.0%: +51.2 points",
        "The test images confirm the answer. Fine-tuned better by 40 points.",
        "Start accuracy at step 0 91.2% 25.0% +66.2 points",
        "Slope steps to 86.6%, 90% of the better end 0 never",
        "End accuracy at the best epoch 96.2% 45.0% +51.2 points",
        "Fine-tuned against the frozen head On 80 held-out images, one run each.",
        "Start accuracy at step 0 91.2% 91.2% the same",
        "What ships, and why The fine-tuned model beats the frozen head on validation: 77 of 80 against 73.",
        "Fine-tuned ships 96.2% 95.0% 0.138 Average, 25% fine-tuned 93.8% 92.5% 0.163 From random weights 45.0% 43.7% 0.650",
        "No clear winner. wheel:efficientnet_lite2 leads and is best in 52% of bootstrap draws",
        "Linear probe right Linear probe log loss counts Neighbours right counts LogME nats counts ImageNet published",
        "wheel:efficientnet_lite2 Apache-2.0; leads 52.0% 93.6% ± 1.1% 0.264 90.6% 0.636 77.0% 50% of its place 1.72 4.8 M, 260 px",
        "Scores that do not count Source H\u2011score shrunk NCE nats LEEP nats wheel:efficientnet_lite2 3.436 -0.464 -0.564",
        "wheel:efficientnet_lite1 Apache-2.0; chosen, level with the leader 41.7%",
        "Round 1, 1 epoch wheel:efficientnet_lite0 1 95.0% 0.180 320 wheel:efficientnet_lite1 2 93.8% 0.200 0.040 ± 0.050 320",
        "The ranking to beat, published ImageNet accuracy alone, takes wheel:efficientnet_lite2 instead of wheel:efficientnet_lite1.",
        "2,240 image passes in all",
        "Linear probe counts Kornblith et al., CVPR 2019 A linear head foretells what fine-tuning reaches. O(n d classes)",
        "here from blocks.5. Filled: retrained.",
        "Only 96 images were tested",
        "1 warning",
        "3 images have an unusual colour mode",
        "train/ants/broken.jpg truncated",
        "train/bees/empty.png zero bytes",
        "torchvision:resnet50 : its weights are not here",
        "+5.0 points (+0.8 to +9.2)",
        "Confusion matrix",
        "Fine-tuned (ships)",
        "Frozen head",
        "fine_tune.epochs 9 10",
        "fine_tune.augmentation.horizontal_flip true auto",
        "d" * 64,
        "torch 2.15.0",
        "onnxruntime",
    ):
        assert words in text, words


def test_what_it_aims_at_and_its_operating_point(tmp_path: Path) -> None:
    text = page(tmp_path / "even").text
    for words in (
        "What it aims at Balanced accuracy (by default, as the largest class has 2.1 times the images of the smallest; aim in params.yaml changes it).",
        "The rarer a class, the more its probability weighs (bees 2.1 times). It was chosen on 80 images that the model was not trained on.",
        "Other points for ants At the chosen point 80.0% of the test images of ants are found, 68.0% of those called ants are, and 51.2% of all others are called ants",
    ):
        assert words in text, words
    paths = leave(tmp_path / "recall", ["ants", "bees"])
    metrics = json.loads(paths["metrics"].read_text())
    metrics["aim"] = {
        "goal": {"measure": "recall", "label": "bees", "reach": 0.9, "asked": True, "ratio": 1.0},
        "point": {"factors": [1.0, 3.0], "n": 80, "held_out": 0.92, "bound": 0.88, "reached": False},
        "reached": {"value": 0.875, "interval": [0.68, 0.97], "n": 24},
    }
    dump(paths["metrics"], metrics)
    text = Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=0)).text
    for words in (
        "Recall of bees of 90% or more. Bees is named from a probability of 25.0% on.",
        "Not shown to be reached: 92.0% on 80 images that it was not trained on, at least 88.0% with 90% certainty, where 90% was asked for.",
        "On 24 test images: 87.5% (95% interval 68.0% to 97.0%); what was asked for lies within that interval.",
    ):
        assert words in text, words


def test_whether_more_photos_would_help(tmp_path: Path) -> None:
    text = page(tmp_path).text
    assert (
        "Would more photos help? Yes, most likely. With twice as many (800 images to learn from instead of 400) the head's balanced accuracy would rise by "
        "1.6 points (90% interval 1.1 to 3.0), to about 95.1% (92.0% to 98.0%); with 1,600 to about 96.2% (92.5% to 99.0%)." in text
    )
    assert [photos.answer(*ends) for ends in ((0.01, 0.05), (0.0, 0.05), (0.0, 0.005))] == ["yes", "perhaps", "hardly"]
    paths = leave(tmp_path / "few")
    summary_file = paths["head"] / "summary.json"
    content = json.loads(summary_file.read_text())
    dump(summary_file, {**content, "learning_curve": {"measure": "accuracy", "measured": [], "expected": []}})
    assert "too few images to draw a learning curve" in Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=0)).text


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
    told = [svg for svg in parsed.all("svg") if svg.get("aria-hidden") != "true"]  # the keys of a legend stand beside words
    assert all(len(svg["aria-label"] or "") > 20 and svg["role"] in {"img", "radiogroup"} for svg in told)
    assert parsed.all("img")
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(cell.get("scope") in {"row", "col", "rowgroup"} for cell in parsed.all("th"))
    ids = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    assert {(link["href"] or "")[1:] for link in parsed.all("a")} <= ids


def test_no_number_is_left_raw(usual: tuple[str, dict[str, Path]]) -> None:
    text = Page(usual[0]).text.replace("d" * 64, "").replace("a" * 64, "")
    assert not re.search(r"\d\.\d{5,}", text)
    assert not re.search(r"\bnan\b|\bNone\b\s*[^.:]|Undefined|np\.", text)
    assert not re.search(r"nan|inf", " ".join(re.findall(r'<svg.*?</svg>', re.sub(r'href="data:[^"]*"', "", usual[0]))))  # fmt: skip


def test_mistakes_are_pictures_the_surest_first(usual: tuple[str, dict[str, Path]]) -> None:
    wrong = pd.read_parquet(usual[1]["predictions"]).query("~correct").sort_values("probability", ascending=False)
    images = Page(usual[0]).of_mistakes()
    assert [image["alt"] for image in images] == [
        f"Test image labelled {row.label}, taken for {row.predicted}" for row in wrong.itertuples()
    ]
    for image in images:
        data = Image.open(io.BytesIO(base64.b64decode((image["src"] or "").split(",")[1])))
        assert max(data.size) <= pictures.THUMBNAIL


def test_tiny_images_keep_their_pixels(tmp_path: Path) -> None:
    images = page(tmp_path, side=8).all("img")
    assert all(image["class"] == "tiny" and (image["src"] or "").startswith("data:image/png") for image in images)
    assert {(image["width"], image["height"]) for image in images} == {("160", "107"), ("96", "64")}


def test_only_as_many_mistakes_as_asked_for(tmp_path: Path) -> None:
    assert len(page(tmp_path, mistakes=2).of_mistakes()) == 2
    none = page(tmp_path, mistakes=0)
    assert none.of_mistakes() == []
    assert "none are shown because report.mistakes is 0" in none.text


def test_a_picture_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    for path in paths["images"].rglob("*.jpg"):
        path.unlink()
    parsed = Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=3))
    assert parsed.all("img") == []
    assert parsed.text.count("no picture:") == 3 + gallery.LEAST_SURE + 1  # and the one that is unlike the others


def test_no_mistakes_at_all(tmp_path: Path) -> None:
    text = page(tmp_path, error=0.0).text
    assert "100% of 96 test images right" in text
    assert "None: every test image was called by its name." in text


@pytest.mark.parametrize(
    ("others", "more"), [(0, "."), (1, ". On validation it was worse than the head, by itself and beside it, so the last stages were")]
)
def test_that_most_of_the_network_was_trained_is_told(others: int, more: str, tmp_path: Path) -> None:
    paths = leave(tmp_path)
    first = a_try(1e-3, 8, way="deep", validation_loss=0.12)
    changed(paths["fine_tuned"] / "summary.json", tries=[first, *([a_try(3e-4, 6)] * others)])
    text = Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=2)).text
    assert f"in each of 8 epochs, at a highest rate of 0.001: its validation loss ended at 0.120 nats{more}" in text
    assert "trained again from the head" not in text


def test_a_frozen_head_that_ships(tmp_path: Path) -> None:
    text = page(tmp_path, shipped="head").text
    assert "What ships: a new head on the frozen tf_efficientnet_lite1" in text
    assert "It does not ship; the frozen head does." in text
    assert "Frozen head (ships) Fine-tuned" in text
    assert "F1 of the frozen head" not in text


def test_fine_tuning_that_brought_nothing_is_no_result(tmp_path: Path) -> None:
    paths = leave(tmp_path, shipped="head")
    tuned = json.loads((paths["fine_tuned"] / "summary.json").read_text())
    tries = [a_try(3e-4, 0), a_try(3e-5, 0, way="gentler")]
    dump(paths["fine_tuned"] / "summary.json", {**tuned, "changed": False, "tries": tries})
    metrics = json.loads(paths["metrics"].read_text())
    dump(paths["metrics"], {**metrics, "fine_tuned": None})
    text = Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=2)).text
    assert "Fine-tuning brought nothing: after no epoch was the network better on validation than the frozen head" in text
    assert (
        "At a highest rate of 0.0003 the network was worse on validation than the frozen head by more than a standard error, by itself and beside it (loss 0.340 nats)"
        in text
    )
    assert "trained again from the head at 3e-05: no epoch was better than the head." in text
    assert "fine-tuned, validation" not in text


def test_it_says_which_changes_keep_the_labels(tmp_path: Path) -> None:
    text = page(tmp_path).text
    assert "was measured on 320 training images" in text
    assert "vertical flip -21.0 points, at worst -25.0 (not made)" in text
    assert "trained again from the head" not in text


def test_head_only_has_no_curves(tmp_path: Path) -> None:
    paths = leave(tmp_path, shipped="head")
    (paths["curve"]).unlink()
    tuned = json.loads((paths["fine_tuned"] / "summary.json").read_text())
    dump(paths["fine_tuned"] / "summary.json", {**tuned, "strategy": "head_only", "phases": [], "trained": ["head"], "validation": None})
    metrics = json.loads(paths["metrics"].read_text())
    dump(paths["metrics"], {**metrics, "fine_tuned": None})
    text = Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=2)).text
    assert "Nothing was unfrozen." in text
    assert "Frozen head (ships)" in text
    assert "Best epoch" not in text
    start = curve().head(1)
    start.to_csv(paths["curve"], index=False)
    assert "Nothing was unfrozen." in Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=2)).text


@pytest.mark.parametrize(
    ("shipped", "column", "ships", "outcome"),
    [
        (
            "average",
            "Average (ships) Fine-tuned Frozen head From random weights",
            "the average of a fine-tuned NET and its frozen head",
            "Its average with the frozen head ships.",
        ),
        (
            "both",
            "Pair (ships) Fine-tuned Frozen head From random weights",
            "a pair of the frozen and the fine-tuned NET",
            "It ships paired with the frozen head, both being asked.",
        ),
        (
            "scratch",
            "From random weights (ships) Fine-tuned Frozen head",
            "a NET trained from random weights",
            "the network from random weights does",
        ),
        (
            "l2_sp",
            "L2-SP (ships) Fine-tuned Frozen head From random weights",
            "a fine-tuned NET (L2-SP)",
            "fine-tuned in another way (L2-SP)",
        ),
        ("new_remedy", "New remedy (ships) Fine-tuned", "a fine-tuned NET (new remedy)", "fine-tuned in another way (new remedy)"),
    ],
)
def test_every_contender_may_ship(tmp_path: Path, shipped: str, column: str, ships: str, outcome: str) -> None:
    text = page(tmp_path, shipped=shipped).text
    assert f"Measure {column}" in text
    assert f"What ships: {ships.replace('NET', 'tf_efficientnet_lite1')}" in text
    assert outcome in text
    assert "the frozen head alone would have made" in text
    assert (f"4 classes, from {LITE.format(1)}" in text) == (shipped != "scratch")


def test_two_classes(tmp_path: Path) -> None:
    parsed = page(tmp_path, classes=["cat", "dog"])
    assert "2 classes" in parsed.text
    assert any("matrix" in (table.get("class") or "") for table in parsed.all("table"))


def test_many_classes_show_the_top_confusions_instead(tmp_path: Path) -> None:
    classes = [f"species_{number:03}" for number in range(120)]
    paths = leave(tmp_path, classes, a_class=12, error=0.3)
    text = pages.render(findings.gather(findings.Places(**paths)), mistakes=24)
    parsed = Page(text)
    assert not any("matrix" in (table.get("class") or "") for table in parsed.all("table"))
    assert "The commonest of" in parsed.text
    assert "The 15 weakest of 120 classes." in parsed.text
    assert len(parsed.of_mistakes()) == 24
    assert len(text) < 1_700_000


def test_mistakes_name_where_a_file_came_from(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    found = findings.gather(findings.Places(**paths))
    wrong = str(found.predictions.loc[~found.predictions["correct"], "path"].iloc[0])
    provenance.write(paths["images"], {wrong: "camera 7/IMG_0001.jpg"})
    assert f"{wrong} (from camera 7/IMG_0001.jpg)" in Page(pages.render(found, mistakes=100)).text


def test_the_scale_of_deep_grey_is_said(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    assert "of more than 8 bits" not in Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=2)).text
    changed(paths["final"] / "card.json", grey={"integer": [0.0, 4095.0]})
    says = (
        "Grey and colour of more than 8 bits are shown on one scale for the whole data set: 0 as black and 4,095 as white (whole numbers)."
    )
    assert says in Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=2)).text


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
    ranking["race"]["rows"][0]["name"] = ranking["depths"][0]["stage"] = ranking["scores"][0]["paper"] = hostile[0]
    ranking["candidates"][1]["licence"] = ranking["scores"][0]["title"] = hostile[3]
    dump(paths["ranking"], ranking)
    tried = [{"name": hostile[0], "source": hostile[3], "validation_accuracy": 0.9, "ships": False}]
    whole = {**json.loads(paths["verdict"].read_text())["pretrained_against_random"], "evidence": hostile[3]}
    changed(paths["verdict"], remedies=tried, reason=hostile[0], pretrained_against_random=whole)
    parsed = Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=24))
    assert parsed.all("script") == []
    assert len(parsed.of_mistakes()) == int((~predictions["correct"]).sum())
    assert all((image["src"] or "").startswith("data:image/") for image in parsed.all("img"))
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    for name in hostile:
        assert name in parsed.text or " ".join(name.split()) in parsed.text


def test_look_alikes_stand_side_by_side(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    validation = json.loads(paths["validation"].read_text())
    pair = [{"path": f"{label}/pair.png", "label": label, "split": "train"} for label in ("ants", "bees")]
    (paths["images"] / "ants").mkdir(exist_ok=True)
    Image.new("RGB", (80, 60), "red").save(paths["images"] / "ants/pair.png")
    warning = {"name": "lookalikes_under_two_labels", "message": "Look.", "files": ["ants/pair.png"], "n_files": 99, "pairs": [pair]}
    validation["warnings"] = [warning]
    dump(paths["validation"], validation)
    parsed = Page(pages.render(findings.gather(findings.Places(**paths)), mistakes=0))
    (image,) = [one for one in parsed.all("img") if (one["width"], one["height"]) == ("160", "120")]
    assert image["alt"] == "Image labelled ants"
    assert "no picture: no such file" in parsed.text
    assert "1 pair side by side" in parsed.text
    assert "the first 1; all are in reports/validation/lookalikes_under_two_labels.csv" in " ".join(parsed.text.split())


def test_the_caveats_are_those_of_the_metrics_and_the_warnings(usual: tuple[str, dict[str, Path]]) -> None:
    found = findings.gather(findings.Places(**usual[1]))
    assert [words.split(" ")[0] for words in summary.caveats(found)] == ["Only", "What", "The"]
    calm = replace(found, metrics={**found.metrics, "caveats": ["Mind this."]}, validation={**found.validation, "warnings": []})
    assert summary.caveats(calm) == ["Mind this."]


def test_times_are_shown_where_they_were_kept(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    work = [{"what": "frozen layers", "how": "onnxruntime", "done": 952, "seconds": 10.0}]
    dump(tmp_path / "timings/fine_tune.json", {"stage": "fine_tune", "seconds": 200.0, "work": work})
    dump(tmp_path / "timings/report.json", {"stage": "report", "seconds": 77.0})
    dump(tmp_path / "timings/index_images.json", {"stage": "index_images", "seconds": 2.0})
    (tmp_path / "timings/evaluate.json").write_text("{")
    text = Page(pages.render(findings.gather(findings.Places(**paths, timings=tmp_path / "timings")), mistakes=0)).text
    assert "index_images all of it 2 s fine_tune all of it 3 min 20 s frozen layers 10 s onnxruntime 952 95" in text
    assert "1 min 17 s" not in text
    assert (
        "When each stage last ran"
        not in Page(pages.render(findings.gather(findings.Places(**paths, timings=tmp_path / "none")), mistakes=0)).text
    )


def test_the_stage_writes_the_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = leave(tmp_path)
    out = tmp_path / "reports/report.html"
    write_report(**paths, out=out, block=Report(mistakes=3))
    first = out.read_bytes()
    assert first.decode("utf-8").startswith("<!doctype html>")
    assert str(tmp_path) not in first.decode()
    write_report(**paths, out=out, block=Report(mistakes=3))
    assert out.read_bytes() == first
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    paths["metrics"].unlink()
    with pytest.raises(HeadstartError, match=r"metrics\.json, which is missing; run `dvc repro`"):
        findings.gather(findings.Places(**paths))


def test_torch_is_not_imported(tmp_path: Path) -> None:
    leave(tmp_path)
    code = "import sys; from headstart.params import Report; from tasks.report import report; report(block=Report(mistakes=2)); print(sorted({'torch', 'great_expectations', 'prefect', 'dvc'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
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


@pytest.mark.parametrize(("title", "row"), [("loss", "13.0"), ("validation accuracy", "31.0")])
def test_a_legend_that_has_no_room_beside_the_title_goes_below_it(title: str, row: str) -> None:
    names = ("pretrained", "random weights", "90% of the better end")
    svg = charts.lines([charts.Series(name, [(1.0, 0.5), (2.0, 0.6)]) for name in names], alt="a", x_title="x", y_title=title)
    rows = re.findall(r'y="([\d.]+)">(?:' + "|".join(names) + ")<", svg)
    assert rows == [row] * 3


def test_lines_with_one_point_can_be_drawn() -> None:
    svg = charts.lines([charts.Series("only", [(1.0, 0.5)])], alt="a", x_title="x", y_title="y")
    assert "nan" not in svg


def test_percent() -> None:
    assert [formats.percent(value) for value in (1.0, 0.99999, 0.975, 0.9754, 0.1, 0.0)] == [
        "100%",
        "99.99%",
        "97.5%",
        "97.5%",
        "10.0%",
        "0%",
    ]
    assert [formats.short(value) for value in (1.0, 0.925, 0.9)] == ["100%", "92.5%", "90%"]


def test_what_it_leaves_to_a_person(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    assert "leaves to a person" not in rendered(paths).text
    changed(paths["metrics"], limits={"answered": 0.92, "error": 0.013, "false_alarms": 0.04})
    text = " ".join(rendered(paths).text.split())
    assert (
        "What it leaves to a person 8.0% of the test images are left to a person ( unsure ); of the other answers 1.3% are wrong." in text
    )
    assert "4.0% of the test images, which are of its classes, are called unlike all that it knows ( unlike )." in text


def test_the_page_of_ten_thousand_images_stays_small(tmp_path: Path) -> None:
    """Lists of mistakes and labels, and the pictures of the map, are bounded."""
    paths = leave(tmp_path, [f"class {number:02}" for number in range(20)], a_class=500)
    text = pages.render(findings.gather(findings.Places(**paths)), mistakes=24)
    assert len(pd.read_parquet(paths["predictions"])) == 10_000
    assert len(text.encode()) < 10e6
