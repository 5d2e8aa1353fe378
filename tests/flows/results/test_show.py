"""`headstart show`: the result in words, from whatever of the result is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli import common, main
from flows.results import files, in_batches, in_groups, show
from headstart.machinery.errors import HeadstartError
from tests.report.test_batches import MADE


def scores(accuracy: float) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "balanced_accuracy": accuracy - 0.01,
        "macro_f1": accuracy - 0.02,
        "ece": 0.034,
        "interval": {"accuracy": [accuracy - 0.03, accuracy + 0.02], "ece": [0.01, 0.06]},
        "per_class": {f"class {i}": {"precision": 0.9, "recall": 0.8, "f1": 0.9 - i / 100, "n": 20 + i} for i in range(8)},
    }


def metrics(shipped: str = "fine_tuned", **more: Any) -> dict[str, Any]:
    head, fine_tuned = scores(0.9), scores(0.95)
    arms = {"head": head, "fine_tuned": fine_tuned, "scratch": scores(0.5)}
    arms = {shipped: scores(0.97), **arms}
    counts = {"n_train": 1150, "n_validation": 288, "n_test": 359}
    return {
        "source": "wheel:lite0",
        "shipped": shipped,
        "classes": ["a"],
        **counts,
        "test": arms[shipped],
        **arms,
        **more,
    }


def ranking(**more: Any) -> dict[str, Any]:
    candidates = [{"name": f"wheel:lite{n}", "status": "ranked"} for n in range(2)]
    reason = "no clear winner: wheel:lite0 leads and is best in 52% of bootstrap draws"
    return {"chosen": "wheel:lite0", "ranked_first": "wheel:lite0", "clear": False, "reason": reason, "candidates": candidates, **more}


def verdict(**more: Any) -> dict[str, Any]:
    said = {
        "answer": "positive",
        "standing": "indicative",
        "evidence": "+45.0 points.",
        "pretrained_against_random": {"asymptote": {"n_images": 9}},
    }
    return {**said, "mix": None, "reason": "It beat the head by 3 standard errors.", **more}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", "dvc.yaml", ".dvc"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


def test_no_result_yet(capsys: pytest.CaptureFixture[str]) -> None:
    for name in common.PROJECT:
        Path(name).touch()
    for arguments in (["show"], ["show", "--json"]):
        assert main.main(arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: there is no result yet")
        assert "headstart run" in err


def test_json_is_the_file_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    write(files.METRICS, {"n": 1, "ä": [1.0]})
    assert main.main(["show", "--json"]) == 0
    assert capsys.readouterr().out == files.METRICS.read_text()


def test_a_full_result() -> None:
    write(files.METRICS, metrics(transfer={"says": "confirms"}))
    write(files.RANKING, ranking())
    write(files.VERDICT, verdict())
    quarantined = [{"path": f"a/{i}.jpg", "reason": "truncated"} for i in range(5)]
    write(files.VALIDATION, {"success": True, "warnings": [{"message": "one class is 12 times another"}], "quarantined": quarantined})
    files.REPORT.write_text("")
    assert show.summary().splitlines() == [
        "accuracy    95.0% of 359 test images right (95% interval 92.0% to 97.0%)",
        "            frozen head: 90.0%",
        "            from random weights: 50.0%",
        "ships       fine-tuned model",
        "source      wheel:lite0 (no clear winner)",
        "transfer    helped (indicative)",
        "            the test images confirm it",
        "warnings    one class is 12 times another",
        "left out    5 unusable files: a/0.jpg (truncated); a/1.jpg (truncated); a/2.jpg",
        "            (truncated); ...",
        "model       models/final/",
        "report      reports/report.html",
        "",
        "in detail",
        "balanced    0.940",
        "macro F1    0.930",
        "calibration 0.034 (95% interval 0.010 to 0.060) expected calibration error",
        "images      1,150 training, 288 validation, 359 test",
        "worst 5     class 7: F1 0.830, precision 0.900, recall 0.800, 27 images",
        "            class 6: F1 0.840, precision 0.900, recall 0.800, 26 images",
        "            class 5: F1 0.850, precision 0.900, recall 0.800, 25 images",
        "            class 4: F1 0.860, precision 0.900, recall 0.800, 24 images",
        "            class 3: F1 0.870, precision 0.900, recall 0.800, 23 images",
        "source      wheel:lite0 leads and is best in 52% of bootstrap draws",
        "transfer    +45.0 points.",
        "ships       It beat the head by 3 standard errors.",
    ]


EVEN = {"measure": "balanced_accuracy", "label": None, "reach": None, "asked": False, "ratio": 2.125}
RECALL = {"measure": "recall", "label": "bees", "reach": 0.9, "asked": True, "ratio": 1.0}


@pytest.mark.parametrize(
    ("goal", "reached", "line"),
    [
        (
            EVEN,
            None,
            "aim         balanced accuracy: 94.0%\n            by default, as the largest class has 2.12 times the images of the smallest;",
        ),
        (
            RECALL,
            {"value": 0.95, "interval": [0.88, 0.98], "n": 60},
            "aim         recall of bees of 90% or more: 95.0% of 60 test images (95% interval",
        ),
        ({**EVEN, "measure": "accuracy", "ratio": 1.1}, None, ""),
    ],
)
def test_what_it_aims_at_is_said(goal: dict[str, Any], reached: dict[str, Any] | None, line: str) -> None:
    write(files.METRICS, metrics(aim={"goal": goal, "point": {}, "reached": reached}))
    assert line in show.summary()
    assert ("\naim " in show.summary()) == bool(line)


def test_a_head_that_ships_is_shown_beside_the_fine_tuned_model() -> None:
    write(files.METRICS, metrics("head"))
    text = show.summary()
    assert "ships       frozen head" in text
    assert "fine-tuned: 95.0%" in text


@pytest.mark.parametrize(
    ("shipped", "mix", "line"),
    [
        ("average", 0.25, "ships       average of frozen head and fine-tuned model, 25% fine-tuned"),
        ("scratch", None, "ships       network from random weights"),
        ("another_source", None, "ships       fine-tuned model (another source)"),
        ("new_remedy", None, "ships       fine-tuned model (new remedy)"),
    ],
)
def test_whatever_ships_is_named_beside_the_other_arms(shipped: str, mix: float | None, line: str) -> None:
    write(files.METRICS, metrics(shipped))
    write(files.VERDICT, verdict(mix=mix))
    lines = show.summary().splitlines()
    assert line in lines
    assert "            fine-tuned: 95.0%" in lines
    assert ("            from random weights: 50.0%" in lines) == (shipped != "scratch")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"answer": "none_shown", "standing": "established"}, "transfer    is not shown to help (established)"),
        ({"answer": "negative"}, "transfer    hurt (indicative)"),
        ({"answer": "too_few"}, "transfer    too few images to tell (9)"),
    ],
)
def test_the_answer_on_transfer(values: dict[str, str], line: str) -> None:
    write(files.METRICS, metrics(transfer={"says": "leaves open"}))
    write(files.VERDICT, verdict(**values))
    lines = show.summary().splitlines()
    assert lines[lines.index(line) + 1] == "            the test images leave it open"


def test_what_to_keep_in_mind_is_shown() -> None:
    write(files.METRICS, metrics(caveats=["Only 12 images were tested.", "Rare classes do worse."]))
    assert "caveats     Only 12 images were tested.\n            Rare classes do worse.\n" in show.summary()


def test_transfer_that_was_not_tested() -> None:
    write(files.METRICS, metrics(scratch=None, transfer=None))
    said = verdict(answer="none_shown", evidence="no baseline was trained")
    del said["pretrained_against_random"]
    write(files.VERDICT, said)
    text = show.summary()
    assert "transfer    not tested\nmodel" in text
    assert "transfer    no baseline was trained" in text
    assert "from random weights" not in text


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"clear": True}, "source      wheel:lite0 (the clear winner)"),
        ({"ranked_first": "wheel:lite1"}, "source      wheel:lite0 (by the race; the ranking had no clear winner)"),
        ({"candidates": [{"name": "wheel:lite0", "status": "ranked"}]}, "source      wheel:lite0"),
    ],
)
def test_whether_the_source_was_clear(values: dict[str, Any], line: str) -> None:
    write(files.METRICS, metrics())
    write(files.RANKING, ranking(**values))
    assert line in show.summary().splitlines()


def test_metrics_alone_are_enough() -> None:
    content = metrics(fine_tuned=None, scratch=None)
    content["test"] = content["head"] = {"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0, "ece": 0.0}
    content["shipped"] = "head"
    write(files.METRICS, content)
    said = show.summary()
    assert said.startswith("accuracy    100% of 359 test images right\nships       frozen head\nsource      wheel:lite0\nmodel")
    assert "\nbalanced    1.000\n" in said


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"test": 3}'])
def test_a_file_of_another_shape(content: str) -> None:
    write(files.METRICS, {})
    files.METRICS.write_text(content)
    with pytest.raises(HeadstartError, match="not what this version writes"):
        show.summary()


def test_it_pays_for_nothing_heavy() -> None:
    write(files.METRICS, metrics())
    code = "import sys; from flows.cli import main; main.main(['show'])\nprint(sorted({'torch', 'prefect', 'numpy', 'pandas', 'pydantic', 'dvc'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_second_domain_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reports").mkdir()
    files.METRICS.write_text(json.dumps(metrics()))
    assert "target" not in show.summary()
    files.ADAPT.write_text(json.dumps({"images": 40, "adapted": True, "reason": "r", "accuracy": [0.7, 0.4, 0.93]}))
    words = " ".join(show.summary().split())
    assert "target labels were carried over to 40 images about 70.0% right, between 40.0% and 93.0%" in words
    tested = {"n": 30, "adapted": 0.8, "adapted_interval": [0.61, 0.92], "plain": 0.3}
    files.ADAPT.write_text(json.dumps({"images": 40, "adapted": True, "reason": "r", "accuracy": [0.7, 0.4, 0.93], "labelled": tested}))
    assert "80.0% of 30 labelled ones right (95% interval 61.0% to 92.0%), 30.0% without" in " ".join(show.summary().split())
    files.ADAPT.write_text(json.dumps({"images": 40, "adapted": False, "reason": "they agree too little", "accuracy": [0.7, 0.4, 0.93]}))
    words = " ".join(show.summary().split())
    assert "target labels were not carried over to 40 images they agree too little" in words
    assert "70.0%" not in words


def test_batches_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reports").mkdir()
    files.METRICS.write_text(json.dumps(metrics()))
    in_batches.BATCHES.write_text(json.dumps({"batches": [], "forgetting": [], "drift": None}))
    assert "batches" not in show.summary()
    in_batches.BATCHES.write_text(json.dumps(MADE))
    words = " ".join(show.summary().split())
    assert "batches first: 95.0% of 80 test images right (95% interval 88.0% to 98.0%) 2026-11-27: no test image" in words
    assert (
        "80 test images of first: 95.0% right without the newest batch, 92.5% with it (-2.5 points, -7.0 to +2.0: no other share shown)"
        in words
    )
    assert "drift the newest batch looks unlike earlier images of the same classes (30 new images" in words
    assert "1 class not known before: <wasp> (12)" in words


def test_what_is_left_to_a_person_is_told() -> None:
    write(files.METRICS, metrics())
    assert "left to a person" not in show.summary()
    write(files.METRICS, metrics(limits={"answered": 0.92, "error": 0.013, "false_alarms": None}))
    words = " ".join(show.summary().split())
    assert "limits 8.0% of the test images are left to a person (`unsure`); of the other answers 1.3% are wrong" in words
    assert "too few validation images to tell which pictures are unlike all that it knows" in words
    write(files.METRICS, metrics(limits={"answered": 0.0, "error": None, "false_alarms": 0.04}))
    words = " ".join(show.summary().split())
    assert (
        "limits 100% of the test images are left to a person (`unsure`) 4.0% of the test images, which are of its classes, are called unlike"
        in words
    )


def test_labels_to_look_at_are_told_in_one_sentence() -> None:
    write(files.METRICS, metrics())
    assert "labels " not in show.summary()
    write(files.METRICS, metrics(labels={"singles": 12, "expected": [9.0, 6.1, 11.0], "blocks": 0}))
    assert "labels 12 labels look wrong, of which about 9 are by a rough estimate" in " ".join(show.summary().split())


GROUPED = {
    "images": 40,
    "source": "wheel:lite0",
    "method": "turtle",
    "groups": [
        {"group": 1, "images": 30, "medoids": ["a.png"], "stability": 0.95, "outliers": 1},
        {"group": 2, "images": 10, "medoids": ["b.png"], "stability": 0.7, "outliers": 0},
    ],
    "asked": False,
    "interval": [2, 4],
    "stability": 0.7,
    "silhouette": 0.3,
    "by_chance": 0.1,
    "shown": True,
    "outliers": 1,
    "near_duplicates": 0,
}


def test_groups_of_images_without_labels_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reports").mkdir()
    files.METRICS.write_text(json.dumps({"nothing": "images without labels"}))
    in_groups.GROUPS.write_text(json.dumps(GROUPED))
    told = " ".join(show.summary().split())
    assert "2 groups of 40 images; 95% of random halves of them have 2 to 4" in told
    assert "where they end is fair" in told
    assert "group 1: 30 images, 95% stay together, such as a.png" in told
    assert "headstart review" in told
    assert json.loads(show.metrics_text()) == GROUPED


def test_groups_that_chance_makes_too_are_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reports").mkdir()
    in_groups.GROUPS.write_text(json.dumps({**GROUPED, "shown": False, "by_chance": 0.4}))
    assert "no groups are shown" in show.summary()


def test_images_without_labels_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    write(files.METRICS, metrics())
    assert "unlabelled" not in show.summary()
    made = {"joined": True, "reason": "a head that learned from them has more right", "images": 40, "learned": 32}
    write(files.HEAD, {"self_training": made})
    told = "unlabelled the head learned from 32 of 40 images without labels, by the labels that it gave them a head that learned"
    assert told in " ".join(show.summary().split())
    write(files.HEAD, {"self_training": {**made, "joined": False, "learned": 0}})
    assert "the head learned from labels alone; 40 images without labels did not join" in " ".join(show.summary().split())
