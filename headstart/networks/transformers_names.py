"""Weights that transformers saved, under timm's names: ViT, DeiT, DINOv2, ConvNeXT (V2 too), Swin and ResNet."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

Rules = tuple[tuple[str, str], ...]  # patterns and what they become, in order

_BLOCK = (
    (r"attention\.output\.dense\.", "attn.proj."),
    (r"layernorm_before\.", "norm1."),
    (r"layernorm_after\.", "norm2."),
    (r"intermediate\.dense\.", "mlp.fc1."),
    (r"(?<!attention\.)output\.dense\.", "mlp.fc2."),
    (r"layer_scale([12])\.lambda1$", r"ls\1.gamma"),
)
_VIT: Rules = (
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"attention\.attention\.(query|key|value)\.", r"attn.\1."),
    *_BLOCK,
    (r"^layernorm\.", "norm."),
    (r"^(cls_)?classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
)
_SWIN: Rules = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^encoder\.layers\.", "layers."),
    (r"attention\.self\.(query|key|value)\.", r"attn.\1."),
    (r"attention\.self\.relative_position_bias_table", "attn.relative_position_bias_table"),
    *_BLOCK,
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head.fc."),
)
_CONVNEXT: Rules = (
    (r"^embeddings\.patch_embeddings\.", "stem.0."),
    (r"^embeddings\.layernorm\.", "stem.1."),
    (r"^encoder\.stages\.(\d+)\.downsampling_layer\.", r"stages.\1.downsample."),
    (r"^encoder\.stages\.(\d+)\.layers\.", r"stages.\1.blocks."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"\.layernorm\.", ".norm."),
    (r"\.pwconv([12])\.", r".mlp.fc\1."),
    (r"\.grn\.", ".mlp.grn."),
    (r"\.layer_scale_parameter$", ".gamma"),
    (r"^layernorm\.", "head.norm."),
    (r"^classifier\.", "head.fc."),
)
_RESNET: Rules = (
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
    (r"^classifier\.1\.", "fc."),
)
_KNOWN: dict[str, Rules] = {  # by what only this family's names hold
    r"^encoder\.layers\.0\.blocks\.0\.attention\.self\.": _SWIN,
    r"^encoder\.layer\.0\.attention\.attention\.": _VIT,
    r"^encoder\.stages\.0\.layers\.0\.dwconv\.": _CONVNEXT,
    r"^encoder\.stages\.0\.layers\.0\.layer\.0\.convolution": _RESNET,
}
_WRAPPER = re.compile(r"^(?:[\w]+\.)*?(?:vit|deit|dinov2(?:_with_registers)?|swin|convnext|convnextv2|resnet)\.")


def to_timm(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights under timm's names. Raises ValueError for names of no known family."""
    plain = {_WRAPPER.sub("", key): value for key, value in state.items()}
    rules = next((rules for mark, rules in _KNOWN.items() if any(re.match(mark, key) for key in plain)), None)
    if rules is None:
        raise ValueError("not the names of a network of transformers that is known")
    named = {}
    for key, value in plain.items():
        for pattern, becomes in rules:
            key = re.sub(pattern, becomes, key)
        named[key] = value
    if rules is _RESNET:
        named = {_stage(key): value for key, value in named.items()}
    if rules is _SWIN:
        named = {_later(key): value for key, value in named.items()}
    if rules is _VIT:
        named = _with_registers({key: value for key, value in named.items() if not key.startswith("pooler.")})
    if rules is _CONVNEXT:
        named = {key: value.flatten() if ".grn." in key else value for key, value in named.items()}
    return _joined(named)


def _with_registers(named: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same as timm has a network with register tokens: the position of the class token is added to the token itself."""
    if "reg_token" not in named or "pos_embed" not in named or "cls_token" not in named:
        return named
    positions = named["pos_embed"]
    return {**named, "cls_token": named["cls_token"] + positions[:, :1], "pos_embed": positions[:, 1:]}


def _joined(named: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Query, key and value as the one layer that timm has."""
    whole = dict(named)
    for key in [key for key in named if ".attn.query." in key]:
        parts = [key.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        whole[key.replace(".query.", ".qkv.")] = torch.cat([whole.pop(part) for part in parts])
    return whole


def _stage(key: str) -> str:
    """A block of ResNet: encoder.stages.0.layers.1.layer.2.convolution -> layer1.1.conv3."""
    match = re.match(r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(.*)", key)
    if not match:
        return key
    rest = re.sub(r"^layer\.(\d+)\.convolution\.", lambda found: f"conv{int(found[1]) + 1}.", match[3])
    rest = re.sub(r"^layer\.(\d+)\.normalization\.", lambda found: f"bn{int(found[1]) + 1}.", rest)
    return f"layer{int(match[1]) + 1}.{match[2]}.{rest}"


def _later(key: str) -> str:
    """What makes the picture of Swin smaller is the end of a stage in transformers, and the beginning of the next one in timm."""
    return re.sub(r"^layers\.(\d+)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample.", key)
