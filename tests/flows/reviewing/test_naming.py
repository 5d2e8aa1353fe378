"""Groups are named, merged, split; the names become labels, and images drawn at random say how many are right."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from flows.reviewing import naming
from flows.reviewing.naming import Naming
from headstart.importing import labels_file
from headstart.machinery.errors import HeadstartError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two groups of 12 images; the first has three parts of four, the second two of six; the last image is unlike all others."""
    rows = [(f"{n:02d}.png", 1, n // 4 + 1, False) for n in range(12)] + [
        (f"{n:02d}.png", 2, (n - 12) // 6 + 1, n == 23) for n in range(12, 24)
    ]
    with (tmp_path / "groups.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "group", "part", "distance", "outlier", "x", "y"))
        table.writerows((path, group, part, 0.1, outlier, "", "") for path, group, part, outlier in rows)
    groups = [
        {"group": 1, "images": 12, "medoids": ["00.png", "04.png", "08.png"]},
        {"group": 2, "images": 12, "medoids": ["12.png", "18.png"]},
    ]
    (tmp_path / "groups.json").write_text(json.dumps({"images": 24, "groups": groups}))
    (tmp_path / "images").mkdir()
    for path, *_ in rows:
        (tmp_path / "images" / path).write_bytes(b"")
    return tmp_path


def load(project: Path) -> Naming:
    return naming.load(
        project / "images",
        "my photos",
        file=project / "named.csv",
        kept=project / "names.csv",
        groups=project / "groups.json",
        table=project / "groups.csv",
    )


def name(made: Naming, group: int, *names: str) -> None:
    made.take({"group": group, "names": list(names)})


def test_one_name_is_that_of_all_its_parts(project: Path) -> None:
    made = load(project)
    assert [[part["images"] for part in group["parts"]] for group in made.groups] == [[4, 4, 4], [6, 5]]
    name(made, 1, "ant", "ant", "ant")
    assert set(made.labels().values()) == {"ant"}
    assert len(made.labels()) == 12
    name(made, 2, " bee ", "bee")
    assert len(made.labels()) == 23, "an image unlike all others gets no name"
    assert "2 of 2 groups named, 2 names: 23 images" in made.ended()
    assert f"headstart import 'my photos' --labels {project / 'named.csv'} --unlabelled && headstart run" in made.ended()


def test_the_labels_are_a_table_that_an_import_reads(project: Path) -> None:
    made = load(project)
    name(made, 1, "ant", "ant", "ant")
    name(made, 2, "bee", "")
    read = labels_file.read(project / "named.csv", project / "images", shown="images")
    assert {item.path: item.label for item in read.items} == made.labels()
    assert "18.png" not in made.labels()


def test_names_of_their_own_split_a_group_and_the_same_one_merges_two(project: Path) -> None:
    made = load(project)
    name(made, 1, "ant", "bee", "ant")
    name(made, 2, "bee", "bee")
    assert [made.labels()[path] for path in ("01.png", "05.png", "09.png", "13.png")] == ["ant", "bee", "ant", "bee"]
    assert made.names() == ["ant", "bee"]


def test_answers_are_kept_and_taken_back(project: Path) -> None:
    made = load(project)
    name(made, 1, "ant", "ant", "ant")
    name(made, 2, "bee", "bee")
    made.undo()
    assert made.names() == ["ant"]
    again = load(project)
    assert again.labels() == made.labels()
    assert not again.state()["can_undo"]
    again.undo()
    assert again.names() == ["ant"]


def test_images_drawn_at_random_say_how_many_names_fit(project: Path) -> None:
    made = load(project)
    assert made.checks() == []
    name(made, 1, "ant", "ant", "ant")
    name(made, 2, "bee", "bee")
    checks = made.checks()
    assert len(checks) == 18, "all but those that stand for a part, and the one unlike all others"
    assert load(project).drawn == made.drawn
    for number, one in enumerate(checks[:10]):
        made.take({"path": one["path"], "label": one["name"] if number else ""})
    assert "9 of 10 drawn at random have the right name" in made.estimate()
    assert "95% interval 55.5% to 99.7%" in made.estimate()
    assert checks[0]["path"] not in made.labels(), "it is none of the names"
    made.take({"path": checks[0]["path"], "label": None})
    assert made.checks()[0]["said"] is None


def test_what_was_said_of_an_image_is_its_label(project: Path) -> None:
    made = load(project)
    name(made, 1, "ant", "ant", "ant")
    name(made, 2, "bee", "bee")
    one = made.checks()[0]
    other = {"ant": "bee", "bee": "ant"}[one["name"]]
    made.take({"path": one["path"], "label": other})
    assert made.labels()[one["path"]] == other


@pytest.mark.parametrize(
    "content",
    [
        {"group": 3, "names": ["a"]},
        {"group": 1, "names": ["a"]},
        {"group": 1, "names": ["a", 3, "b"]},
        {"group": 1, "names": ["a/b", "", ""]},
        {"group": 1, "names": ["Ant", "ant", ""]},
        {"path": "00.png", "label": "ant"},
        {"path": "01.png", "label": "no name"},
        {},
    ],
)
def test_what_was_not_asked_changes_nothing(project: Path, content: dict[str, object]) -> None:
    made = load(project)
    with pytest.raises(HeadstartError):
        made.take(content)
    assert made.said == {}
    assert not (project / "named.csv").exists()


def test_only_its_images_can_be_seen(project: Path) -> None:
    made = load(project)
    assert {"00.png", "04.png"} <= made.known
    assert "../secret.png" not in made.known


def test_without_groups_there_is_nothing_to_name(project: Path) -> None:
    (project / "groups.json").write_text(json.dumps({"images": 0}))
    with pytest.raises(HeadstartError, match="there are no groups yet"):
        load(project)


def test_images_that_are_gone_are_told(project: Path) -> None:
    for path in (project / "images").iterdir():
        path.unlink()
    with pytest.raises(HeadstartError, match="any more; group them anew"):
        load(project)
