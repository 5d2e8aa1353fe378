"""params.yaml: read it, check it, change values in it with its comments kept."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headstart.base import outputs
from headstart.machinery.errors import ParamsError
from headstart.params import wording
from headstart.params.block import Block
from headstart.params.blocks import Params

PATH = Path("params.yaml")


def load(path: Path = PATH) -> Params:
    """Read and check params.yaml.

    Raises ParamsError that lists every problem at once, with what is allowed.
    """
    return check(read(path), str(path))


def check(values: Any, where: str = "parameters") -> Params:
    """Turn plain values into Params.

    Raises ParamsError that lists every problem at once, with what is allowed.
    """
    try:
        return Params.model_validate(values or {})
    except ValidationError as error:
        problems = list(dict.fromkeys(wording.problem(item) for item in error.errors()))
        raise ParamsError(f"{where} has {len(problems)} problem(s):\n" + "\n".join(f"  - {p}" for p in problems)) from None


def kwargs(params: Params, stage: str) -> dict[str, Any]:
    """The keyword arguments of a stage's function: its block as plain values. Nested blocks stay dicts."""
    block: Block = getattr(params, stage)
    return block.model_dump()


def parse(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn `block.name=value` assignments, values written as YAML, into dotted names and values.

    Raises ParamsError.
    """
    from ruamel.yaml import YAML, YAMLError

    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip():
            raise ParamsError(f"--set {assignment!r} is not of the form block.name=value, for example fine_tune.epochs=5")
        try:
            values[name.strip()] = YAML(typ="safe", pure=True).load(text)  # the C parser refuses [timm:resnet18]
        except YAMLError:
            raise ParamsError(f"--set {assignment!r}: the value is not valid YAML") from None
    return values


def set_values(assignments: Sequence[str], path: Path = PATH) -> list[str]:
    """Write `block.name=value` assignments into params.yaml: `parse`, then `write`."""
    return write(parse(assignments), path)


def write(values: Mapping[str, Any], path: Path = PATH, *, dry: bool = False) -> list[str]:
    """Write values by dotted name (`fine_tune.epochs`) into params.yaml.

    Comments are kept. Returns a line for each change.
    The whole file as it would become is checked before anything is written; raises ParamsError and leaves the file as it was.
    `dry` only checks.
    """
    text, changes, _ = _changed(values, path)
    if changes and not dry:
        with outputs.whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return changes


def would_be(values: Mapping[str, Any], path: Path = PATH) -> Params:
    """What params.yaml would hold with these values, by dotted name. Raises ParamsError as `write` does."""
    return _changed(values, path)[2]


def _changed(values: Mapping[str, Any], path: Path) -> tuple[str, list[str], Params]:
    """The text of params.yaml with these values, a line for each change, and what it then holds, checked."""
    from ruamel.yaml import YAML

    read(path)  # says clearly what is wrong with the file itself
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(path.read_text(encoding="utf-8"))
    document = {} if document is None else document
    changes = []
    for name, value in values.items():
        *blocks, last = name.split(".")
        block = document
        for key in blocks:
            block = block.setdefault(key, {}) if isinstance(block, dict) else None
        if not isinstance(block, dict):
            raise ParamsError(f"{name}: {'.'.join(blocks)} is a value, not a block; `headstart params` lists the names")
        if last not in block or block[last] != value or type(block[last]) is bool is not type(value):
            changes.append(f"{name}: {block.get(last, 'default')} -> {value}")
            block[last] = value
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    checked = check(YAML(typ="safe").load(buffer.getvalue()), f"{path} with these changes" if changes else str(path))
    return buffer.getvalue(), changes, checked


def read(path: Path) -> Any:
    from ruamel.yaml import YAML, YAMLError

    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing; run from the root of the project, where params.yaml lies") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, (dict, type(None))):
        raise ParamsError(f"{path} must hold blocks of parameters (`fine_tune:` and below it `epochs: 12`), not {str(content)[:60]!r}")
    return content
