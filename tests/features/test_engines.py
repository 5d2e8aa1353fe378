"""headstart.engines: ONNX Runtime gives what PyTorch gives, image by image, and PyTorch stands in where it cannot; GPUs get batches."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.base.devices import CPU, Device
from headstart.features import engines, looking, transforms
from headstart.features.transforms import View
from headstart.machinery.errors import HeadstartError
from headstart.networks import model
from headstart.params import Augmentation
from tests import tiny


def expected(network: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(images.copy())).numpy()


def one(size: int = 32, seed: int = 0) -> np.ndarray:
    """A batch of one photo."""
    return tiny.array(size, seed)[None]


def unmade() -> nn.Module:
    raise AssertionError("the network was made, and is not needed")


def test_normalise_takes_bytes_to_the_scale_of_the_source() -> None:
    image = one(8)
    scaled = (image / 255 - np.array(tiny.MEAN)) / np.array(tiny.STD)
    given = expected(model.Normalise(tiny.MEAN, tiny.STD), image)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, scaled.transpose(0, 3, 1, 2), atol=1e-5)


def test_onnx_agrees_with_pytorch(tmp_path: Path) -> None:
    network = tiny.conv()
    engine = engines.build(lambda: network, 32, "a", tmp_path)
    assert (engine.name, engine.batch) == ("onnxruntime", 1)
    for seed in range(3):
        given = engine.run(one(seed=seed))
        assert given.dtype == np.float32
        np.testing.assert_allclose(given, expected(network, one(seed=seed)), atol=1e-5)


@pytest.mark.parametrize("kind", ["onnxruntime", "torch"])
def test_an_image_does_not_depend_on_others(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "torch":
        monkeypatch.setattr(engines, "_export", refuse)
    engine = engines.build(tiny.conv, 32, "a", tmp_path)
    assert (engine.name, engine.batch) == (kind, 1)
    first, other = one(seed=1), one(seed=2)
    alone = engine.run(first).copy()
    engine.run(other)
    kept = engine.run(first)
    engine.run(other)
    assert alone.tobytes() == kept.tobytes()


def refuse(*_: object) -> None:
    raise RuntimeError("no such operator\nand a long story")


def test_the_exported_file_is_reused_without_the_network(tmp_path: Path) -> None:
    first = engines.build(tiny.conv, 32, "a", tmp_path)
    again = engines.build(unmade, 32, "a", tmp_path)
    assert again.name == "onnxruntime"
    assert again.run is first.run, "the last one is at hand"
    engines.build(lambda: tiny.conv(seed=1), 32, "b", tmp_path)
    opened = engines.build(unmade, 32, "a", tmp_path)
    assert opened.run is not first.run
    assert first.run(one()).tobytes() == opened.run(one()).tobytes()


@pytest.mark.parametrize(("images", "name"), [(engines.FEW, "torch"), (engines.FEW + 1, "onnxruntime"), (None, "onnxruntime")])
def test_for_a_few_images_nothing_is_exported_nor_is_what_was_exported_used(images: int | None, name: str, tmp_path: Path) -> None:
    engines.build(tiny.conv, 32, "a", tmp_path)
    found = engines.build(tiny.conv, 32, "a", tmp_path, images=images)
    assert found.name == name
    np.testing.assert_allclose(found.run(one()), expected(tiny.conv(), one()), atol=1e-5)


@pytest.mark.parametrize(("key", "size"), [("b", 32), ("a", 48)])
def test_another_key_or_size_is_another_file(key: str, size: int, tmp_path: Path) -> None:
    engines.build(tiny.conv, 32, "a", tmp_path)
    network = tiny.conv(seed=1)
    engine = engines.build(lambda: network, size, key, tmp_path)
    assert len(list(tmp_path.glob("*.onnx"))) == 2
    np.testing.assert_allclose(engine.run(one(size)), expected(network, one(size)), atol=1e-5)


def test_other_code_is_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines.build(tiny.conv, 32, "a", tmp_path)
    monkeypatch.setattr(engines, "code", lambda: "of tomorrow")
    engines.build(tiny.conv, 32, "a", tmp_path)
    assert len(list(tmp_path.glob("*.onnx"))) == 2


@pytest.mark.parametrize("error", [RuntimeError("no such operator\nand a long story"), AssertionError()])
def test_what_cannot_be_exported_is_run_by_pytorch_and_says_so(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(engines, "_export", fail)
    network = tiny.conv()
    with caplog.at_level(logging.INFO, "headstart.features.engines"):
        engine = engines.build(lambda: network, 32, "a", tmp_path)
    assert (engine.name, engine.batch) == ("torch", 1)
    assert "PyTorch runs it" in caplog.text
    assert "long story" not in caplog.text
    assert np.array_equal(engine.run(one()), expected(network, one()))


def test_where_nothing_can_be_written_pytorch_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only file system refuses even to delete what is not there."""

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    network = tiny.conv()
    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr(Path, "replace", read_only)
    engine = engines.build(lambda: network, 32, "a", tmp_path)
    assert engine.name == "torch"
    np.testing.assert_allclose(engine.run(one()), expected(network, one()), atol=1e-5)


