"""What sources can be used, as `headstart sources` shows it.

Facts about each source without loading it, patterns of names, and bounds.

Generic over the kinds: what there is of a kind, its Listing in headstart/networks/sources.py says. Parameters and GFLOPs that no library
states are counted on a network without weights (PyTorch's meta device), when they are asked for, and kept in FOLDER.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from headstart.base import outputs
from headstart.machinery import nearest
from headstart.machinery.errors import ParamsError
from headstart.machinery.progress import Progress
from headstart.networks import common, skeletons, sources
from headstart.networks.common import Entry

log = logging.getLogger(__name__)
FOLDER = Path(".headstart/catalogue")
FEW = 50  # entries whose figures are counted without being asked to
MANY = 200  # matches of one candidate pattern above which a user hears how much would be downloaded
FLOAT32 = 4  # bytes


def entries(patterns: Iterable[str] = ()) -> list[Entry]:
    """Entries of the sources that any of the patterns matches, or of all there are, by kind and name.

    A pattern is a source's name, one with * or ?, or, without a kind, a part of a name. Raises ParamsError for one that matches nothing,
    and for a name what `sources.load` raises if it is wrong or its checkpoint is not there.
    """
    patterns = list(patterns)
    names = {name for pattern in patterns for name in _names(pattern, parts=True)}
    names = names or {name for kind in sources.LISTS for name in _matches(f"{kind}:*")}
    return [_entry(name, strict=name in patterns) for name in sorted(names, key=sources.split)]


def expand(
    candidates: list[str], *, max_parameters: float | None = None, max_gflops: float | None = None, licences: list[str] | None = None
) -> list[str]:
    """Candidates with each pattern replaced by the names it matches, sorted.

    Those outside the bounds (as for `within`) are left out, and none comes twice.
    What the bounds leave out is logged. Raises ParamsError if a pattern matches nothing or the bounds leave nothing.
    """
    bounds: dict[str, Any] = {"max_parameters": max_parameters, "max_gflops": max_gflops, "licences": licences}
    bounded = any(value is not None for value in bounds.values())
    kept: dict[str, None] = {}
    outside: dict[str, str] = {}
    for candidate in candidates:
        names = _names(candidate)
        if bounded:
            inside, reasons = within([_entry(name) for name in names], **bounds)
            names = [entry.name for entry in inside]
            outside |= reasons
            if reasons:
                log.warning("%s: left out %d of %d: %s", candidate, len(reasons), len(reasons) + len(names), tally(reasons))
        if len(names) > MANY:
            log.warning("%s: %s sources; adding up what there is to download", candidate, f"{len(names):,}")
            log.warning("%s: %.1f GB would be downloaded", candidate, to_download(count(map(_entry, names))) / 1e9)
        kept |= dict.fromkeys(names)
    if not kept:
        raise ParamsError(f"select_source.candidates: the bounds leave none ({tally(outside)}); loosen them, or name other candidates")
    return list(kept)


def published(name: str) -> float | None:
    """Published top-1 accuracy (0-1) on ImageNet-1k, None if none is known.

    Raises ParamsError for a name that is not known.
    """
    return _entry(name).imagenet_accuracy


def within(
    found: list[Entry], *, max_parameters: float | None = None, max_gflops: float | None = None, licences: list[str] | None = None
) -> tuple[list[Entry], dict[str, str]]:
    """The entries within the bounds, and by name why each other is not.

    What is not known is within no bound.

    max_parameters: millions; max_gflops: multiply-adds (10^9) at the source's own input size; licences: in any case.
    Cheap bounds come first, so that as few networks as possible are counted.
    """
    reasons: dict[str, str] = {}
    if licences is not None:
        allowed = {licence.lower() for licence in licences}
        reasons |= {e.name: f"licence {e.licence or 'not known'}" for e in found if (e.licence or "").lower() not in allowed}
    for field, most, unit, words in (("parameters", max_parameters, 1e6, "million parameters"), ("gflops", max_gflops, 1.0, "GFLOPs")):
        if most is None:
            continue
        found = count([e for e in found if e.name not in reasons], gflops=field == "gflops")
        for entry in found:
            value = getattr(entry, field)
            if value is None:
                reasons[entry.name] = f"{words} not known"
            elif value > most * unit:
                reasons[entry.name] = f"more than {most:g} {words}"
    return [e for e in found if e.name not in reasons], reasons


def count(found: Iterable[Entry], *, gflops: bool = False) -> list[Entry]:
    """The entries with their parameters, and on request GFLOPs.

    Both are counted if they were not known. The entries also get the bytes that follow from the parameters.
    """
    found, fields = list(found), ["parameters", "gflops"] if gflops else ["parameters"]
    path, kept = _kept()
    wanted = [e for e in found if e.architecture and any(getattr(e, f) is None and f not in kept.get(_key(e), {}) for f in fields)]
    with Progress(len(wanted), f"counting {' and '.join(fields)}, to be kept") as progress:
        try:
            for entry in wanted:
                kept[_key(entry)] = _measure(entry, gflops)
                progress.step()
        finally:  # also when interrupted: it may have taken minutes
            if wanted:
                outputs.write_json(path, dict(sorted(kept.items())))
    return [_filled(entry, kept) for entry in found]


def known(found: Iterable[Entry]) -> list[Entry]:
    """The entries with the figures that were counted earlier."""
    _, kept = _kept()
    return [_filled(entry, kept) for entry in found]


def to_download(found: Iterable[Entry]) -> int:
    """Bytes of all entries that are not here, as far as known."""
    return sum(entry.download_bytes or 0 for entry in found if not entry.here)


def _entry(name: str, *, strict: bool = False) -> Entry:
    """The entry of a source.

    If the source cannot be had, as `sources.load` will say, the entry has no figures; `strict` raises Unavailable instead.
    """
    kind, rest = sources.split(name)
    try:
        return sources.LISTS[kind].entry(rest) if kind in sources.LISTS else Entry(name, kind, None, None)
    except common.Unavailable:
        if strict:
            raise
        return Entry(name, kind, None, None)


def _names(pattern: str, *, parts: bool = False) -> list[str]:
    """The names that a pattern stands for.

    What is no pattern stands for itself. If `parts` are allowed, `pattern` may also be a part of a name.
    """
    if parts and ":" not in pattern:
        part = pattern if _is_pattern(pattern) else f"*{pattern}*"
        found = [name for kind in sources.LISTS for name in _matches(f"{kind}:{part}")]
    else:
        found = _matches(pattern) if _is_pattern(pattern) else [pattern]
    if not found:
        kinds = [kind for kind in sources.LISTS if pattern.startswith(f"{kind}:")] or list(sources.LISTS)
        known = {f"{kind}:{common.without_weights(name)}" for kind in kinds for name in sources.LISTS[kind].names("*")}
        near = nearest.hint(pattern.replace("*", "").replace("?", ""), sorted(known))
        raise ParamsError(f"select_source.candidates: {pattern} matches no source; {near}")
    return found


def _matches(pattern: str) -> list[str]:
    """The names that a pattern with a kind matches, sorted."""
    kind, rest = sources.split(pattern)
    return [f"{kind}:{name}" for name in sources.LISTS[kind].names(rest)] if kind in sources.LISTS else []


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def tally(reasons: dict[str, str]) -> str:
    """How often each reason is given, the most frequent first."""
    return ", ".join(f"{number} {reason}" for reason, number in Counter(reasons.values()).most_common())


def _kept() -> tuple[Path, dict[str, dict[str, Any]]]:
    """The figures that were counted with this version of timm, and the file they are kept in."""
    path = FOLDER / f"{version('timm')}.json"
    with contextlib.suppress(OSError, ValueError):
        return path, outputs.read_json(path)
    return path, {}


def _key(entry: Entry) -> str:
    return f"{entry.library}:{entry.architecture} {entry.input_size}"


def _measure(entry: Entry, gflops: bool) -> dict[str, Any]:
    """Parameters and GFLOPs of an entry's network; None if it cannot be built or run without weights."""
    figures: dict[str, Any] = {"parameters": None, "gflops": None}
    with contextlib.suppress(Exception), warnings.catch_warnings(), torch.device("meta"):  # whatever it does that this device does not know
        warnings.simplefilter("ignore")
        network = skeletons.whole(str(entry.library), str(entry.architecture)).eval().requires_grad_(False)
        figures["parameters"] = sum(parameter.numel() for parameter in network.parameters())
        if not gflops:
            return {"parameters": figures["parameters"]}
        figures["gflops"] = round(common.gflops(network, int(entry.input_size or 0)), 4)
    return figures


def _filled(entry: Entry, kept: dict[str, dict[str, Any]]) -> Entry:
    figures = {field: value for field, value in kept.get(_key(entry), {}).items() if getattr(entry, field) is None}
    entry = replace(entry, **figures)
    if entry.download_bytes is None and entry.parameters:
        entry = replace(entry, download_bytes=FLOAT32 * entry.parameters)
    return entry
