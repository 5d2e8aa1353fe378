"""The report's section on labels, what it says to do next, and commands in sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headstart.report import coded, findings, following
from headstart.report import labels as section
from headstart.report import page as pages
from tests.left import Page, changed, dump, leave, rendered


def doubt(path: str, block: int = 0, **other: Any) -> dict[str, Any]:
    near = [{"path": path, "label": "bees"}] * 5
    return {
        **{"path": path, "origin": path, "split": "train", "label": "ants", "suggested": "bees", "probability": 0.02},
        **{"suggested_probability": 0.95, "wrong": 0.9, "block": block, "neighbours": near, **other},
    }


def left(folder: Path, labels: list[dict[str, Any]], blocks: int = 0, **other: Any) -> dict[str, Path]:
    paths = leave(folder)
    block = {"label": "ants", "suggested": "bees", "files": 10, "first": "ants/1.jpg", "last": "ants/10.jpg", "chance": 1e-4}
    singles = sum(not one["block"] for one in labels)
    told = {"images": 400, "singles": singles, "expected": [9.4, 6.0, 13.0], "labels": labels}
    dump(paths["labels"] / "labels.json", {**told, "blocks": [{"number": n + 1, **block} for n in range(blocks)], **other})
    return paths


def test_doubtful_labels_are_shown_with_what_is_most_like_them(tmp_path: Path) -> None:
    paths = leave(tmp_path / "before")
    picture = next(paths["images"].rglob("*.jpg")).relative_to(paths["images"]).as_posix()
    paths = left(tmp_path, [*[doubt(picture, 1)] * 10, doubt("<b>x.jpg"), *[doubt(picture)] * 40], blocks=1)
    page = rendered(paths)
    for words in (
        "Labels to look at 1 block of consecutive files looks like another class; 41 labels look wrong, of which about 9 are by a rough estimate.",
        "10 files in a row labelled ants, ants/1.jpg to ants/10.jpg, look like bees",
        "labelled ants , 2.0% rather bees , 95.0% most like bees bees bees train: ",
        "train: <b>x.jpg",
        f"The {section.SINGLES} most doubtful of 41.",
        "What to do next Look at 51 labels with headstart review : wrong ones harm the model, and make its test untrue.",
    ):
        assert words in page.text, words
    shown = section.OF_BLOCK + section.SINGLES - 1
    doubtful = [image for image in page.all("img") if (image["alt"] or "") == "Image labelled ants, like bees"]
    assert len(doubtful) == shown


def test_with_no_doubtful_label_it_says_so_and_sends_nobody_to_look(tmp_path: Path) -> None:
    text = rendered(leave(tmp_path)).text
    assert "Labels to look at No label looks wrong." in text
    assert "headstart review" not in text
    hard = rendered(left(tmp_path / "hard", [doubt("ants/1.jpg")], expected=[0.2, 0, 1.8])).text
    assert "1 label is doubtful; only a look can tell whether it is wrong." in hard
    assert "wrong ones harm" not in hard


def test_what_to_do_next_names_a_class_to_photograph_and_a_pair(tmp_path: Path) -> None:
    paths = leave(tmp_path, ["ants", "bees"], error=0.2)
    found = findings.gather(findings.Places(**paths))
    weakest = min(found.metrics["test"]["per_class"].items(), key=lambda item: item[1]["recall"])[0]
    said = following.following(found)
    assert said[0].startswith(f"Photograph more of {weakest}: ")
    assert said[0].endswith("the least of all classes, and more photos would help.")
    assert said[1].startswith("Look at ")
    summary = json.loads((paths["head"] / "summary.json").read_text())
    summary["learning_curve"]["expected"][1]["more_interval"] = [0.0, 0.001]
    dump(paths["head"] / "summary.json", summary)
    assert not any(one.startswith("Photograph") for one in following.following(findings.gather(findings.Places(**paths))))


def test_no_sentence_shows_a_backquote(tmp_path: Path) -> None:
    paths = left(tmp_path, [doubt("ants/1.jpg")])
    changed(
        paths["metrics"], limits={"answered": 0.9, "error": 0.01, "false_alarms": 0.05}, caveats=["Look with `headstart review` <now>."]
    )
    text = pages.render(findings.gather(findings.Places(**paths)), mistakes=0)
    assert "`" not in Page(text).text
    assert "Look with <code>headstart review</code> &lt;now&gt;." in text


@pytest.mark.parametrize(
    ("sentence", "html"),
    [
        ("plain & simple", "plain &amp; simple"),
        ("`a<b` and `c`", "<code>a&lt;b</code> and <code>c</code>"),
        ("one ` alone", "one ` alone"),
        ("", ""),
    ],
)
def test_what_is_between_backquotes_is_code(sentence: str, html: str) -> None:
    assert str(coded.coded(sentence)) == html
