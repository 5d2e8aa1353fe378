"""What `headstart run --plan` says: images, passes, hours, disk, and that it starts nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from flows.cli import main
from flows.pipeline import costs, plan, workload
from flows.projects import images
from headstart import params
from headstart.machinery.errors import DataError, ParamsError
from tests.flows.pipeline.test_estimate import CELLS, begun


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with 50 photographs that never ran."""
    begun(tmp_path, monkeypatch)
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def cells(text: str, stage: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(stage))
    return [cell for cell in line.split("  ") if cell.strip()]


def test_it_says_all_of_it_and_starts_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(project.rglob("*"))
    assert main.main(["run", "--plan"]) == 0
    said = capsys.readouterr().out
    assert sorted(project.rglob("*")) == before
    lines = said.splitlines()
    assert lines[0].startswith("50 images of ")
    assert lines[0].endswith("in 2 classes: 32 to train, 8 to validate, 10 to test")
    assert [line.split()[0] for line in lines[2 : 4 + len(params.STAGES)]] == ["STAGE", *params.STAGES, "all"]
    assert cells(said, "index_images")[1].strip() == "50"
    assert "DVC's cache" in said
    assert "free on this disk" in said
    assert max(map(len, lines)) <= 150


def test_the_sums_are_those_of_the_stages(project: Path) -> None:
    block = params.load()
    each = costs.passes(workload.task(block), block)
    said = plan.told({})
    assert cells(said, "all")[1].strip() == f"{sum(round(one.images) for one in each):,}"
    without = plan.told({"baseline.epochs": 0})
    assert cells(without, "baseline")[1].strip() == "-"


def test_ten_million_images_like_these(project: Path) -> None:
    said = plan.told({}, count=10_000_000, cards=plan.Cards(16))
    assert said.startswith("10,000,000 images of ")
    assert cells(said, "index_images")[1].strip() == "10,000,000"
    assert "ON 16 CARDS" in said
    assert "executor: ray" in said


def test_twice_the_cards_take_half_the_time_of_passes() -> None:
    block, large = params.Params(), dataclasses.replace(CELLS, n=10**7, train=64 * 10**5, validation=16 * 10**5, test=2 * 10**6)
    one, two = (plan._on_cards(large, block, plan.Cards(number)) for number in (16, 32))
    fixed = costs.fixed(large, block, 2 / 16)
    for name in ("index_images", "evaluate"):
        assert two[name] - fixed[name] == pytest.approx((one[name] - fixed[name]) / 2)
    training = [sum(pass_.images for pass_ in costs.passes(large, block) if pass_.kind == costs.TRAINED and pass_.stage == "fine_tune")]
    assert one["fine_tune"] > training[0] / (8 * plan.MEASURED[costs.TRAINED]), "training is on one machine"
    faster = plan._on_cards(large, block, plan.Cards(16, 2 * plan.MEASURED[costs.FROZEN]))
    assert faster["evaluate"] - fixed["evaluate"] == pytest.approx((one["evaluate"] - fixed["evaluate"]) / 2)


def test_every_image_has_its_features_computed_once() -> None:
    """Beyond those that sources are ranked on, the head's own pass."""
    large = dataclasses.replace(CELLS, train=50_000)
    block = params.Params()
    seen = sum(one.images for one in costs.passes(large, block) if one.stage == "train_head")
    assert seen == 50_000 - block.select_source.max_images + large.validation


@pytest.mark.parametrize("options", [["--cards", "2"], ["--rate", "5"], ["--images", "7"]])
def test_options_of_a_plan_go_with_it(project: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["run", *options]) == 2
    assert f"{options[0]} goes with --plan" in capsys.readouterr().err


def test_what_makes_no_plan_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParamsError, match="--rate goes with --cards"):
        plan.cards(None, 3.0)
    with pytest.raises(ParamsError, match="whole number from 1"):
        plan.cards(0, None)
    with pytest.raises(DataError, match="before it was ranked once"):
        plan.told({"select_source.candidates": ["timm:resnet18"]})
    monkeypatch.setattr(images, "IMAGES", Path("nowhere"))
    with pytest.raises(DataError, match="headstart import PATH"):
        plan.told({})
