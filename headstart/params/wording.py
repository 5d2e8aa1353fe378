"""Parameters in words.

What a field takes, every parameter with its value, and what is wrong with a value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from headstart.params.block import Block
from headstart.params.blocks import Params


def describe(params: Params) -> str:
    """Every parameter with its value, default, bounds and sentence, as text for a terminal."""
    return "\n".join(_describe(params, "")) + "\n"


def _describe(block: Block, prefix: str) -> Iterator[str]:
    for name, field in type(block).model_fields.items():
        value = getattr(block, name)
        if isinstance(value, Block):
            yield f"\n# {prefix}{name}: {(type(value).__doc__ or '').strip()}"
            yield from _describe(value, f"{prefix}{name}.")
            continue
        default = field.get_default(call_default_factory=True)
        yield f"{prefix}{name} = {_shown(value)}"
        yield f"    {field.description}"
        yield f"    {allowed(field)}; default {_shown(default)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "empty" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def allowed(field: FieldInfo) -> str:
    """What a field accepts, in words: its type and bounds, or its choices."""
    return " ".join([_kind(field.annotation), *_bounds(field.metadata)])


def _bounds(metadata: Sequence[Any]) -> list[str]:
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "to", "min_length": "of at least"}
    return [f"{word} {getattr(item, key):,}" for item in metadata for key, word in words.items() if getattr(item, key, None) is not None]


def _kind(annotation: Any) -> str:
    kinds = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "empty"}
    if get_origin(annotation) is Literal:
        return " | ".join(get_args(annotation))
    if get_origin(annotation) is list:
        return "list"
    if get_origin(annotation) is Annotated:
        kind, *metadata = get_args(annotation)
        return " ".join([_kind(kind), *_bounds([part for item in metadata for part in item.metadata])])
    return " or ".join(map(_kind, get_args(annotation))) or kinds[annotation]


def problem(item: Any) -> str:
    """One line for one pydantic error: where, what was given, what is allowed."""
    places = [str(place) for place in item["loc"]]
    where = ".".join(places)
    if item["type"] == "extra_forbidden":
        known = _known(places[:-1])
        close = difflib.get_close_matches(places[-1], known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{where}: unknown parameter; {hint}known here: {', '.join(known)}"
    field, within = _field(places)
    if field and within and not within[0].isdigit():  # one of several types: pydantic has an error for each, under names of its own
        return f"{where.removesuffix('.' + '.'.join(within))}: {item['input']!r} is wrong: give a {allowed(field)}"
    if item["type"] == "value_error":  # a block whose values do not go together
        return f"{where}: {item['msg'].removeprefix('Value error, ')}"
    return f"{where}: {item['input']!r} is wrong: {item['msg'][0].lower()}{item['msg'][1:]}"


def _field(places: list[str]) -> tuple[FieldInfo | None, list[str]]:
    """The field that these names lead to, and those of them that lead on into its value."""
    model: Any = Params
    field: FieldInfo | None = None
    for i, name in enumerate(places):
        if not (isinstance(model, type) and issubclass(model, Block)):
            return field, places[i:]
        field = model.model_fields[name]
        model = field.annotation
    return field, []


def _known(blocks: list[str]) -> list[str]:
    model: Any = Params
    for name in blocks:
        model = model.model_fields[name].annotation
    return list(model.model_fields)
