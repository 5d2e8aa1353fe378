"""The report's section on getting the same model again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headstart import params
from headstart.report.findings import Findings, Transform


@dataclass(frozen=True)
class Again:
    """What the section shows."""

    changed: list[tuple[str, str, str]]  # parameters that differ from the defaults: name, value, default
    hashes: dict[str, str]
    versions: dict[str, str]
    transform: Transform
    architecture: str


def again(f: Findings) -> Again:
    """What somebody needs to get the same model again."""
    used, usual = _flat(f.card.get("parameters", {})), _flat(params.check({}).model_dump())
    changed = [(name, _value(value), _value(usual.get(name))) for name, value in used.items() if value != usual.get(name)]
    hashes = {"Data": f.card.get("data_sha256", ""), "Source weights": f.card["weights_sha256"], "Model file": f.model_sha256}
    return Again(
        changed=changed,
        hashes={name: value for name, value in hashes.items() if value},
        versions=f.card.get("versions", {}),
        transform=f.card["transform"],
        architecture=f.card["architecture"],
    )


def _flat(block: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Nested parameters by block.name."""
    flat: dict[str, object] = {}
    for name, value in block.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[above + name] = value
    return flat


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
