"""Forms for the Prefect UI from the typed parameters.

Every field may stay empty, which means "as it is in params.yaml". A form is a pydantic model whose blocks and fields are those of
headstart/params/blocks.py, with their bounds, choices and sentences, and no defaults: the UI shows what may be given and sends only
that, and the server refuses what is out of bounds. Nothing of params.yaml is in it, so that editing params.yaml needs no new
deployment.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, create_model, model_serializer, model_validator
from pydantic.fields import FieldInfo

from flows.projects.develop_folder import SHARED
from headstart.params import Block, Params, allowed
from headstart.params.developing import TrainSource


class Form(BaseModel):
    """Values that a person or a program gives for one run; what is left out or null is not given."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value is not None} if isinstance(values, dict) else values

    @model_serializer(mode="wrap")
    def _only_given(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in write(self).items() if name in self.model_fields_set}


def of(name: str, fields: Mapping[str, FieldInfo], description: str | None = None) -> type[Form]:
    """A form with these fields, none of them required."""
    definitions: dict[str, Any] = {key: _optional(key, field) for key, field in fields.items()}
    return create_model(name, __base__=Form, __doc__=description, **definitions)


def values(form: Form, prefix: str = "") -> dict[str, object]:
    """What was given, by dotted name (`fine_tune.epochs`)."""
    found: dict[str, object] = {}
    for name in sorted(form.model_fields_set, key=list(type(form).model_fields).index):
        value = getattr(form, name)
        found |= values(value, f"{prefix}{name}.") if isinstance(value, Form) else {prefix + name: value}
    return found


def _optional(name: str, field: FieldInfo) -> tuple[Any, Any]:
    """A field that need not be given, as its type and its FieldInfo.

    It has no default in the schema, so that the UI fills in nothing; its sentence says what it takes.
    """
    kind: Any = field.annotation
    if isinstance(kind, type) and issubclass(kind, Block):
        block = of(kind.__name__, kind.model_fields, kind.__doc__)
        return block, Field(default_factory=block, title=name, description=field.description or kind.__doc__)
    kinds = tuple(one for one in get_args(kind) if one is not NoneType)
    if len(kinds) < len(get_args(kind)):  # null cannot be given: it means that nothing is
        kind = kinds[0] if len(kinds) == 1 else Union[kinds]  # noqa: UP007
    taken = copy.copy(field)
    taken.annotation = kind
    sentence = re.sub("; empty: [^.;]+", "", field.description or "")  # in a form that means something else
    bounded = Annotated[(kind, *field.metadata)] if field.metadata else kind
    return bounded, Field(default_factory=_nothing, title=name, description=f"{sentence} Takes: {allowed(taken)}.")


def _nothing() -> None:
    return None


TransferForm = of("Parameters", Params.model_fields, "An empty field means: as in params.yaml.")
DevelopForm = of(
    "SourceParameters",
    {**TrainSource.model_fields, **{name: Params.model_fields[name] for name in SHARED}},
    "An empty field means: as in source.yaml and params.yaml of the directory.",
)
