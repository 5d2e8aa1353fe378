"""The schema of params.yaml: what it refuses, how it says so, and that writing keeps the file otherwise as it was."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from headstart import params
from headstart.machinery.errors import ParamsError
from tests import ROOT

FILE = ROOT / "params.yaml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(FILE, tmp_path / "params.yaml"))


def test_the_committed_file_is_the_defaults() -> None:
    assert params.load(FILE) == params.Params()


def test_what_is_left_out_has_its_default(path: Path) -> None:
    path.write_text("fine_tune: {epochs: 3}\n")
    loaded = params.load(path)
    assert (loaded.fine_tune.epochs, loaded.fine_tune.views, loaded.seed) == (3, params.FineTune().views, 0)
    path.write_text("")
    assert params.load(path) == params.Params()


def test_all_problems_come_at_once(path: Path) -> None:
    path.write_text(
        "sead: 1\nfine_tune: {epoch: 2, rate: 7, strategy: best, views: many, augmentation: {flip: true}}\nevaluate: {bootstrap: 1}\n"
    )
    with pytest.raises(ParamsError) as caught:
        params.load(path)
    message = str(caught.value)
    assert int(message.partition(" problem(s)")[0].rpartition(" ")[2]) == len(message.splitlines()) - 1 >= 7
    assert "sead: unknown parameter; did you mean seed?" in message
    assert "fine_tune.epoch: unknown parameter; did you mean epochs? known here: strategy, depth, epochs" in message
    assert "fine_tune.rate: 7 is wrong: input should be less than or equal to 1" in message
    assert "'head_only', 'last_stages', 'gradual' or 'full'" in message
    assert message.count("fine_tune.views") == 1
    assert "  - fine_tune.views: 'many' is wrong: give a whole number from 1 to 64 or auto | fresh\n" in message
    assert "fine_tune.augmentation.flip: unknown parameter" in message
    assert "evaluate.bootstrap: 1 is wrong: input should be greater than or equal to 100" in message


@pytest.mark.parametrize("size", [31, 1025, "big", -1])
def test_the_input_size_has_bounds_too(size: object) -> None:
    with pytest.raises(ParamsError, match=r"select_source\.input_size"):
        params.check({"select_source": {"input_size": size}})


@pytest.mark.parametrize("name", ["views", "processes"])
def test_views_and_processes_are_a_number_or_auto(name: str) -> None:
    for value in (1, 64, "auto"):
        assert getattr(params.check({"fine_tune": {name: value}}).fine_tune, name) == value
    words = r"auto \| fresh" if name == "views" else "auto"
    for value in (0, 65, "many", None, 1.5):
        with pytest.raises(
            ParamsError, match=rf"1 problem\(s\):\n  - fine_tune\.{name}: .* is wrong: give a whole number from 1 to 64 or {words}$"
        ):
            params.check({"fine_tune": {name: value}})


def test_devices_and_precisions_are_known_ones() -> None:
    assert (params.Params().device, params.Params().precision) == ("auto", "auto")
    assert params.check({"device": "cuda", "precision": "bfloat16"}).precision == "bfloat16"
    for values in ({"device": "gpu"}, {"device": "cuda:0"}, {"precision": "int8"}, {"precision": 16}):
        with pytest.raises(ParamsError, match=f"{next(iter(values))}: .* is wrong: input should be 'auto', "):
            params.check(values)


@pytest.mark.parametrize("content", ["a: [", "- 1\n- 2\n", "seed: 0\nseed: 1\n", "just text"])
def test_a_file_that_is_no_table_of_parameters(path: Path, content: str) -> None:
    path.write_text(content)
    for use in (lambda: params.load(path), lambda: params.write({"seed": 1}, path)):
        with pytest.raises(ParamsError, match=r"params\.yaml"):
            use()
    assert path.read_text() == content


def test_bytes_that_are_no_text(path: Path) -> None:
    path.write_bytes(b"seed: \xff\xfe\n")
    with pytest.raises(ParamsError, match="not valid"):
        params.load(path)


def test_a_missing_file_says_where_to_go(tmp_path: Path) -> None:
    for use in (lambda: params.load(tmp_path / "params.yaml"), lambda: params.set_values(["seed=1"], tmp_path / "params.yaml")):
        with pytest.raises(ParamsError, match="run from the root of the project"):
            use()


def test_setting_changes_those_lines_alone(path: Path) -> None:
    before = path.read_text().splitlines()
    changes = params.set_values(
        ["fine_tune.epochs=5", "select_source.candidates=[timm:resnet18]", "fine_tune.augmentation.horizontal_flip=true"], path
    )
    assert changes == [
        "fine_tune.epochs: 10 -> 5",
        "select_source.candidates: ['wheel:efficientnet_lite0', 'wheel:efficientnet_lite1', 'wheel:efficientnet_lite2'] -> ['timm:resnet18']",
        "fine_tune.augmentation.horizontal_flip: auto -> True",
    ]
    after = path.read_text().splitlines()
    assert list((Counter(before) - Counter(after)).elements()) == [
        "    - wheel:efficientnet_lite0",
        "    - wheel:efficientnet_lite1",
        "    - wheel:efficientnet_lite2",
        "  epochs: 10 # at most, a phase",
        "    horizontal_flip: auto # auto: if the frozen head shows that it keeps the labels | true | false",
    ]
    assert any(line.split("#")[0].rstrip() == "  epochs: 5" and line.endswith("# at most, a phase") for line in after)
    loaded = params.load(path)
    assert (loaded.fine_tune.epochs, loaded.select_source.candidates) == (5, ["timm:resnet18"])
    assert loaded.fine_tune.augmentation.horizontal_flip is True


def test_setting_what_is_there_already_writes_nothing(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert params.set_values(["fine_tune.epochs=10", "seed=0"], path) == []
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_parameter_and_a_block_that_the_file_leaves_out(path: Path) -> None:
    path.write_text("seed: 0 # mine\n")
    assert params.set_values(["report.mistakes=3"], path) == ["report.mistakes: default -> 3"]
    assert path.read_text() == "seed: 0 # mine\nreport:\n  mistakes: 3\n"


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["fine_tune.epochs=0"], "greater than or equal to 1"),
        (["fine_tune.epochs=5", "fine_tune.epoch=5"], "did you mean epochs"),
        (["epochs=5"], "unknown parameter"),
        (["nothing.epochs=5"], "unknown parameter"),
        (["fine_tune.epochs"], "block.name=value"),
        (["=5"], "block.name=value"),
        (["fine_tune.epochs=[1"], "not valid YAML"),
        (["fine_tune=5"], "fine_tune"),
        (["seed.deeper=5"], "seed is a value, not a block"),
        (["seed.deeper.still=5"], "seed.deeper is a value, not a block"),
        (["fine_tune.rate=.nan"], "fine_tune.rate"),
        (["seed="], "seed"),
    ],
)
def test_a_bad_assignment_leaves_the_file_as_it_was(path: Path, assignments: list[str], words: str) -> None:
    before = path.read_bytes()
    with pytest.raises(ParamsError) as caught:
        params.set_values(assignments, path)
    assert words in str(caught.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_dry_only_checks(path: Path) -> None:
    before = path.read_bytes()
    assert params.write({"fine_tune.epochs": 5}, path, dry=True) == ["fine_tune.epochs: 10 -> 5"]
    assert path.read_bytes() == before


def test_the_description_names_every_parameter_with_its_bounds() -> None:
    text = params.describe(params.check({"fine_tune": {"epochs": 5}}))
    assert (
        "fine_tune.epochs = 5\n    Most epochs (passes over the cached views) a phase lasts.\n    whole number from 1 to 1,000; default 10\n"
        in text
    )
    assert (
        "fine_tune.rate = 0.0003\n    Highest learning rate of the head (AdamW, one cycle).\n    number above 0 to 1; default 0.0003\n"
        in text
    )
    assert "head_only | last_stages | gradual | full; default last_stages" in text
    assert "whole number from 32 to 1,024 or auto; default auto" in text
    assert "\ndevice = auto\n" in text
    assert "auto | cpu | cuda; default auto" in text
    assert "fine_tune.views = auto" in text
    assert "fine_tune.processes = auto" in text
    assert "fine_tune.augmentation.horizontal_flip = auto" in text

    def names(model: type[params.Block], prefix: str = "") -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            inner = field.annotation
            nested = isinstance(inner, type) and issubclass(inner, params.Block)
            found += names(inner, f"{prefix}{name}.") if nested else [prefix + name]  # type: ignore[arg-type]
        return found

    assert [line.split(" = ")[0] for line in text.splitlines() if " = " in line and not line.startswith(("#", " "))] == names(params.Params)


def test_every_stage_has_a_block_whose_values_are_plain() -> None:
    for stage in params.STAGES:
        assert params.kwargs(params.Params(), stage)
    assert isinstance(params.kwargs(params.Params(), "fine_tune")["augmentation"], dict)


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        ({"measure": "recall"}, "aim: recall of which class? Name it in aim.label"),
        ({"label": "bees"}, "aim: aim.label is 'bees', but auto is of all classes"),
        ({"measure": "precision", "label": "bees", "reach": 1.0}, "aim.reach: 1.0 is wrong"),
        ({"measure": "speed"}, "aim.measure: 'speed' is wrong"),
    ],
)
def test_an_aim_that_does_not_go_together_is_refused(aim: dict[str, object], said: str) -> None:
    with pytest.raises(ParamsError, match=re.escape(said)):
        params.check({"aim": aim})
    assert params.check({"aim": {"measure": "recall", "label": "bees", "reach": 0.95}}).aim.reach == 0.95
