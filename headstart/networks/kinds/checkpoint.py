"""Sources that Headstart made, or a state dict with such a card.json beside it: checkpoint:PATH.

Weights are never unpickled as code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from headstart.base import outputs, weights
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import cards, common, skeletons
from headstart.networks.cards import Transform
from headstart.networks.common import Entry, Source, Unavailable
from headstart.networks.heads import Head

REGISTRY = Path("registry/sources")  # where `headstart develop` leaves the checkpoints it makes


@dataclass(frozen=True)
class Named:
    """What the card of a checkpoint must say."""

    library: str
    architecture: str
    transform: Transform
    licence: str | None = None


def load(name: str) -> Source:
    """A model that Headstart made, or any state dict with such a card.json beside it.

    Weights are never unpickled as code.
    """
    file, card = _read_card(name)
    try:
        trunk, classifier = skeletons.skeleton(card.library, card.architecture)
        state = read_weights(file)
        missing, _ = trunk.load_state_dict(state, strict=False)
    except Exception as error:  # whatever the libraries and the readers of weights raise, code in a pickle included
        raise _broken(name, error) from None
    if missing:
        raise Unavailable(f"{file} does not fit {card.architecture}: it lacks {', '.join(missing[:3])} ({len(missing)} in all)")
    features = common.width(trunk, card.transform.input_size)
    return Source(
        name=f"checkpoint:{name}",
        kind="checkpoint",
        library=card.library,
        architecture=card.architecture,
        trunk=trunk,
        features=features,
        classifier=classifier,
        transform=card.transform,
        fixed_size=common.fixed_size(card.library, card.architecture, trunk),
        licence=card.licence,
        weights_sha256=weights.digest(trunk.state_dict()),
        head=_saved_head(state, trunk, classifier, features),
    )


def _read_card(name: str) -> tuple[Path, Named]:
    """The file with the weights, and the card beside it, which says all that it must."""
    path = Path(name)
    folder = path if path.is_dir() else path.parent
    card_file = folder / cards.CARD
    if (folder / ".." / ".." / "dvc.yaml").exists() and folder.resolve().parent.name == "models":
        raise ParamsError(f"checkpoint:{name} is an output of this very pipeline; copy it out of models/ and name the copy")
    if not path.exists():
        raise Unavailable(f"{path} does not exist")
    if not card_file.is_file():
        raise Unavailable(f"{card_file} is missing: it must say library, architecture and transform (see models/final/card.json)")
    try:
        card = cards.parse(Named, outputs.read_json(card_file), card_file, "see models/final/card.json for what it must say")
    except HeadstartError as error:
        raise Unavailable(str(error)) from None
    except Exception as error:  # not JSON
        raise _broken(name, error) from None
    return path if path.is_file() else folder / cards.WEIGHTS, card


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
    return common.linear_head(linear, trunk, classifier, features)


def names(pattern: str) -> list[str]:
    """Folders with a card that the pattern matches.

    A folder is given as a path from here, or as the name of one in the registry.
    """
    found = [*Path().glob(pattern.rstrip("/")), *REGISTRY.glob("*")]
    return common.matching(sorted({str(path) for path in found if (path / cards.CARD).is_file()}), pattern.rstrip("/"))


def entry(name: str) -> Entry:
    _, card = _read_card(name)
    return Entry(
        name=f"checkpoint:{name}",
        kind="checkpoint",
        library=card.library,
        architecture=card.architecture,
        input_size=card.transform.input_size,
        licence=card.licence,
        download_bytes=0,
        here=True,
    )


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from a .safetensors file or a pickled state dict, read without running code from it."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
