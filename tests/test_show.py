"""`headstart show`: the result in words, from whatever of the result is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows import cli, show
from headstart.errors import HeadstartError


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
    test = fine_tuned if shipped == "fine_tuned" else head
    counts = {"n_train": 1150, "n_validation": 288, "n_test": 359}
    return {
        "source": "wheel:lite0",
        "shipped": shipped,
        "classes": ["a"],
        **counts,
        "test": test,
        "head": head,
        "fine_tuned": fine_tuned,
        **more,
    }


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_no_result_yet(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["show"], ["show", "--json"]):
        assert cli.main(arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: there is no result yet")
        assert "headstart run" in err


def test_json_is_the_file_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    write(show.METRICS, {"n": 1, "ä": [1.0]})
    assert cli.main(["show", "--json"]) == 0
    assert capsys.readouterr().out == show.METRICS.read_text()


def test_a_full_result() -> None:
    write(show.METRICS, metrics())
    write(show.RANKING, {"chosen": "wheel:lite0", "reason": "Its probe was best."})
    write(show.FINE_TUNED, {"ships": "fine_tuned", "reason": "It beat the head by 3 standard errors."})
    quarantined = [{"path": f"a/{i}.jpg", "reason": "truncated"} for i in range(5)]
    write(show.VALIDATION, {"success": True, "warnings": [{"message": "one class is 12 times another"}], "quarantined": quarantined})
    show.REPORT.write_text("")
    assert show.summary().splitlines() == [
        "source      wheel:lite0",
        "            Its probe was best.",
        "ships       fine-tuned model",
        "            It beat the head by 3 standard errors.",
        "accuracy    0.950 (95% interval 0.920 to 0.970)",
        "            frozen head: 0.900 (95% interval 0.870 to 0.920)",
        "balanced    0.940",
        "macro F1    0.930",
        "calibration 0.034 (95% interval 0.010 to 0.060) expected calibration error",
        "images      1,150 training, 288 validation, 359 test",
        "worst 5     class 7: F1 0.830, precision 0.900, recall 0.800, 27 images",
        "            class 6: F1 0.840, precision 0.900, recall 0.800, 26 images",
        "            class 5: F1 0.850, precision 0.900, recall 0.800, 25 images",
        "            class 4: F1 0.860, precision 0.900, recall 0.800, 24 images",
        "            class 3: F1 0.870, precision 0.900, recall 0.800, 23 images",
        "warnings    one class is 12 times another",
        "left out    5 unusable files: a/0.jpg (truncated); a/1.jpg (truncated); a/2.jpg (truncated); ...",
        "model       models/final/",
        "report      reports/report.html",
    ]


def test_a_head_that_ships_is_shown_beside_the_fine_tuned_model() -> None:
    write(show.METRICS, metrics("head"))
    text = show.summary()
    assert "ships       frozen head" in text
    assert "fine-tuned: 0.950" in text


def test_metrics_alone_are_enough() -> None:
    content = metrics(fine_tuned=None)
    content["test"] = content["head"] = {"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0, "ece": 0.0}
    content["shipped"] = "head"
    write(show.METRICS, content)
    assert "accuracy    1.000\nbalanced    1.000" in show.summary()


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"test": 3}'])
def test_a_file_of_another_shape(content: str) -> None:
    write(show.METRICS, {})
    show.METRICS.write_text(content)
    with pytest.raises(HeadstartError, match="not what this version writes"):
        show.summary()


def test_it_pays_for_nothing_heavy() -> None:
    write(show.METRICS, metrics())
    code = "import sys; from flows import cli; cli.main(['show'])\nprint(sorted({'torch', 'prefect', 'numpy', 'pandas', 'pydantic', 'dvc'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
