"""headstart.proof: what could ship, and what it says of the validation images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.features import extraction
from headstart.linear import frozen_head
from headstart.networks import averaging, model, sources
from headstart.proof import contenders
from headstart.statistics import likelihood
from tests import tiny


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> contenders.DataSet:
    monkeypatch.chdir(tmp_path)
    return contenders.DataSet(tiny.table(Path("images"), per_class=10), Path("images"), ["ant", "bee", "cat"])


def test_contenders_are_measured_on_the_validation_images_alone(data: contenders.DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    card = sources.load(tiny.checkpoint(Path("source"))).card()
    fitted, _ = frozen_head.train(data.table, data.root, card, penalties=[1.0], folds=3, balanced=False, seed=0)
    head = fitted[frozen_head.TRAIN_ONLY]
    values = {key: value.numpy() for key, value in model.of(sources.load(card.name), head).weights().items()}
    seen: set[str] = set()
    read = extraction._read
    monkeypatch.setattr(extraction, "_read", lambda job: (seen.add(job.sha256), read(job))[1])
    frozen = contenders.frozen(head, values, card, data)
    whole = contenders.measure("fine_tuned", values, card, data)
    np.testing.assert_allclose(frozen.logits, whole.logits, atol=2e-2)  # features are stored in half precision
    assert seen <= set(data.validation["sha256"])
    figures = contenders.figures(whole, data.labels)
    expected = np.log(likelihood.softmax(whole.logits)[np.arange(len(data.labels)), data.labels]).mean()
    assert figures["log_likelihood"] == pytest.approx(expected)
    assert figures["validation_accuracy"] == (whole.logits.argmax(1) == data.labels).mean()
    other = contenders.Contender(
        "fine_tuned", {key: np.asarray(2 * value, value.dtype) for key, value in values.items()}, card, whole.logits
    )
    mixes = {mix: averaging.averaged(frozen.weights, other.weights, mix) for mix in averaging.MIXES}
    averages = contenders.averages(
        frozen, other, {mix: contenders.measure("average", each, card, data).logits for mix, each in mixes.items()}
    )
    assert [one.mix for one in averages] == list(averaging.MIXES)
    assert all(np.array_equal(one.weights[key], value) for one in averages for key, value in mixes[one.mix or 0].items())
    assert all(one.logits.shape == whole.logits.shape for one in averages)
    half = contenders.scaled(averages[1], other, data.labels)
    asked = contenders.measure("average", half.weights, card, data)
    np.testing.assert_allclose(asked.logits, half.logits, atol=2e-2)
    np.testing.assert_allclose(half.logits * half.temperature, averages[1].logits, rtol=1e-5)
    assert likelihood.temperature(half.logits, data.labels) == pytest.approx(1, abs=1e-3)
    pair = contenders.both(frozen, replace(whole, logits=-whole.logits, weights=_turned(values)), data.labels)
    asked = contenders.measure("both", pair.weights, pair.card, data)
    np.testing.assert_allclose(asked.logits, pair.logits, atol=2e-2)
    assert np.abs(whole.logits).max() > 0.1, "or the pair would answer as each of the two"


def _turned(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same network with the signs of its head turned round."""
    weight, bias = list(values)[-2:]
    return {**values, weight: -values[weight], bias: -values[bias]}
