"""headstart.engines: ONNX Runtime gives what PyTorch gives, image by image, and PyTorch stands in where it cannot."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from headstart import engines
from tests import networks


def expected(network: nn.Module, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(image.copy())[None])[0].numpy()


def test_normalise_takes_bytes_to_the_scale_of_the_source() -> None:
    image = networks.array(8)
    scaled = (image / 255 - np.array(networks.MEAN)) / np.array(networks.STD)
    given = expected(model.Normalise(networks.MEAN, networks.STD), image)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, scaled.transpose(2, 0, 1), atol=1e-5)


def test_onnx_agrees_with_pytorch(tmp_path: Path) -> None:
    network = networks.conv()
    engine, name = engines.build(network, 32, "a", tmp_path)
    assert name == "onnxruntime"
    for seed in range(3):
        image = networks.array(32, seed)
        given = engine(image)
        assert given.dtype == np.float32
        np.testing.assert_allclose(given, expected(network, image), atol=1e-5)


@pytest.mark.parametrize("kind", ["onnxruntime", "torch"])
def test_an_image_does_not_depend_on_others(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "torch":
        monkeypatch.setattr(engines, "_export", refuse)
    engine, name = engines.build(networks.conv(), 32, "a", tmp_path)
    assert name == kind
    first, other = networks.array(32, 1), networks.array(32, 2)
    alone = engine(first).copy()
    engine(other)
    kept = engine(first)
    engine(other)
    assert alone.tobytes() == kept.tobytes()


def refuse(*_: object) -> None:
    raise RuntimeError("no such operator\nand a long story")


def test_the_exported_file_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = engines.build(networks.conv(), 32, "a", tmp_path)
    monkeypatch.setattr(engines, "_export", refuse)
    again, name = engines.build(networks.conv(), 32, "a", tmp_path)
    assert name == "onnxruntime"
    assert first(networks.array()).tobytes() == again(networks.array()).tobytes()


@pytest.mark.parametrize(("key", "size"), [("b", 32), ("a", 48)])
def test_another_key_or_size_is_another_file(key: str, size: int, tmp_path: Path) -> None:
    engines.build(networks.conv(), 32, "a", tmp_path)
    network = networks.conv(seed=1)
    engine, _ = engines.build(network, size, key, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    np.testing.assert_allclose(engine(networks.array(size)), expected(network, networks.array(size)), atol=1e-5)


@pytest.mark.parametrize("error", [RuntimeError("no such operator\nand a long story"), AssertionError()])
def test_what_cannot_be_exported_is_run_by_pytorch_and_says_so(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(engines, "_export", fail)
    network = networks.conv()
    with caplog.at_level(logging.INFO, "headstart.engines"):
        engine, name = engines.build(network, 32, "a", tmp_path)
    assert name == "torch"
    assert "PyTorch runs it" in caplog.text
    assert "long story" not in caplog.text
    assert np.array_equal(engine(networks.array()), expected(network, networks.array()))


def test_an_export_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(network: nn.Module, example: object, path: str, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise RuntimeError("disk full")

    monkeypatch.setattr(torch.onnx, "export", half)
    assert engines.build(networks.conv(), 32, "a", tmp_path)[1] == "torch"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["another network", "garbage"])
def test_a_wrong_file_in_the_cache_is_exported_again(content: str, tmp_path: Path) -> None:
    network = networks.conv()
    good, _ = engines.build(network, 32, "a", tmp_path)
    [path] = tmp_path.iterdir()
    if content == "garbage":
        path.write_bytes(b"garbage")
    else:
        engines._export(networks.conv(seed=1), 32, path)
    engine, name = engines.build(network, 32, "a", tmp_path)
    assert name == "onnxruntime"
    assert engine(networks.array()).tobytes() == good(networks.array()).tobytes()


def test_an_export_that_computes_something_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = engines._export
    monkeypatch.setattr(engines, "_export", lambda _, size, path: export(networks.conv(seed=1), size, path))
    network = networks.conv()
    engine, name = engines.build(network, 32, "a", tmp_path)
    assert name == "torch"
    assert np.array_equal(engine(networks.array()), expected(network, networks.array()))
    assert not list(tmp_path.iterdir())
