"""Sources with timm's weights, such as timm:convnext_tiny.fb_in22k_ft_in1k.

imagenet.csv holds the published accuracies.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import Any

from torch import nn

from headstart.base import weights
from headstart.machinery import nearest
from headstart.machinery.errors import ParamsError
from headstart.networks import common, libraries, skeletons
from headstart.networks.cards import Transform
from headstart.networks.common import Entry, Source

IMAGENET = Path(__file__).with_name("imagenet.csv")  # says where its figures come from


def load(name: str) -> Source:
    """Any network of timm with pretrained weights, from the local cache or a hub.

    Raises Unavailable if it cannot be had.
    """
    timm = libraries.timm()

    _check_known(name)
    with common.obtaining(f"timm:{name}"):
        full = timm.create_model(name, pretrained=True)
    return from_timm(f"timm:{name}", "timm", full, name, None)


def _check_known(name: str) -> None:
    """Raise ParamsError for a name that timm does not have."""
    timm = libraries.timm()

    architecture, dot, _ = name.partition(".")
    if not timm.is_model(architecture) or (dot and not timm.is_model_pretrained(name)):
        known = [*timm.list_models(), *timm.list_pretrained()]
        raise ParamsError(f"select_source.candidates: timm {timm.__version__} has no model {name!r}; {nearest.hint(name, known)}")


def names(pattern: str) -> list[str]:
    timm = libraries.timm()

    return common.matching(timm.list_pretrained(), pattern)


def entry(name: str) -> Entry:
    timm = libraries.timm()

    _check_known(name)
    cfg: Any = timm.get_pretrained_cfg(name)
    file = _cached(cfg)
    return Entry(
        name=f"timm:{name}",
        kind="timm",
        library="timm",
        architecture=name,
        input_size=cfg.input_size[-1],
        imagenet_accuracy=_published().get(f"{cfg.architecture}.{cfg.tag}"),
        licence=None if cfg.license == "unknown" else cfg.license,
        download_bytes=file.stat().st_size if file else None,
        here=file is not None,
    )


def _cached(cfg: Any) -> Path | None:
    """Where the weights are that timm has downloaded.

    They are in the Hugging Face cache, or for a few of them in torch.hub's.
    """
    from huggingface_hub import try_to_load_from_cache

    if not cfg.hf_hub_id:
        return file if cfg.url and (file := common.torch_cache(cfg.url)).is_file() else None
    found = (try_to_load_from_cache(cfg.hf_hub_id, file) for file in ("model.safetensors", "pytorch_model.bin"))
    return next((Path(path) for path in found if isinstance(path, str)), None)


@functools.cache
def _published() -> dict[str, float]:
    """Published top-1 accuracy (0-1) by the name of the weights in timm."""
    lines = [line for line in IMAGENET.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {row["name"]: float(row["top1"]) / 100 for row in csv.DictReader(lines)}


def from_timm(name: str, kind: str, trunk: nn.Module, architecture: str, licence: str | None) -> Source:
    """A network of timm, whole, which loses its classifier here."""
    from timm.data import infer_imagenet_subset

    cfg: Any = trunk.pretrained_cfg
    # What CLIP ends in is a linear layer too, but its outputs are no classes; VOLO and distilled networks add up two layers.
    classifier = trunk.get_classifier() if infer_imagenet_subset(cfg) and isinstance(cfg["classifier"], str) else None  # type: ignore[operator]
    trunk.reset_classifier(0)  # type: ignore[operator]
    features = int(trunk.num_features if not hasattr(trunk, "head_hidden_size") else trunk.head_hidden_size)  # type: ignore[arg-type]
    return Source(
        name=name,
        kind=kind,
        library="timm",
        architecture=architecture,
        trunk=trunk,
        features=features,
        classifier=skeletons.timm_classifier(trunk),
        transform=Transform(
            input_size=cfg["input_size"][-1],
            mean=tuple(cfg["mean"]),
            std=tuple(cfg["std"]),
            interpolation=cfg["interpolation"],
            crop=float(cfg["crop_pct"] or 1.0),
        ),
        fixed_size=common.fixed_size("timm", architecture, trunk),
        licence=licence or cfg.get("license"),
        weights_sha256=weights.digest(trunk.state_dict()),
        head=common.linear_head(classifier, trunk, skeletons.timm_classifier(trunk), features),
    )
