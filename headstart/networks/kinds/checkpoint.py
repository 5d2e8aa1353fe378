"""Sources that Headstart or somebody else trained and saved: checkpoint:PATH, a file of weights or a folder with one.

A card.json beside the weights says what they are of; where there is none, that is told by the weights (networks/telling.py).
Weights are never unpickled as code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from headstart.base import outputs, weights
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import cards, common, skeletons, state_dicts, telling
from headstart.networks.cards import Transform
from headstart.networks.common import Entry, Source, Unavailable
from headstart.networks.heads import Head

REGISTRY = Path("registry/sources")  # where `headstart develop` leaves the checkpoints it makes
_ADVICE = "see models/final/card.json for what it must say"


@dataclass(frozen=True)
class Named:
    """What the card of a checkpoint says."""

    library: str
    architecture: str
    transform: Transform
    licence: str | None = None


def load(name: str) -> Source:
    """Weights that Headstart, a training of one's own or transformers saved.

    Raises Unavailable, which says what is wrong: of the file, of its card, or between the two.
    """
    file, card = _read_card(Path(name))
    state = state_dicts.read(file)
    card = card or _told(telling.tell(state, file))
    try:
        trunk, classifier = skeletons.skeleton(card.library, card.architecture)
    except Exception as error:  # whatever the libraries raise
        raise Unavailable(f"{_card_of(file)}: {common.said(error)}") from None
    values, head = state_dicts.fitted(state, trunk, classifier, file, card.architecture, card.transform.input_size)
    if bad := weights.told(weights.not_finite({**values, **head})):
        raise Unavailable(f"{file} holds {bad}")
    trunk.load_state_dict(values, strict=False)
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
        head=_saved_head(head, trunk, classifier, features),
    )


def _told(told: telling.Told) -> Named:
    return Named(told.library, told.architecture, told.transform)


def write_card(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Write a card.json beside weights with what can be seen of them.

    Returns where it is, and other networks of the same names and sizes, which the weights may be of as well.

    Raises Unavailable if the architecture cannot be told, HeadstartError if there is a card already.
    """
    if not path.exists():
        raise Unavailable(f"{path} does not exist")
    file = state_dicts.find(path)
    card = _card_of(file)
    if card.exists():
        raise HeadstartError(f"{card} is there already; remove it first to have it written anew")
    told = telling.tell(state_dicts.read(file), file)
    outputs.write_json(card, {"library": told.library, "architecture": told.architecture, "transform": told.transform.to_json()})
    return card, told.twins


def _card_of(file: Path) -> Path:
    return file.parent / cards.CARD


def _read_card(path: Path) -> tuple[Path, Named | None]:
    """The file with the weights, and the card beside it, if there is one."""
    folder = path if path.is_dir() else path.parent
    if (folder / ".." / ".." / "dvc.yaml").exists() and folder.resolve().parent.name == "models":
        raise ParamsError(f"checkpoint:{path} is an output of this very pipeline; copy it out of models/ and name the copy")
    if not path.exists():
        raise Unavailable(f"{path} does not exist")
    if not path.is_file() and not path.is_dir():
        raise Unavailable(f"{path} is neither a file nor a folder")
    file = state_dicts.find(path)
    where = _card_of(file)
    if not where.is_file():
        return file, None
    try:
        content = outputs.read_json(where)
    except Exception as error:  # not JSON, not UTF-8, nested too deep
        raise Unavailable(f"{where} is no JSON that can be read ({common.said(error)}); {_ADVICE}") from None
    try:
        card = cards.parse(Named, content, where, _ADVICE)
        skeletons.check(card.library, card.architecture)
    except HeadstartError as error:
        text = str(error)
        raise Unavailable(text if text.startswith(str(where)) else f"{where}: {text}") from None
    return file, card


def _saved_head(state: dict[str, torch.Tensor], trunk: nn.Module, classifier: str, features: int) -> Head | None:
    """The classifier that a checkpoint holds under the name of its library, if it does."""
    weight, bias = state.get(f"{classifier}.weight"), state.get(f"{classifier}.bias")
    if weight is None or weight.ndim != 2 or weight.shape[1] != features:
        return None
    if bias is not None and bias.shape != weight.shape[:1]:
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
    _, card = _read_card(Path(name))
    return Entry(
        name=f"checkpoint:{name}",
        kind="checkpoint",
        library=card.library if card else None,
        architecture=card.architecture if card else None,
        input_size=card.transform.input_size if card else None,
        licence=card.licence if card else None,
        download_bytes=0,
        here=True,
    )
