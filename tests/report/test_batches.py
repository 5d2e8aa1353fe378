"""The section on batches: accuracy on each with its interval, what the newest did to the others, drift; no section without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.left import changed, leave, rendered

LOOKS: dict[str, Any] = {"n_new": 30, "n_before": 200, "p": 0.001, "told_apart": 0.93, "least": 1}
KEPT: dict[str, Any] = {
    **{"batches": ["old"], "unusable": [], "images": 120, "gone_classes": ["moth"], "classes": ["ant", "bee", "moth"]},
    **{"n_test": 80, "accuracy": 0.9, "interval": [0.82, 0.95], "plain_accuracy": 0.95},
}
MADE: dict[str, Any] = {
    "remembered": None,
    "batches": [
        {"name": "first", "images": 400, "new_classes": [], "n_test": 80, "accuracy": 0.95, "interval": [0.88, 0.98]},
        {"name": "2026-11-27", "images": 30, "new_classes": ["<wasp>"], "n_test": 0, "accuracy": None, "interval": []},
    ],
    "forgetting": [{"name": "first", "n": 80, "before": 0.95, "after": 0.925, "difference": -0.025, "interval": [-0.07, 0.02]}],
    "drift": {
        **{"batch": "2026-11-27", "level": 0.01, "looks": LOOKS, "new_classes": {"<wasp>": 12}, "found": ["looks", "classes"]},
        "shares": {"p": 0.4, "of_class": {"ant": [0.5, 0.4], "bee": [0.5, 0.6]}},
    },
}


def test_no_batches_no_section(tmp_path: Path) -> None:
    assert "Batches" not in rendered(leave(tmp_path)).text


def test_what_is_known_of_batches(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["batches"], **MADE)
    text = rendered(paths).text
    for words in (
        "The newest of 2 batches, 2026-11-27, beside those before: it looks unlike them and has classes not known before.",
        "The newest batch looks unlike earlier images of the same classes (30 new images beside 200 of the same classes, p = 0.001, told apart 93.0%",
        "Known classes are not shown to come in other shares than before (p = 0.4).",
        "1 class not known before: <wasp> (12).",
        "first 400 none 80 95.0% (88.0% to 98.0%)",
        "2026-11-27 30 <wasp> 0 no test image",
        "first 80 95.0% 92.5% -2.5 points -7.0 to +2.0",
    ):
        assert words in text
    assert "Share of each known class" not in text


def test_nothing_shown_is_said_as_such(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    few = {**LOOKS, "n_new": 1, "n_before": 6, "p": None, "told_apart": None, "least": 7}
    changed(paths["batches"], **{**MADE, "drift": {**MADE["drift"], "found": [], "looks": few, "new_classes": {}}})
    text = rendered(paths).text
    assert "beside those before: no drift is shown." in text
    assert (
        "1 new image beside 6 of the same classes can show nothing at a level of 0.01; of one class, 7 new images at the least could."
        in text
    )
    changed(
        paths["batches"], **{**MADE, "drift": {**MADE["drift"], "found": ["shares"], "shares": {**MADE["drift"]["shares"], "p": 0.002}}}
    )
    text = rendered(paths).text
    assert "it has other shares of the classes" in text
    assert "ant 50.0% 40.0%" in text


def test_what_is_remembered_of_forgotten_batches(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["batches"], remembered=KEPT)
    text = rendered(paths).text
    for words in (
        "The images that are there came in one batch; others were forgotten.",
        "Models/remembered is made from sums of 120 images that are gone and of those that are there, with moth, of which no image is left.",
        "90.0% of 80 test images that are left right (95% interval 82.0% to 95.0%); the model that ships 95.0%; on what is gone nobody can test it.",
    ):
        assert words in text
    assert "Each batch, and how many" not in text
    changed(paths["batches"], **{**MADE, "remembered": {**KEPT, "images": 0, "unusable": ["old"]}})
    text = rendered(paths).text
    assert "The sums of old are of another source than the one chosen now, so they are of no use." in text
    assert "Each batch, and how many" in text
