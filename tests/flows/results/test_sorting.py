"""flows.results.sorting: each photo gets a place of its own, whatever it is called."""

from __future__ import annotations

from pathlib import Path

from flows.results import sorting
from headstart.features.answered import Answer


def test_long_names_of_one_kind_get_a_number_that_fits(tmp_path: Path) -> None:
    names = [tmp_path / folder / f"{'x' * 251}.png" for folder in "abc"]
    for path in names:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    sorting.prepare(tmp_path / "sorted", names)
    places = [sorting.place(Answer(str(path), "cat", 0.9, ""), tmp_path / "sorted", copy=True) for path in names]
    assert [place.read_text() for place in places] == ["a", "b", "c"]
    assert places[0].name == names[0].name
    assert len({place.name for place in places}) == 3