def test_an_export_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(network: nn.Module, example: object, path: str, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise RuntimeError("disk full")

    monkeypatch.setattr(torch.onnx, "export", half)
    assert engines.build(tiny.conv, 32, "a", tmp_path).name == "torch"
    assert not list(tmp_path.iterdir())


def lose(path: Path) -> None:
    path.unlink()


def garble(path: Path) -> None:
    path.write_bytes(b"garbage")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def swap(path: Path) -> None:
    engines._export(tiny.conv(seed=1), 32, path)


def claim(path: Path) -> None:
    path.write_text(json.dumps({"sha256": "0" * 64}))


@pytest.mark.parametrize(
    ("suffix", "change"),
    [("onnx", lose), ("onnx", garble), ("onnx", cut), ("onnx", swap), ("json", lose), ("json", garble), ("json", claim)],
)
def test_a_damaged_file_in_the_cache_is_made_again(suffix: str, change: Callable[[Path], None], tmp_path: Path) -> None:
    good = engines.build(tiny.conv, 32, "a", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {Path(name).suffix for name in before} == {".onnx", ".json"}
    [path] = tmp_path.glob(f"*.{suffix}")
    change(path)
    engine = engines.build(tiny.conv, 32, "a", tmp_path)
    assert engine.name == "onnxruntime"
    assert engine.run(one()).tobytes() == good.run(one()).tobytes()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_export_that_computes_something_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = engines._export
    monkeypatch.setattr(engines, "_export", lambda _, size, path: export(tiny.conv(seed=1), size, path))
    network = tiny.conv()
    engine = engines.build(lambda: network, 32, "a", tmp_path)
    assert engine.name == "torch"
    assert np.array_equal(engine.run(one()), expected(network, one()))
    assert not list(tmp_path.iterdir())


class Small(nn.Module):
    """A network on a device whose memory holds `room` images; notes how many images each call brought."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.layers, self.room, self.sizes = tiny.conv(), room, []

    def __deepcopy__(self, memo: dict[int, Any]) -> Small:
        return self  # so that the test sees what the engine's own copy was given

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(len(images))
        return self.layers(images)


def places(count: int) -> list[torch.device]:
    return [torch.device("cpu")] * count


def batch(n: int) -> np.ndarray:
    return np.stack([tiny.array(32, seed) for seed in range(n)])


@pytest.mark.parametrize("devices", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 4, 8, 11])
def test_batches_over_several_devices_give_every_row_in_order(n: int, devices: int) -> None:
    network, images = tiny.conv(), batch(n)
    rows = engines.Batched(network, CPU, on=places(devices), batch=4)(images)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected(network, images), atol=1e-5)


def test_batches_in_lower_precision_give_nearly_the_same_in_float32() -> None:
    network, images = tiny.conv(), batch(4)
    rows = engines.Batched(network, Device("cuda", "bfloat16"), on=places(1))(images)
    assert rows.dtype == np.float32
    assert not np.array_equal(rows, expected(network, images))
    np.testing.assert_allclose(rows, expected(network, images), atol=0.03)


@pytest.mark.parametrize("devices", [1, 2])
def test_each_device_gets_a_part_of_its_own(devices: int) -> None:
    network = Small(room=100)
    engines.Batched(network, CPU, on=places(devices), batch=4)(batch(11))
    assert network.sizes == [4, 4, 3]


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("room", [1, 3, 5])
def test_out_of_memory_halves_the_batch_for_good(room: int, devices: int, caplog: pytest.LogCaptureFixture) -> None:
    images, network = batch(19), Small(room)
    engine = engines.Batched(network, CPU, on=places(devices), batch=16)
    rows = engine(images)
    np.testing.assert_allclose(rows, engines.Batched(tiny.conv(), CPU, on=places(1), batch=16)(images), atol=1e-5)
    fits = {1: 1, 3: 2, 5: 4}[room]
    assert engine.batch == fits
    assert max(network.sizes) == fits
    messages = caplog.messages
    assert [f"{size} images at a time" in message for size, message in zip((8, 4, 2, 1), messages, strict=False)] == [True] * len(messages)
    engine(images)
    assert caplog.messages == messages


def test_an_image_that_does_not_fit_says_what_helps() -> None:
    with pytest.raises(HeadstartError, match="does not hold one image of this network; use device: cpu, or a smaller input_size"):
        engines.Batched(Small(room=0), CPU, on=places(1), batch=4)(batch(3))


def test_the_network_that_is_given_stays_where_it_is() -> None:
    network = tiny.conv().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    engines.Batched(network, CPU, on=places(2))(batch(2))
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_full_batches_are_compiled_and_what_is_left_over_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    def compiled(network: nn.Module, dynamic: bool) -> Callable[[torch.Tensor], torch.Tensor]:
        assert not dynamic
        return lambda images: ran.append(len(images)) or network(images)

    monkeypatch.setattr(torch, "compile", compiled)
    engine = engines.Batched(tiny.conv(), CPU, on=places(1), batch=4)
    engine(batch(11))
    assert ran == []
    engine.compile()
    engine.compile()
    np.testing.assert_allclose(engine(batch(11)), expected(tiny.conv(), batch(11)), atol=1e-5)
    assert ran == [4, 4]


def test_views_are_cut_in_float32_whatever_the_network_multiplies_with() -> None:
    seen: list[torch.Tensor] = []

    class Notes(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images.float().mean((1, 2))

    views = transforms.views(View(32, "bilinear"), 0, Augmentation(), 3)
    looks = looking.plan([views] * 5, list("abcde"), [(32, 32)] * 5, [(32, 32)] * 5)
    for device in (CPU, Device("cuda", "bfloat16")):
        engines.Batched(Notes(), device, on=places(1), batch=64).look(batch(5), looks)
    assert torch.equal(seen[0], seen[1])


def test_what_cannot_be_compiled_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no compiler\nmore")

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: refuse)
    engine = engines.Batched(tiny.conv(), CPU, on=places(1), batch=4)
    engine.compile()
    np.testing.assert_allclose(engine(batch(11)), expected(tiny.conv(), batch(11)), atol=1e-5)
    assert caplog.messages == ["this network cannot be compiled (no compiler); PyTorch runs it as it is"]
