"""flows.reviewing.answers: order, answers, undo, what the first answers say, and the way through an import and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.reviewing import answers
from flows.reviewing.answers import Review
from headstart.data import provenance
from headstart.importing import datasets, reviewed
from headstart.importing.options import Options
from headstart.machinery.errors import HeadstartError
from tests import toy

CLASSES = ["ant", "bee", "cat"]


def doubt(path: str, label: str = "ant", suggested: str = "bee", block: int = 0, origin: str = "") -> Any:
    near = [{"path": path, "label": suggested}]
    figures = {"probability": 0.1, "suggested_probability": 0.8, "wrong": 0.9, "block": block, "neighbours": near}
    return {"path": path, "origin": origin or path, "split": "train", "label": label, "suggested": suggested, **figures}


def review(folder: Path, doubts: list[Any]) -> Review:
    return Review(answers.in_order(doubts), CLASSES, folder / "reviewed.csv", sum(not one["block"] for one in doubts))


def test_blocks_come_first_then_some_at_random_then_the_most_doubtful() -> None:
    doubts = [doubt(f"ant/{n}.png") for n in range(50)]
    blocks = [doubt(f"bee/{n}.png", block=1) for n in range(3)]
    order = [one["path"] for one in answers.in_order([*blocks, *doubts])]
    assert order[:3] == [one["path"] for one in blocks]
    drawn, rest = order[3 : 3 + answers.DRAWN], order[3 + answers.DRAWN :]
    assert drawn != sorted(drawn, key=lambda path: int(path[4:-4]))
    assert max(int(path[4:-4]) for path in drawn) > 30  # not the most doubtful ones alone
    assert rest == [one["path"] for one in doubts if one["path"] not in drawn]
    assert order == [one["path"] for one in answers.in_order([*blocks, *doubts])]


def test_every_answer_is_in_the_file_at_once_and_undo_takes_the_last_back(tmp_path: Path) -> None:
    made = review(tmp_path, [doubt("ant/1.png"), doubt("ant/2.png", origin="scans/2.png")])
    made.answer("ant/1.png", "change", "bee")
    made.answer("ant/2.png", "drop", "")
    written = reviewed.read(made.file)
    assert [tuple(row) for row in written] == [("ant/1.png", "ant", "change", "bee"), ("scans/2.png", "ant", "drop", "")]
    assert made.state()["answers"] == {"ant/1.png": ["change", "bee"], "ant/2.png": ["drop", ""]}
    assert made.changes == 2
    made.answer("ant/1.png", "keep", "ant")
    made.undo()
    assert reviewed.read(made.file) == written[1:] + written[:1]
    made.undo()
    made.undo()
    made.undo()
    assert reviewed.read(made.file) == []
    assert not made.state()["can_undo"]


@pytest.mark.parametrize(
    ("path", "said", "label"),
    [
        ("x.png", "keep", "ant"),
        ("ant/1.png", "keep", "bee"),
        ("ant/1.png", "change", "ant"),
        ("ant/1.png", "change", "dog"),
        ("ant/1.png", "drop", "ant"),
    ],
)
def test_what_was_not_asked_is_no_answer(path: str, said: Any, label: str, tmp_path: Path) -> None:
    made = review(tmp_path, [doubt("ant/1.png")])
    with pytest.raises(HeadstartError, match="is no answer"):
        made.answer(path, said, label)
    assert not made.file.exists()


def test_what_the_first_answers_say_of_the_list(tmp_path: Path) -> None:
    made = review(tmp_path, [doubt(f"ant/{n}.png") for n in range(60)])
    for place, one in enumerate(made.doubts[: answers.FEWEST - 1]):
        made.answer(one["path"], "change" if place else "keep", "bee" if place else "ant")
        assert made.estimate() == ""
    made.answer(made.doubts[4]["path"], "change", "bee")
    assert made.estimate() == "4 of 5 drawn at random were wrong: of the 60 single labels about 80.0% (95% interval 28.4% to 99.5%)."
    for one in made.doubts[answers.DRAWN :]:  # what comes after is no random part of the list
        made.answer(one["path"], "keep", "ant")
    assert made.estimate().startswith("4 of 5 drawn at random")
    for one in made.doubts[5 : answers.DRAWN]:
        made.answer(one["path"], "keep", "ant")
    assert made.estimate() == "4 of 60 single labels were wrong."


def test_who_cannot_tell_says_nothing_of_the_list(tmp_path: Path) -> None:
    made = review(tmp_path, [doubt(f"ant/{n}.png") for n in range(60)])
    for one in made.doubts[:10]:
        made.answer(one["path"], "unsure", "ant")
    assert made.estimate() == ""
    assert len(made.state()["answers"]) == 10
    assert made.changes == 0


def test_what_was_corrected_goes_through_an_import_and_can_be_corrected_again(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", CLASSES, per_class=3)
    made = review(tmp_path, [doubt("ant/0000.png"), doubt("cat/0001.png", "cat", "ant")])
    made.answer("ant/0000.png", "change", "bee")
    made.answer("cat/0001.png", "keep", "cat")

    def imported(name: str) -> dict[str, str]:
        how = Options(reviewed=str(made.file))
        datasets.import_dataset(str(tmp_path / "in"), tmp_path / name, how=how, current=tmp_path / "data/images")
        origins = provenance.read(tmp_path / name)
        return {
            origins.get(path, path): path
            for file in (tmp_path / name).rglob("*.png")
            if (path := file.relative_to(tmp_path / name).as_posix())
        }

    first = imported("first")
    assert first["ant/0000.png"] == "bee/0000_2.png"
    # The next run doubts the corrected label; the file is the same one, and its answer is known.
    rows = {row.origin: row for row in reviewed.read(made.file)}
    again = Review(
        [doubt("bee/0000_2.png", "bee", "cat", origin="ant/0000.png"), doubt("cat/0001.png", "cat")], CLASSES, made.file, 2, rows
    )
    assert again.state()["answers"] == {"bee/0000_2.png": ["change", "bee"], "cat/0001.png": ["keep", "cat"]}
    assert again.changes == 0
    again.answer("bee/0000_2.png", "change", "cat")
    assert ("ant/0000.png", "ant", "change", "cat") in [tuple(row) for row in reviewed.read(made.file)]
    assert again.changes == 1
    assert imported("second")["ant/0000.png"].startswith("cat/")
    again.answer("bee/0000_2.png", "change", "ant")  # it was right in the first place
    assert ("ant/0000.png", "ant", "keep", "ant") in [tuple(row) for row in reviewed.read(made.file)]
    assert imported("third")["ant/0000.png"] == "ant/0000.png"


def test_the_list_of_the_last_run_is_read_and_earlier_answers_count(tmp_path: Path) -> None:
    toy.images(tmp_path / "images", ("ant", "bee"), per_class=2)
    labels = tmp_path / "labels.json"
    with pytest.raises(HeadstartError, match="make one with `headstart run`"):
        answers.load(tmp_path / "images", tmp_path / "reviewed.csv", labels)
    told = {"images": 4, "classes": ["ant", "bee"], "singles": 2, "expected": [1, 0, 2], "blocks": []}
    labels.write_text(json.dumps({**told, "labels": [doubt("ant/0000.png"), doubt("ant/gone.png")]}))
    reviewed.write(tmp_path / "reviewed.csv", [reviewed.Reviewed("ant/0000.png", "ant", "keep", "ant")])
    made = answers.load(tmp_path / "images", tmp_path / "reviewed.csv", labels)
    assert [one["path"] for one in made.doubts] == ["ant/0000.png"]
    assert made.state()["answers"] == {"ant/0000.png": ["keep", "ant"]}
    labels.write_text(json.dumps({**told, "labels": [doubt("ant/gone.png")]}))
    with pytest.raises(HeadstartError, match="any more; make the list anew"):
        answers.load(tmp_path / "images", tmp_path / "reviewed.csv", labels)
