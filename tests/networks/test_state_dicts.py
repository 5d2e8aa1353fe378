"""headstart.state_dicts: weights as people save them come to the names of their library, or the message says what is wrong."""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from headstart.machinery.errors import HeadstartError
from headstart.networks import census, skeletons, sources, state_dicts, telling, transformers_names
from headstart.networks.cards import Transform
from headstart.networks.common import Unavailable
from headstart.networks.kinds import checkpoint

ARCHITECTURE = "resnet18"


@pytest.fixture(scope="module")
def made() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return timm.create_model(ARCHITECTURE, num_classes=5).state_dict()


def prefixed(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {f"{prefix}{key}": value for key, value in state.items()}


WAYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "plain": dict,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
    "model": lambda state: {"model": state, "args": argparse.Namespace(lr=0.1), "best_acc": np.float64(0.9)},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": torch.tensor(0.3)},
    "ema first": lambda state: {"state_dict": {key: value * 0 for key, value in state.items()}, "state_dict_ema": state},
    "under a name of one's own": lambda state: {"my_net": state, "optim": {"a": torch.zeros(3)}},
    "lightning": lambda state: {
        "state_dict": {**prefixed("model.")(state), "criterion.weight": torch.ones(5)},
        "pytorch-lightning_version": "2.4",
        "hyper_parameters": {"lr": 0.1},
    },
    "module.": prefixed("module."),
    "_orig_mod.": prefixed("_orig_mod."),
    "backbone.": prefixed("backbone."),
    "module._orig_mod.model.": prefixed("module._orig_mod.model."),
    "net.encoder.": lambda state: {"state_dict": prefixed("net.encoder.")(state)},
    "swa": lambda state: {**prefixed("module.")(state), "n_averaged": torch.tensor(4)},
    "without counters": lambda state: {key: value for key, value in state.items() if "num_batches" not in key},
    "a head of its own": lambda state: {**{k: v for k, v in state.items() if not k.startswith("fc.")}, "fc.1.weight": torch.ones(7, 512)},
}


def write_card(folder: Path, **values: object) -> None:
    transform = {"input_size": 64, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop": 1.0}
    (folder / "card.json").write_text(json.dumps({"library": "timm", "architecture": ARCHITECTURE, "transform": transform, **values}))


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_save_weights(way: str, made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(WAYS[way](made), tmp_path / "best.pth")
    write_card(tmp_path)
    source = sources.load(f"checkpoint:{tmp_path}")
    for key, value in source.trunk.state_dict().items():
        assert torch.equal(value, made[key]) or "num_batches" in key
    assert (source.head is None) == (way in ("a head of its own",))


def with_card(folder: Path, content: object) -> str:
    torch.save(content, folder / "a.pth")
    write_card(folder)
    with pytest.raises(Unavailable) as caught:
        sources.load(f"checkpoint:{folder / 'a.pth'}")
    message = str(caught.value)
    assert "weights_only" not in message
    assert "\x1b" not in message
    return message


def test_surplus_and_sizes_are_named(made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    larger = timm.create_model("resnet34").state_dict()
    assert "does not fit resnet18: it also holds layer1.2.bn1.bias" in with_card(tmp_path, larger)
    wide = {**made, "layer1.0.conv1.weight": torch.zeros(64, 32, 3, 3)}
    assert "other sizes have layer1.0.conv1.weight (64x32x3x3, not 64x64x3x3)" in with_card(tmp_path, wide)
    lacking = {key: value for key, value in made.items() if key != "bn1.weight"}
    assert "does not fit resnet18: it lacks bn1.weight" in with_card(tmp_path, lacking)


def test_what_holds_no_weights_says_what_it_holds(tmp_path: Path) -> None:
    assert "holds no weights by name but a dictionary with epoch, loss" in with_card(tmp_path, {"epoch": 1, "loss": 0.2})
    assert "holds no weights by name but a Tensor" in with_card(tmp_path, torch.zeros(3))
    assert "holds Python objects (Linear), which are never run; save model.state_dict()" in with_card(tmp_path, nn.Linear(2, 2))
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"a": Path("x")}))
    with pytest.raises(Unavailable, match="holds Python objects"):
        state_dicts.read(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model_best.pth.tar", "last.ckpt", "anything.pt"])
def test_a_folder_with_one_file_of_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "log.txt").touch()
    assert state_dicts.find(tmp_path) == tmp_path / name


