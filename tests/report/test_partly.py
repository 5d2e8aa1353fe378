"""The section on images without labels: whether they joined and why, both heads, what each class got; no section if all have a label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.left import changed, leave, rendered

MADE: dict[str, Any] = {
    **{
        "joined": True,
        "reason": "a head that learned from them has more right",
        "images": 200,
        "held_out": 3,
        "learned": 150,
        "left_out": 40,
    },
    **{"measure": "balanced_accuracy", "difference": [0.05, 0.01, 0.09], "per_class": {"ants": 70, "<b>": 80}},
    "labels_alone": {"gain": 0.85, "log_likelihood": -0.4},
    "with_unlabelled": {"gain": 0.9, "log_likelihood": -0.3},
}


def test_every_image_has_a_label(tmp_path: Path) -> None:
    assert "Images without labels" not in rendered(leave(tmp_path)).text


def test_they_joined(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["head"] / "summary.json", self_training=MADE)
    text = rendered(paths).text
    for words in (
        "The head learned from 150 of 200 images without labels, by the labels that it gave them: a head that learned from them has more right.",
        "3 images without labels look like a test image and teach nothing.",
        "judged by 40 labelled images",
        "balanced accuracy",
        "labels alone 85.0% -0.400",
        "images without labels too 90.0% -0.300",
        "<b> 80",
        "models/head/unlabelled.csv",
    ):
        assert words in text


def test_they_were_not_even_tried(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    none = {"joined": False, "learned": 0, "held_out": 0, "reason": "self_training is never", "labels_alone": None, "with_unlabelled": None}
    changed(paths["head"] / "summary.json", self_training={**MADE, **none, "per_class": {}})
    text = rendered(paths).text
    assert "The head learned from labels alone; 200 images without labels did not join: self_training is never." in text
    assert "labels alone 85.0%" not in text
