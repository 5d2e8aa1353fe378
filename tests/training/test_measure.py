"""headstart.training.measure: the logits of all images in order, and how good they are whatever the confidence."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from headstart.base.devices import CPU
from headstart.features import engines, extraction
from headstart.features.streamed import Streamed
from headstart.features.transforms import View
from headstart.training.examples import Examples
from headstart.training.measure import logits, measure
from tests import tiny
from tests.training.tails import examples, in_a_process, rows, tail


def test_measure_takes_out_the_temperature() -> None:
    network = nn.Sequential(OrderedDict(head=nn.Linear(3, 3)))
    network[0].weight.data, network[0].bias.data = torch.eye(3), torch.zeros(3)
    scores = np.random.default_rng(0).normal(size=(300, 3))
    labels = np.array([np.random.default_rng(i).choice(3, p=np.exp(s) / np.exp(s).sum()) for i, s in enumerate(scores)])
    plain = measure(network, Examples([rows(scores.astype(np.float32))], labels))
    hot = measure(network, Examples([rows((scores * 3).astype(np.float32))], labels))
    assert hot.loss == pytest.approx(plain.loss, abs=1e-4)
    assert hot.temperature == pytest.approx(3 * plain.temperature, rel=0.02)
    assert plain.temperature == pytest.approx(1, abs=0.3)
    assert hot.accuracy == plain.accuracy == pytest.approx((scores.argmax(1) == labels).mean())


def test_logits_are_those_of_the_whole_in_order() -> None:
    network, given = tail(), examples(50).views[0]
    expected = network(torch.from_numpy(given[:].astype(np.float32))).detach().numpy()
    np.testing.assert_allclose(logits(network, given), expected, atol=1e-5)


def read_in_batches(folder: Path) -> None:
    """Write the shape of the logits of 120 images."""
    table = tiny.table(folder / "images", per_class=40, size=16)
    made = engines.Batched(tiny.conv(), CPU, on=CPU.all(), batch=8)
    engine = engines.batches("batches", made)
    streamed = Streamed(extraction.Frozen("a", 16, engine, (4, 8, 8)), table, folder / "images", View(16, "bilinear"))
    network = nn.Sequential(OrderedDict(flat=nn.Flatten(), head=nn.Linear(4 * 8 * 8, 3)))
    (folder / "shape").write_text(str(logits(network, streamed).shape))


@pytest.mark.usefixtures("forked")
def test_batches_that_are_computed_when_asked_for_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A tail on the CPU reads from all threads at once what a GPU computes, whose images the same threads must decode.

    In a process, which can be ended if they do wait.
    """
    assert in_a_process(read_in_batches, tmp_path) == 0
    assert (tmp_path / "shape").read_text() == "(120, 3)"