def test_a_folder_with_none_or_several(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="holds no file of weights; known endings are"):
        state_dicts.find(tmp_path)
    for name in ("one.pt", "two.pt"):
        (tmp_path / name).touch()
    with pytest.raises(Unavailable, match=r"several files of weights \(one\.pt, two\.pt\); name the one"):
        state_dicts.find(tmp_path)


def in_parts(folder: Path, state: dict[str, torch.Tensor], kind: str) -> Path:
    """Weights in two files and the index that lists them, as transformers and timm save large ones."""
    names = list(state)
    ending, save = (".safetensors", save_file) if kind == "safetensors" else (".bin", torch.save)
    stem = "model" if kind == "safetensors" else "pytorch_model"
    listed = {name: f"{stem}-0000{1 + (place > len(names) // 2)}-of-00002{ending}" for place, name in enumerate(names)}
    for file in set(listed.values()):
        save({name: state[name].clone() for name in names if listed[name] == file}, folder / file)  # type: ignore[operator]
    index = folder / f"{stem}{ending}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return index


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_weights_in_parts(kind: str, made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    index = in_parts(tmp_path, made, kind)
    assert state_dicts.find(tmp_path) == index
    assert sources.load(f"checkpoint:{tmp_path}").architecture == "resnet18"
    part = next(tmp_path.glob("*-00002-of-*"))
    content = part.read_bytes()
    part.unlink()
    with pytest.raises(Unavailable, match=r"lacks 1 of 2 parts of the weights \(.*-00002-of-00002.*; copy them beside"):
        state_dicts.read(index)
    part.write_bytes(content[: len(content) // 2])
    with pytest.raises(Unavailable, match=r"ends early"):
        state_dicts.read(index)
    first = next(tmp_path.glob("*-00001-of-*"))
    part.write_bytes(first.read_bytes())
    with pytest.raises(Unavailable, match=r"the parts beside .* lack \d+ of \d+ weights"):
        state_dicts.read(index)


@pytest.mark.parametrize("name", ["../a.safetensors", "/etc/passwd", "..", "model.safetensors.index.json", "a\\b"])
def test_an_index_names_files_beside_it_and_nothing_else(name: str, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(Unavailable, match="names files of other folders"):
        state_dicts.read(index)
    index.write_text("[" * 100_000)
    with pytest.raises(Unavailable, match="damaged"):
        state_dicts.read(index)


def test_whole_numbers_are_no_weights(made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Of a quantised network; they would be taken as they are."""
    save_file({key: (100 * value).to(torch.int8) for key, value in made.items()}, tmp_path / "model.safetensors")
    with pytest.raises(Unavailable, match=r"holds bn1\.bias, .* as int8, as quantised networks have them"):
        state_dicts.fitted(state_dicts.read(tmp_path / "model.safetensors"), *skeletons.skeleton("timm", "resnet18"), tmp_path, "resnet18")


def test_the_config_of_timm_says_what_weights_are_of(made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file(made, tmp_path / "model.safetensors")
    wanted = {"input_size": [3, 160, 160], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.4, 0.3], "interpolation": "bilinear", "crop_pct": 0.9}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "num_classes": 3, "pretrained_cfg": wanted}))
    source = sources.load(f"checkpoint:{tmp_path}")
    assert source.transform == Transform(160, (0.5, 0.5, 0.5), (0.5, 0.4, 0.3), "bilinear", 0.9)
    for content in ('{"architecture": "hf-hub:x/y"}', '{"architecture": "resnet34"}', "[", '{"architectures": ["ViT"]}', "[" * 100_000):
        (tmp_path / "config.json").write_text(content)
        assert sources.load(f"checkpoint:{tmp_path}").architecture == "resnet18", content[:40]
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": {**wanted, "mean": [0.5]}}))
    assert sources.load(f"checkpoint:{tmp_path}").transform.input_size == 224, "what no network can have is not used"


def test_the_architecture_is_told_by_the_weights(made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({"model": made}, tmp_path / "resnet18-mine.pth")
    source = sources.load(f"checkpoint:{tmp_path / 'resnet18-mine.pth'}")
    assert (source.library, source.architecture, source.transform.input_size) == ("timm", "resnet18", 224)
    card, twins = checkpoint.write_card(tmp_path)
    assert twins == ("torchvision:resnet18",)
    assert sources.load(f"checkpoint:{tmp_path}").transform == source.transform
    assert json.loads(card.read_text())["architecture"] == "resnet18"
    with pytest.raises(Unavailable, match=r"nowhere\.pth does not exist"):
        checkpoint.write_card(tmp_path / "nowhere.pth")
    with pytest.raises(HeadstartError, match="is there already"):
        checkpoint.write_card(tmp_path)


def test_what_cannot_be_told_wants_a_card(made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({"a.weight": torch.ones(3, 3), "b.weight": torch.ones(3)}, tmp_path / "a.pth")
    with pytest.raises(Unavailable, match=r"no network of timm or torchvision that is tried fits its weights; write a card\.json"):
        sources.load(f"checkpoint:{tmp_path / 'a.pth'}")
    lacking = {key: value for key, value in made.items() if key != "bn1.weight"}
    with pytest.raises(Unavailable, match=r"the nearest by size is timm:resnet18: it lacks bn1\.weight; .* write a card\.json"):
        telling.tell(lacking, tmp_path / "mine.pth")


def test_few_networks_are_built_to_tell_an_architecture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built: list[str] = []

    def empty(library: str, architecture: str) -> tuple[nn.Module, str]:
        built.append(f"{library}:{architecture}")
        raise RuntimeError("none fits")

    monkeypatch.setattr(telling, "_empty", empty)
    with torch.device("meta"):
        state = timm.create_model("resnet50", num_classes=7).state_dict()
        head = {"head.0.weight": torch.ones(2048, 2048), "head.2.weight": torch.ones(65536, 256)}
    for wrapped in (state, {f"backbone.{key}": value for key, value in state.items()} | head):
        built.clear()
        with pytest.raises(Unavailable, match="the nearest by size is timm:resnet"):
            telling.tell(wrapped, tmp_path / "mine.pth")
        assert "timm:resnet50" in built[:2]
        assert len(built) <= telling.TRIED + 4


@pytest.mark.parametrize("name", ["timm:resnet18", "timm:vit_tiny_patch16_224", "torchvision:mobilenet_v2", "timm:tf_efficientnet_lite0"])
def test_the_table_of_networks_holds_what_they_are(name: str) -> None:
    library, _, architecture = name.partition(":")
    assert census.measured(library, architecture) in census.read()
    assert set(telling.USUAL) <= {row.name for row in census.read()}


# What transformers saves, by the names of version 4 and 5


def heads_apart(state: dict[str, torch.Tensor], key: str, parts: tuple[str, str, str]) -> dict[str, torch.Tensor]:
    return dict(zip(parts, state[key].chunk(3), strict=True))


def as_vit(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A ViT of timm under the names of transformers."""
    named: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if ".attn.qkv." in key:
            end = key.rpartition(".")[2]
            block = f"vit.encoder.layer.{key.split('.')[1]}.attention.attention"
            named |= heads_apart(state, key, (f"{block}.query.{end}", f"{block}.key.{end}", f"{block}.value.{end}"))
            continue
        for ours, theirs in (
            ("cls_token", "vit.embeddings.cls_token"),
            ("pos_embed", "vit.embeddings.position_embeddings"),
            ("patch_embed.proj.", "vit.embeddings.patch_embeddings.projection."),
            ("blocks.", "vit.encoder.layer."),
            (".attn.proj.", ".attention.output.dense."),
            (".norm1.", ".layernorm_before."),
            (".norm2.", ".layernorm_after."),
            (".mlp.fc1.", ".intermediate.dense."),
            (".mlp.fc2.", ".output.dense."),
        ):
            key = key.replace(ours, theirs)
        named[f"vit.layernorm.{key[5:]}" if key.startswith("norm.") else key.replace("head.", "classifier.")] = value
    return named


def test_a_vit_of_transformers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    ours = timm.create_model("vit_tiny_patch16_224", num_classes=3).state_dict()
    torch.save(as_vit(ours), tmp_path / "pytorch_model.bin")
    noted = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"height": 224, "width": 224}, "resample": 2}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(noted))
    source = sources.load(f"checkpoint:{tmp_path}")
    assert (source.architecture, source.transform.mean, source.transform.interpolation) == (
        "vit_tiny_patch16_224",
        (0.5, 0.5, 0.5),
        "bilinear",
    )
    assert all(torch.equal(value, ours[key]) for key, value in source.trunk.state_dict().items())
    assert source.head is not None


NAMES = {  # of transformers, and of timm
    "swin": {
        "swin.embeddings.norm.weight": "patch_embed.norm.weight",
        "swin.encoder.layers.0.blocks.0.attention.self.relative_position_bias_table": "layers.0.blocks.0.attn.relative_position_bias_table",
        "swin.encoder.layers.0.blocks.0.attention.output.dense.bias": "layers.0.blocks.0.attn.proj.bias",
        "swin.encoder.layers.0.blocks.0.output.dense.bias": "layers.0.blocks.0.mlp.fc2.bias",
        "swin.encoder.layers.0.downsample.reduction.weight": "layers.1.downsample.reduction.weight",
        "classifier.bias": "head.fc.bias",
    },
    "convnext": {
        "convnext.embeddings.layernorm.bias": "stem.1.bias",
        "convnext.encoder.stages.1.downsampling_layer.0.weight": "stages.1.downsample.0.weight",
        "convnext.encoder.stages.0.layers.0.dwconv.weight": "stages.0.blocks.0.conv_dw.weight",
        "convnext.encoder.stages.0.layers.0.pwconv2.bias": "stages.0.blocks.0.mlp.fc2.bias",
        "convnext.encoder.stages.0.layers.0.layer_scale_parameter": "stages.0.blocks.0.gamma",
        "convnext.layernorm.weight": "head.norm.weight",
    },
    "resnet": {
        "resnet.embedder.embedder.convolution.weight": "conv1.weight",
        "resnet.embedder.embedder.normalization.running_var": "bn1.running_var",
        "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight": "layer1.0.conv1.weight",
        "resnet.encoder.stages.3.layers.2.layer.1.normalization.bias": "layer4.2.bn2.bias",
        "resnet.encoder.stages.1.layers.0.shortcut.normalization.bias": "layer2.0.downsample.1.bias",
        "classifier.1.weight": "fc.weight",
    },
    "dinov2": {
        "dinov2.encoder.layer.0.attention.attention.query.bias": "blocks.0.attn.qkv.bias",
        "dinov2.encoder.layer.0.attention.attention.key.bias": "blocks.0.attn.qkv.bias",
        "dinov2.encoder.layer.0.attention.attention.value.bias": "blocks.0.attn.qkv.bias",
        "dinov2.encoder.layer.0.layer_scale2.lambda1": "blocks.0.ls2.gamma",
        "dinov2.encoder.layer.0.mlp.fc1.weight": "blocks.0.mlp.fc1.weight",
        "dinov2.layernorm.bias": "norm.bias",
    },
    "deit": {
        "deit.embeddings.distillation_token": "dist_token",
        "deit.encoder.layer.0.attention.attention.query.bias": "blocks.0.attn.qkv.bias",
        "deit.encoder.layer.0.attention.attention.key.bias": "blocks.0.attn.qkv.bias",
        "deit.encoder.layer.0.attention.attention.value.bias": "blocks.0.attn.qkv.bias",
        "cls_classifier.weight": "head.weight",
        "distillation_classifier.bias": "head_dist.bias",
    },
}


@pytest.mark.parametrize("family", NAMES)
def test_names_of_transformers_become_those_of_timm(family: str) -> None:
    assert set(transformers_names.to_timm(dict.fromkeys(NAMES[family], torch.ones(2)))) == set(NAMES[family].values())


def test_what_transformers_has_besides_is_brought_to_timm() -> None:
    """A ViTModel has a pooler that its features do not go through; registers have no positions in timm, and the class token has it added."""
    block = dict.fromkeys((f"encoder.layer.0.attention.attention.{part}.weight" for part in ("query", "key", "value")), torch.ones(2, 2))
    plain = transformers_names.to_timm({**block, "pooler.dense.weight": torch.ones(2, 2), "pooler.dense.bias": torch.ones(2)})
    assert list(plain) == ["blocks.0.attn.qkv.weight"]
    positions = torch.arange(3.0).reshape(1, 3, 1)
    tokens = {"embeddings.cls_token": torch.full((1, 1, 1), 5.0), "embeddings.register_tokens": torch.ones(1, 4, 1)}
    named = transformers_names.to_timm({**block, **tokens, "embeddings.position_embeddings": positions + 1})
    assert (named["cls_token"].item(), named["pos_embed"].flatten().tolist()) == (6.0, [2.0, 3.0])


def test_names_of_no_family_are_refused() -> None:
    with pytest.raises(ValueError, match="not the names"):
        transformers_names.to_timm({"conv1.weight": torch.ones(1)})


class _Module:
    """A package that is not here, which holds a class whose objects a training saved."""

    def __init__(self, name: str, made: type) -> None:
        self.names = [".".join(name.split(".")[: n + 1]) for n in range(name.count("."))]
        self.made = made

    def __enter__(self) -> None:
        for name in self.names:
            sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[self.names[-1]], self.made.__name__, self.made)

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            del sys.modules[name]


@pytest.mark.parametrize("name", ["pytorch_lightning.utilities.parsing.AttributeDict", "easydict.EasyDict", "yacs.config.CfgNode"])
def test_settings_beside_weights_are_read_without_their_packages(name: str, tmp_path: Path) -> None:
    made = type(name.rpartition(".")[2], (dict,), {"__module__": name.rpartition(".")[0]})
    with _Module(name, made):
        settings = made(lr=0.1)
        settings.frozen = True
        torch.save({"state_dict": {"model.a": torch.ones(2)}, "hyper_parameters": settings}, tmp_path / "a.ckpt")
    assert list(state_dicts.read(tmp_path / "a.ckpt")) == ["model.a"]


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"a": torch.ones(2)}, "hyper_parameters": {"folder": Path("data"), "seen": {1, 2}}},
        {"run": {"best": {"swa": {"state_dict": {"a": torch.ones(2)}}}}},
        {"a": np.ones(2, np.float32)},
    ],
)
def test_what_else_is_saved_beside_weights(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    assert state_dicts.read(tmp_path / "a.pth")["a"].tolist() == [1, 1]


@pytest.mark.parametrize("name", ["a.pth", "a.SAFETENSORS", "a.bin", "a"])
def test_a_file_is_read_as_its_bytes_say(name: str, tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / name)
    assert state_dicts.read(tmp_path / name)["a"].tolist() == [1, 1]
    torch.save({"a": torch.zeros(2)}, tmp_path / "b.safetensors")
    assert state_dicts.read(tmp_path / "b.safetensors")["a"].tolist() == [0, 0]
    np.savez(tmp_path / "c.npz", a=np.ones(2))
    assert state_dicts.read(tmp_path / "c.npz")["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "run `git lfs pull`"),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "is a Keras or HDF5 file"),
        (b"GGUF" + bytes(40), "is a GGUF file"),
        (b"\x08\x07\x12\x07pytorch" + bytes(40), "is an ONNX or TensorFlow graph"),
        ((2**40).to_bytes(8, "little") + b"{}", "is a .safetensors file that ends early"),
        (b"hello", "cannot be read as weights"),
    ],
)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.ckpt"])
def test_what_is_no_file_of_weights_is_named_whatever_it_is_called(content: bytes, says: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unavailable, match=says):
        state_dicts.read(tmp_path / name)


def test_half_a_file_says_so_in_our_words(made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    for name, save in (("a.pth", torch.save), ("b.safetensors", safetensors.torch.save_file)):
        save(made, tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(Unavailable, match=r"ends early; copy it again$"):
            state_dicts.read(tmp_path / name)


def test_parts_of_a_network_in_nn_sequential(tmp_path: Path) -> None:
    network = timm.create_model(ARCHITECTURE, num_classes=0)
    parts = [part for name, part in network.named_children() if name != "fc"]
    torch.save(nn.Sequential(*parts).state_dict(), tmp_path / "a.pth")
    write_card(tmp_path)
    source = sources.load(f"checkpoint:{tmp_path}")
    assert torch.equal(source.trunk.state_dict()["layer4.0.conv1.weight"], network.state_dict()["layer4.0.conv1.weight"])


def test_a_classifier_that_is_not_finite_is_named(made: dict[str, torch.Tensor], tmp_path: Path) -> None:
    said = with_card(tmp_path, {**made, "fc.bias": made["fc.bias"] * float("nan")})
    assert "holds weights that are not finite numbers (NaN or infinite): fc.bias" in said
