"""Cards: what must be known of a network to build it again and to give it images as it wants them.

They are read and written as JSON.

A SourceCard describes a pretrained network (models/source.json), an Architecture the same network without its weights
(models/architecture.json), a ModelCard a whole model that can predict (card.json in its folder, beside the weights).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from headstart.base import outputs, weights
from headstart.base.grey import Grey
from headstart.machinery.errors import HeadstartError
from headstart.networks.transform import TRANSFORM
from headstart.networks.transform import Transform as Transform
from headstart.statistics import limits
from headstart.statistics.goals import Goal
from headstart.statistics.limits import Unlike, Unsure
from headstart.statistics.operating import Point

WEIGHTS, CARD = "model.safetensors", "card.json"  # the files of a model folder
HELD_OUT = (
    "held_out.safetensors"  # beside a fine-tuned network: logits of the validation images, by the share of it in an average with the head
)
TWIN = "twin.safetensors"  # beside what ships, if it was fitted on validation too: as it was before, and was measured there
NOTE = "README.txt"  # in the place of a model: why a stage made none
KNOWN = "known.safetensors"  # beside them if the card has `unlike`: features of known images
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Architecture:
    """What tells a network but not its weights: all that training it from random weights depends on."""

    library: str  # whose architecture names apply: timm or torchvision
    architecture: str
    fixed_size: bool  # whether the network works at `transform.input_size` only
    transform: Transform

    def to_json(self) -> dict[str, object]:
        """Plain values, flat, as in models/architecture.json."""
        first = {"library": self.library, "architecture": self.architecture}
        return {**first, "input_size": self.transform.input_size, "fixed_size": self.fixed_size, **self.transform.to_json()}

    @classmethod
    def from_json(cls, content: object, where: Path) -> Architecture:
        """Read what `to_json` gave, from the file `where`.

        Raises HeadstartError for a field that is missing or of a wrong type.
        """
        return parse(cls, content, where, "make it again with `dvc repro`", flat=True)


@dataclass(frozen=True)
class SourceCard:
    """A network without its classifier, its weights, and how it wants its images."""

    name: str  # as a candidate is written, or words for a network of random weights
    kind: str
    library: str  # whose architecture names apply: timm or torchvision
    architecture: str
    transform: Transform
    weights_sha256: str  # of the network without its classifier
    features: int | None = None  # width of what it gives; not known of random weights
    fixed_size: bool = False  # whether the network works at `transform.input_size` only
    depth: int | None = None  # how many stages, counted from the head, to retrain (choice/depth.py); not known without that probe

    def to_json(self) -> dict[str, object]:
        """Plain values, flat, as in models/source.json; what is not known is left out."""
        first = {
            "name": self.name,
            "kind": self.kind,
            "library": self.library,
            "architecture": self.architecture,
            "features": self.features,
        }
        last = {"weights_sha256": self.weights_sha256, "fixed_size": self.fixed_size, "depth": self.depth}
        return {key: value for key, value in {**first, **self.transform.to_json(), **last}.items() if value is not None}

    @classmethod
    def from_json(cls, content: object, where: Path) -> SourceCard:
        """Read what `to_json` gave, from the file `where`.

        Raises HeadstartError for a field that is missing or of a wrong type.
        """
        return parse(cls, content, where, "make it again with `dvc repro`", flat=True)

    @property
    def design(self) -> Architecture:
        """The network without its weights."""
        return Architecture(self.library, self.architecture, self.fixed_size, self.transform)

    def at(self, size: int) -> SourceCard:
        """The same source for images of `size` pixels."""
        return replace(self, transform=self.transform.at(size))


@dataclass(frozen=True)
class ModelCard:
    """A whole model that can predict, and how it came to be. What is not known is None."""

    library: str
    architecture: str
    weights_sha256: str  # of the network that the model was made from, or, of a developed source, of the source itself
    transform: Transform
    classes: tuple[str, ...]
    format: int | None = None
    shipped: str | None = None  # which of the models of a run this is
    fitted_on: tuple[str, ...] | None = None  # the splits that it was fitted on
    source: str | None = None  # the name of the network that it was made from
    kind: str | None = None  # of that network; `developed` for a source of one's own
    started_from: Mapping[str, str | None] | None = None  # name, weights_sha256 and licence of what a developed source was trained from
    licence: str | None = None
    data_sha256: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)  # by stage, as in params.yaml
    versions: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)
    aim: Goal | None = None  # what the model is to be good at
    point: Point | None = None  # from which probability a class is named; None: the likeliest is
    unsure: Unsure | None = None  # from which confidence an answer counts
    unlike: Unlike | None = None  # how far from all known images an image is none of the classes
    shares: tuple[float, ...] | None = None  # of the classes among the images that it was made from
    grey: Grey | None = None  # the scale on which more than 8 bits a channel, grey or colour, became 8, if any image had them

    def named(self, probabilities: np.ndarray) -> np.ndarray:
        """The class (n,) that the model names, as an integer, from probabilities (n, classes)."""
        return np.asarray(probabilities.argmax(1)) if self.point is None else self.point.named(probabilities)

    def unsure_of(self, probabilities: np.ndarray) -> np.ndarray:
        """Whether an answer (n,) is better left to a person, from probabilities (n, classes); never, if the card has no `unsure`."""
        factors = None if self.point is None else np.array(self.point.factors)
        least = self.unsure.confidence if self.unsure else 0.0
        return np.asarray(limits.confidence(probabilities, factors) < least)

    def to_json(self) -> dict[str, object]:
        """Plain values, as in models/final/card.json or in the card of a developed source.

        What is not known, or empty, is left out.
        """
        values = {**{key: getattr(self, key) for key in self.__dataclass_fields__}, "transform": self.transform.to_json()}
        values |= {"classes": list(self.classes), "shares": self.shares and list(self.shares), "grey": self.grey and self.grey.to_json()}
        values["fitted_on"] = self.fitted_on and list(self.fitted_on)
        values |= {
            key: asdict(one)
            for key, one in (("aim", self.aim), ("point", self.point), ("unsure", self.unsure), ("unlike", self.unlike))
            if one is not None
        }
        return {key: values[key] for key in (_DEVELOPED if self.started_from else _SHIPPED) if values[key] not in (None, {})}

    @classmethod
    def from_json(cls, content: object, where: Path) -> ModelCard:
        """Read what `to_json` gave, from the file `where`.

        Raises HeadstartError for a field that is missing or of a wrong type.
        """
        return parse(cls, content, where, "make the model again with `headstart run`, or copy its folder again, whole")


_SHIPPED = (
    *(
        "format",
        "shipped",
        "fitted_on",
        "source",
        "library",
        "architecture",
        "kind",
        "weights_sha256",
        "transform",
        "grey",
        "classes",
        "shares",
    ),
    *("aim", "point", "unsure", "unlike", "licence", "data_sha256", "parameters", "versions", "metrics"),
)
_DEVELOPED = (
    *("format", "kind", "library", "architecture", "transform", "grey", "classes", "started_from", "licence"),
    *("data_sha256", "parameters", "versions", "weights_sha256", "metrics"),
)
Card = SourceCard | ModelCard


def parse(kind: type[Kind], content: object, where: Path, advice: str, *, flat: bool = False) -> Kind:
    """JSON values as a dataclass; fields that it does not have are passed over.

    `flat`: the fields of its transform lie beside the others.

    Raises HeadstartError that names each field of the file `where` that is missing or of a wrong type, what it holds and what was
    expected, and ends with `advice`.
    """
    from pydantic import TypeAdapter, ValidationError  # take a tenth of a second to import

    if not isinstance(content, dict):
        raise HeadstartError(f"{where} holds {str(content)[:60]!r}, expected an object with fields; {advice}")
    if flat:
        content = {**content, "transform": {key: content[key] for key in TRANSFORM if key in content}}
    try:
        return TypeAdapter(kind).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        places = [".".join(map(str, item["loc"])) for item in error.errors()]
        found = [(place.removeprefix("transform.") if flat else place, item) for place, item in zip(places, error.errors(), strict=True)]
    lacks = [name for name, item in found if item["type"] == "missing"]
    if lacks:
        raise HeadstartError(f"{where} lacks {', '.join(lacks)}; {advice}")
    wrong = [_wrong(name, item) for name, item in found]
    raise HeadstartError(f"{where}: {'; '.join(wrong)}; {advice}")


def _wrong(name: str, item: Any) -> str:
    """One problem of a card that pydantic found: the field, what it holds, and what was expected."""
    if item["type"] == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    return (
        f"{name} is {repr(item['input'])[:60]}, expected {str(item['msg']).removeprefix('Input should be ')}" if name else str(item["msg"])
    )


def read_source(path: Path) -> SourceCard:
    """The source card in a file that an earlier stage wrote.

    Raises HeadstartError for a field that is missing or of a wrong type.
    """
    return SourceCard.from_json(outputs.read_json(path), path)


def check_there(folder: Path) -> None:
    """Raise HeadstartError if a folder holds no model, with the reason if a stage had nothing to do there."""
    if not (folder / CARD).is_file():
        note = folder / NOTE
        why = f" ({note.read_text(encoding='utf-8').strip()})" if note.is_file() else ""
        raise HeadstartError(f"there is no model at {folder}{why}; make one with `headstart run`, or name a folder of a model")


def read_model(folder: Path) -> tuple[dict[str, np.ndarray], ModelCard]:
    """Weights and card of a model folder.

    Raises HeadstartError when it is missing, cannot be read, or its card lacks a field.
    """
    if (folder / NOTE).is_file():
        check_there(folder)
    try:
        content = outputs.read_json(folder / CARD)
        arrays = weights.read(folder / WEIGHTS)
    except FileNotFoundError as error:
        missing = error.filename or folder / WEIGHTS
        raise HeadstartError(
            f"{missing} is missing: no model has been made yet; run `headstart run` first, or name a model folder"
        ) from None
    except Exception as error:  # json, safetensors and I/O errors
        raise HeadstartError(f"{folder} holds no readable model: {error}") from None
    if bad := weights.told(weights.not_finite(arrays)):
        raise HeadstartError(f"{folder / WEIGHTS} holds {bad}; make the model again with `headstart run`, or copy its folder again")
    return arrays, ModelCard.from_json(content, folder / CARD)


def files(card: ModelCard) -> tuple[str, ...]:
    """The files of the folder of a model that this card describes."""
    return (WEIGHTS, CARD, KNOWN) if card.unlike else (WEIGHTS, CARD)


def read_known(folder: Path, card: ModelCard) -> np.ndarray | None:
    """The features (m, width) of known images, at length 1, of a model folder; None if its card has no `unlike`.

    Raises HeadstartError if they are missing or cannot be read.
    """
    if card.unlike is None:
        return None
    try:
        return weights.read(folder / KNOWN)["known"]
    except Exception as error:  # safetensors and I/O errors
        raise HeadstartError(f"{folder / KNOWN} cannot be read ({error}); copy the model's folder again, whole") from None
