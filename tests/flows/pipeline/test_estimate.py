"""How long a run will take: what is up to date, what the rest costs, and what earlier runs have taught."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.cli import main
from flows.pipeline import costs, estimate, plan, workload
from flows.projects import images
from flows.repository import dvc
from headstart import params
from headstart.data.settings import no_labels, partly, two_domains
from headstart.evaluation import occlusion
from headstart.grouping import grouping
from headstart.params import STAGES
from headstart.params.presets import PRESETS
from headstart.training import augmenting, budget
from tests import ROOT

CELLS = workload.Task(600, 384, 96, 120, 2, 300, [0.384, 0.599, 0.858], 0.599, 240)


@pytest.fixture
def said() -> list[str]:
    return []


def begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a project with the graph and parameters of the checkout, 50 photographs and no result, on a machine of pace 1."""
    monkeypatch.chdir(folder)
    for name in ("dvc.yaml", "params.yaml"):
        (folder / name).write_text((ROOT / name).read_text())
    for number in range(50):
        path = images.IMAGES / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (120 + number, 100)).save(path)
    monkeypatch.setattr(costs, "speed", lambda: 1.0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The graph and parameters of the checkout, with some photographs and no result."""
    begun(tmp_path, monkeypatch)
    monkeypatch.setattr("shutil.which", lambda name: None)
    return tmp_path


def locked() -> dict[str, dict[str, Any]]:
    """A dvc.lock in which everything is up to date."""
    values = json.loads(params.load().model_dump_json())
    graph = estimate._graph()
    for entry in graph.values():
        named = entry["params"]
        assert isinstance(named, list)
        entry["params"] = {"params.yaml": {name: estimate._value(values, name) for name in named}}  # type: ignore[index]
        entry["deps"] = [{"path": path, "md5": "0" * 32 + ".dir"} for path in entry["deps"]]  # type: ignore[index,attr-defined]
    return graph  # type: ignore[return-value]


def record(version: str) -> None:
    images.RECORD.write_text(f"outs:\n- md5: {version}.dir\n  path: images\n")


def test_what_changed_and_what_follows_from_it_will_run(project: Path) -> None:
    graph = estimate._graph()
    assert estimate.stale(graph, {}) == list(STAGES)
    record("0" * 32)
    lock = locked()
    assert estimate.stale(estimate._graph(), lock) == []
    params.write({"fine_tune.epochs": 3})
    assert estimate.stale(estimate._graph(), lock) == ["fine_tune", "verdict", "evaluate", "adapt", "compare_batches", "report"]
    params.write({"fine_tune.epochs": 10, "verdict.seeds": 2})
    assert estimate.stale(estimate._graph(), lock) == ["baseline", "verdict", "evaluate", "adapt", "compare_batches", "report"]
    params.write({"verdict.seeds": "auto"})
    del lock["report"]
    assert estimate.stale(estimate._graph(), lock) == ["report"]
    record("1" * 32)
    assert estimate.stale(estimate._graph(), lock) == list(STAGES)


def test_what_lies_before_a_run(project: Path) -> None:
    found = workload.task(params.load())
    assert (found.n, found.train, found.validation, found.test, found.classes, found.side) == (50, 32, 8, 10, 2, 100)
    assert (found.gflops, found.size) == ([0.384, 0.599, 0.858], 240)
    params.write({"select_source.candidates": ["timm:resnet18"]})
    with pytest.raises(LookupError):
        workload.task(params.load())
    Path("reports").mkdir()
    row = {"name": "timm:resnet18", "gflops": 1.8, "input_size": 224}
    Path("reports/ranking.json").write_text(json.dumps({"chosen": "timm:resnet18", "candidates": [row, {"name": "x", "gflops": None}]}))
    assert workload.task(params.load()).chosen == 1.8
    assert workload.settled(dataclasses.replace(workload.task(params.load()), chosen=0.1, gflops=[0.1]), params.load()) == workload.task(
        params.load()
    )
    for split, label in (("train", "b"), ("test", "a")):
        Path("data/images", split).mkdir()
        Path("data/images", label).rename(Path("data/images", split, label))
    found = workload.task(params.load())
    assert (found.test, found.train, found.validation) == (25, 20, 5)


def test_images_without_labels_beside_labelled_ones(project: Path) -> None:
    for number in range(7):
        path = images.IMAGES / partly.FOLDER / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (100, 100)).save(path)
    found = workload.task(params.load())
    assert (found.n, found.classes, found.without, found.grouped) == (50, 2, 7, False)
    more, less = costs.expected(found, params.load(), 1.0), costs.expected(dataclasses.replace(found, without=0), params.load(), 1.0)
    assert {name for name in more if more[name] > less[name]} == {"index_images", "train_head"}


def test_a_second_domain(project: Path) -> None:
    for number in range(7):
        path = images.IMAGES / two_domains.FOLDER / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (100, 100)).save(path)
    found, block = workload.task(params.load()), params.load()
    assert (found.n, found.without, found.second) == (50, 0, 7)
    more, less = costs.expected(found, block, 1.0), costs.expected(dataclasses.replace(found, second=0), block, 1.0)
    assert {name for name in more if more[name] > less[name]} == {"index_images", "adapt"}
    never = params.check({**block.model_dump(), "adapt": {"when": "never"}})
    assert costs.expected(found, never, 1.0)["adapt"] == less["adapt"]


def test_no_labels_at_all(project: Path) -> None:
    no_labels.mark(images.IMAGES)
    found = workload.task(params.load())
    assert (found.n, found.classes, found.grouped) == (50, 0, True)
    seconds = costs.expected(found, params.load(), 1.0)
    assert [name for name, value in seconds.items() if value > 0.75] == list(costs.GROUPED)
    assert {one.stage for one in costs.passes(found, params.load())} == {"index_images", "group_images"}
    assert costs.LARGEST == grouping.LARGEST
    many, block = dataclasses.replace(found, n=100_000), params.load()
    most = costs.grouping(many, block)
    assert costs.grouping(found, block) < most == costs.grouping(dataclasses.replace(found, n=200_000), block), "a sample finds the groups"
    assert most < 600
    said: list[str] = []
    estimate.tell(said.append, force=True)
    assert said[0].startswith("12 stages, about ")


def test_less_work_costs_less() -> None:
    def total(**values: Any) -> float:
        changed = params.Params().model_dump()
        for name, value in values.items():
            *blocks, last = name.split(".")
            block = changed
            for key in blocks:
                block = block[key]
            block[last] = value
        return sum(costs.expected(CELLS, params.check(changed), 1.0).values())

    usual = total()
    assert sum(costs.expected(CELLS, params.Params(), 2.0).values()) == pytest.approx(2 * usual)
    views = [costs.expected(CELLS, params.check({"fine_tune": {"views": each}}), 1.0)["fine_tune"] for each in (2, "auto", 3, "fresh")]
    assert views[0] < views[1] == views[2] < views[3], "the frozen layers run in each epoch"
    assert total(**PRESETS["fast"]) < usual / 2 < usual < total(**PRESETS["best"])
    for values in (
        {"baseline.epochs": 0},
        {"select_source.race.sources": 1},
        {"fine_tune.strategy": "head_only"},
        {"fine_tune.epochs": 2},
        {"verdict.refit": False},
    ):
        assert total(**values) < usual


def test_what_may_come_beside_is_told_until_it_is_known(project: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether most of the network is trained depends on what the frozen head has wrong."""
    monkeypatch.setattr(workload, "task", lambda block: CELLS)
    plain = estimate.tell(said.append).plain
    assert said[0].endswith("if most of the network is trained")
    estimate.note(plain, [{"stage": "fine_tune", "outcome": "ran", "seconds": 100.0}])
    estimate.tell(said.append)
    assert "is trained" not in said[1]
    block = params.load()
    once, twice = costs.whole(CELLS, block, 1.0), costs.whole(CELLS, block, 2.0)
    assert twice == {name: 2 * seconds for name, seconds in once.items()}
    assert 0 < once["fine_tune"] < once["verdict"], "what ships is trained again, on more images"
    few = dataclasses.replace(CELLS, train=budget.FEWEST_WRONG - 4, validation=3)
    many = dataclasses.replace(CELLS, train=100_000)
    assert (costs.whole(few, block, 1.0), costs.whole(many, block, 1.0)) == ({}, {})


def test_the_strategy_counts() -> None:
    trained, there = [], []
    for strategy in ("head_only", "last_stages", "gradual", "full"):
        block = params.Params()
        block = block.model_copy(update={"fine_tune": block.fine_tune.model_copy(update={"strategy": strategy})})
        trained.append(costs.training(CELLS, block))
        there.append(plan._on_cards(CELLS, block, plan.Cards(1))["fine_tune"])
    assert trained[0] == 0 < trained[1] < trained[2] < trained[3]
    assert there[0] < there[1] < there[2]


def test_what_is_left_is_said_when_the_source_and_the_depth_are_settled(
    project: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smallest = dataclasses.replace(CELLS, chosen=CELLS.gflops[0], size=224)
    monkeypatch.setattr(workload, "task", lambda block: CELLS)
    begun = estimate.tell(said.append)
    ran: list[dvc.Outcome] = [{"stage": "index_images", "outcome": "ran", "seconds": 2 * begun.plain["index_images"]}]
    assert estimate.left(said.append, begun, ran) == begun
    ran += [{"stage": "select_source", "outcome": "ran", "seconds": 2 * begun.plain["select_source"]}]
    monkeypatch.setattr(workload, "settled", lambda work, block: smallest)
    settled = estimate.left(said.append, begun, ran)
    after = [name for name in STAGES if name not in ("index_images", "select_source")]
    assert sum(settled.plain.values()) < sum(begun.plain.values())
    rest = sum(2 * settled.plain[name] for name in after)
    longer = estimate.about(rest + sum(costs.whole(smallest, params.load(), 2.0).values()))
    assert said[1:] == [f"{estimate.about(rest)} left, or {longer} if most of the network is trained"], "at the pace of this run"
    trains = costs.training(smallest, params.load())
    ran += [{"stage": "fine_tune", "outcome": "ran", "seconds": 2 * settled.plain["fine_tune"] + 60.0}]
    assert estimate.left(said.append, settled, ran) == settled
    rest = sum(2 * settled.plain[name] for name in after if name != "fine_tune") + costs.again(smallest, params.load(), 30.0)
    assert said[2:] == [f"{estimate.about(rest)} left"], "what ships is trained again, as long as it was"
    assert 0 < trains < settled.plain["fine_tune"]
    estimate.left(said.append, settled, [{**ran[-1], "outcome": "cached"}])
    monkeypatch.setattr(workload, "settled", lambda work, block: 1 / 0)
    assert estimate.left(said.append, settled, ran) == settled
    assert len(said) == 3


def test_what_is_counted_is_what_the_stages_do() -> None:
    """Importing it instead would bring PyTorch to the start of every run."""
    covered = (occlusion.CELLS - occlusion.COVER + 1) ** 2
    assert (augmenting.MOST, covered) == (costs.LOOKED_AT, costs.COVERED)


def test_the_machine_has_a_speed() -> None:
    assert 0.05 < costs.speed() < 50


def test_it_is_said_and_corrected_by_what_the_last_run_took(project: Path, said: list[str]) -> None:
    plain = estimate.tell(said.append).plain
    assert set(plain) == set(STAGES)
    assert said[0].partition(", or ")[0] == f"12 stages, {estimate.about(sum(plain.values()))}"
    twice = [{"stage": name, "outcome": "ran", "seconds": 2 * plain[name]} for name in STAGES]
    estimate.note(plain, twice)  # type: ignore[arg-type]
    estimate.note(plain, [{"stage": "report", "outcome": "cached", "seconds": 0.1}])
    estimate.tell(said.append)
    assert said[-1] == f"12 stages, {estimate.about(2 * sum(plain.values()))}"


def test_a_pace_measured_in_a_busy_moment_moves_no_stage_that_ran_before(
    project: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = estimate.tell(said.append).plain
    estimate.note(plain, [{"stage": name, "outcome": "ran", "seconds": plain[name]} for name in STAGES if name != "report"])  # type: ignore[arg-type]
    monkeypatch.setattr(costs, "speed", lambda: 40.0)
    assert estimate.tell(said.append).plain == plain
    assert said[1] == f"12 stages, {estimate.about(sum(plain.values()) + 39 * plain['report'])}"


def test_what_is_up_to_date_is_not_counted(project: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    record("0" * 32)
    lock, real = locked(), estimate._graph
    monkeypatch.setattr(estimate, "_graph", lambda path=Path("dvc.yaml"): lock if path.name == "dvc.lock" else real(path))
    plain = estimate.tell(said.append).plain
    estimate.tell(said.append, force=True)
    del lock["evaluate"]
    estimate.tell(said.append)
    assert [each.partition(", or ")[0] for each in said] == [
        "12 stages, 12 of them up to date",
        f"12 stages, {estimate.about(sum(plain.values()))}",
        f"12 stages, 8 of them up to date, {estimate.about(plain['evaluate'] + plain['adapt'] + plain['compare_batches'] + plain['report'])}",
    ]


def test_the_stages_fit_a_screen(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".dvc").mkdir()
    estimate.note({}, [{"stage": "fine_tune", "outcome": "ran", "seconds": 94.0}])
    assert main.main(["stages"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["STAGE", *STAGES]
    assert max(map(len, lines)) <= 80
    assert lines[5].split() == ["fine_tune", "train_head", "will", "run", "1", "min", "34", "s"]
    assert "fine_tune, baseline" in lines[7], "and not the five others that it reads from, which these follow"


def test_without_figures_it_says_so_until_each_stage_ran_once(project: Path, said: list[str]) -> None:
    params.write({"select_source.candidates": ["timm:convnext_*"]})
    assert estimate.tell(said.append).plain == {}
    estimate.note({}, [{"stage": name, "outcome": "ran", "seconds": 20.0} for name in STAGES])
    estimate.tell(said.append)
    assert said == ["12 stages; how long they take is not known before they ran once", "12 stages, about 4 minutes"]


def test_files_of_another_shape_stop_no_run(project: Path, said: list[str]) -> None:
    for content in ("stages: {report: 3}", "stages: [", "7"):
        Path("dvc.lock").write_text(content)
        assert estimate.tell(said.append).plain
        assert said[-1].startswith("warning: how long this run takes could not be estimated")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "5 seconds"),
        (42, "40 seconds"),
        (89, "90 seconds"),
        (110, "2 minutes"),
        (140, "2.5 minutes"),
        (250, "4 minutes"),
        (9000, "2 hours"),
    ],
)
def test_words(seconds: float, words: str) -> None:
    assert estimate.about(seconds) == f"about {words}"
