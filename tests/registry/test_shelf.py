"""headstart.registry: what is kept, that a kill at any moment leaves a model that stands, and the records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.base import weights
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.registry import shelf
from headstart.registry.shelf import Model

TRANSFORM = {"input_size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "crop": 1.0}
SEEN = pd.DataFrame({"sha256": ["a" * 64, "b" * 64], "split": ["train", "validation"], "answer": [None, "ant"]})
HERE = Path("registry")


def card(**other: Any) -> dict[str, Any]:
    known = {
        "library": "timm",
        "architecture": "test_resnet",
        "weights_sha256": "0" * 64,
        "classes": ["ant", "bee"],
        "transform": TRANSFORM,
    }
    return {**known, **other}


def model(number: int = 0, folder: Path = Path("models/final"), **other: Any) -> Model:
    """A model folder whose weights are a number."""
    folder.mkdir(parents=True, exist_ok=True)
    weights.write(folder / cards.WEIGHTS, {"bias": np.array([number], np.float32)})
    (folder / cards.CARD).write_text(json.dumps(card(**other)))
    return Model.read(folder)


def store(number: int) -> dict[str, Any]:
    """Promote the model of a number; its entry."""
    made = model(number)
    entry = {"model": shelf.name(HERE, f"{number}" * 64), "sha256": made.sha256}
    shelf.store(HERE, made, entry, SEEN)
    return entry


def decisions() -> list[Any]:
    path = HERE / shelf.DECISIONS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def leftovers() -> list[Path]:
    return list(HERE.rglob(".*"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_stored_stands_and_what_stood_is_kept() -> None:
    assert shelf.current(HERE) is None
    for number in (1, 2):
        entry = store(number)
        stands = shelf.current(HERE)
        assert stands is not None
        assert stands.folder.name == entry["model"] == f"000{number}-{str(number) * 12}"
        assert stands.sha256 == entry["sha256"] == Model.read(HERE / "model").sha256
        assert json.loads((HERE / "model/promotion.json").read_text()) == entry
        assert pd.read_parquet(HERE / "model/images.parquet").astype(object).where(SEEN.notna(), None).equals(SEEN.astype(object))
    assert [entry["model"] for entry in decisions()] == [path.name for path in sorted((HERE / "history").iterdir())]
    assert Model.read(HERE / "history/0001-111111111111").sha256 == model(1).sha256
    assert leftovers() == []


def test_the_copy_is_its_own_and_the_folder_can_be_moved(tmp_path: Path) -> None:
    store(1)
    weights.write(Path("models/final") / cards.WEIGHTS, {"bias": np.zeros(3, np.float32)})
    HERE.rename("elsewhere")
    stands = shelf.current(Path("elsewhere"))
    assert stands is not None
    assert stands.sha256 == Model.read(Path("elsewhere/model")).sha256 == model(1).sha256


class Killed(BaseException):
    """Stands for a signal: no handler of errors catches it."""


def dies_at(at: int, patch: pytest.MonkeyPatch) -> None:
    """Have the call number `at` of those that change the disk raise."""
    calls = 0

    def deadly(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                raise Killed
            return real(*arguments, **options)

        return call

    for owner, names in (
        (Path, ("replace", "symlink_to", "write_text", "mkdir")),
        (shutil, ("copyfile",)),
        (pd.DataFrame, ("to_parquet",)),
    ):
        for name in names:
            patch.setattr(owner, name, deadly(getattr(owner, name)))


@pytest.mark.parametrize("first", [True, False])
def test_a_kill_at_any_write_leaves_a_model_that_stands(first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    for at in range(1, 100):
        old = [] if first else [store(1)["model"]]
        new, killed = model(2), False
        with monkeypatch.context() as patch:
            dies_at(at, patch)
            try:
                shelf.store(HERE, new, {"model": "0002-222222222222"}, SEEN)
            except Killed:
                killed = True
        stands = shelf.current(HERE)  # reads it whole
        seen.append(stands.folder.name if stands else None)
        shelf.tidy(HERE)
        assert [entry["model"] for entry in decisions()] == old + ["0002-222222222222"] * (seen[-1] == "0002-222222222222")
        assert leftovers() == []
        assert store(3)["sha256"] == Model.read(HERE / "model").sha256
        assert decisions()[-1]["model"] == (HERE / "model").readlink().name
        shutil.rmtree(HERE)
        if not killed:
            break
    before = None if first else "0001-111111111111"
    turn = seen.index("0002-222222222222")
    assert seen == [before] * turn + ["0002-222222222222"] * (len(seen) - turn)
    assert turn >= 10, "there was much to interrupt before the promotion counts"
    assert len(seen) - turn >= 3, "and after"


def test_what_a_killed_promote_left_goes_and_nothing_else() -> None:
    store(1)
    (HERE / ".keep").touch()
    (HERE / "history/.0002-aaaaaaaaaaaa.77").mkdir()
    (HERE / "history/.0002-aaaaaaaaaaaa.77/model.safetensors").touch()
    (HERE / ".history.jsonl.77").touch()
    (HERE / ".model.77").symlink_to("history/0002-aaaaaaaaaaaa", target_is_directory=True)
    shelf.tidy(HERE)
    assert leftovers() == [HERE / ".keep"]
    assert shelf.current(HERE)
    assert len(decisions()) == 1


def test_numbers_go_on_where_folders_or_lines_are_gone() -> None:
    store(1)
    (HERE / "history/0007-bbbbbbbbbbbb").mkdir()
    assert shelf.name(HERE, "c" * 64) == "0008-cccccccccccc"
    shelf.record(HERE, {"model": "0011-dddddddddddd"})
    shelf.record(HERE, {"model": None})
    assert shelf.name(HERE, "c" * 64) == "0012-cccccccccccc"


def test_a_model_that_stands_but_is_not_here_is_named() -> None:
    store(1)
    (HERE / "model/model.safetensors").unlink()
    with pytest.raises(HeadstartError, match=r"the current model, registry/history/0001-1+, lacks model\.safetensors$"):
        shelf.current(HERE)
    (HERE / "history").rename("away")
    with pytest.raises(HeadstartError, match=r"lacks model\.safetensors and card\.json$"):
        shelf.current(HERE)


def test_what_promote_did_not_make_is_left_alone() -> None:
    model(1, HERE / "model")
    with pytest.raises(HeadstartError, match=r"registry/model is no link that `headstart promote` made"):
        shelf.tidy(HERE)


def test_a_damaged_record_is_named() -> None:
    shelf.record(HERE, {"model": None})
    with (HERE / "history.jsonl").open("a") as file:
        file.write("<<<<<<< HEAD\n")
    with pytest.raises(HeadstartError, match=r"registry/history\.jsonl is damaged"):
        shelf.name(HERE, "c" * 64)


def ranking(winner: str | None, regret: float, race: bool = True) -> Path:
    """A reports/ranking.json in which `a` leads those who raced."""
    rows = [{"name": name, "status": "skipped" if name == "c" else "ranked"} for name in ("x", "a", "b", "c")]
    report = {"candidates": rows, "race": {"kendall_tau": 1.0, "regret": regret, "order": ["b", "a"]}}
    if winner:
        report["race"]["winner"] = winner  # type: ignore[call-overload]
    path = Path("ranking.json")
    path.write_text(json.dumps(report if race else {"candidates": rows}))
    return path


def test_each_run_s_race_is_noted_once() -> None:
    assert shelf.foretold(HERE) == (0, 0)
    for winner, regret, data in (
        ("a", 0.0, "1"),
        ("b", 0.02, "1"),
        ("b", 0.02, "1"),
        ("b", 0.02, "2"),
        (None, 0.0, "3"),
        (None, 0.01, "3"),
    ):
        shelf.record_ranking(HERE, ranking(winner, regret), data * 64)
    lines = [json.loads(line) for line in (HERE / "rankings.jsonl").read_text().splitlines()]
    assert len(lines) == 5
    assert lines[1] | {"ranking_sha256": ""} == {
        **{"data_sha256": "1" * 64, "ranking_sha256": "", "candidates": ["a", "b"]},
        **{"winner": "b", "kendall_tau": 1.0, "regret": 0.02},
    }
    assert shelf.foretold(HERE) == (2, 5)
    assert shelf.foretold(HERE, last=3) == (1, 3)


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"race": null}', '{"race": {"regret": 0}}', '{"race": {"kendall_tau": 1, "regret": 0}}']
)
def test_a_run_without_a_race_is_passed_over(content: str | None) -> None:
    path = Path("ranking.json")
    if content is not None:
        path.write_text(content)
    shelf.record_ranking(HERE, path, "1" * 64)
    shelf.record_ranking(HERE, ranking("a", 0.0, race=False), "1" * 64)
    assert not HERE.exists()
