"""What a run will take, said before anything starts: images, bytes, passes, hours, disk. `headstart run --plan` prints it.

Hours on this machine are those of costs.py. Those on cards come from rates that were measured on one kind of card (MEASURED), or from the rate
that is given. Nothing here is looked up while a run goes on, and nothing depends on it.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flows.pipeline import costs, estimate, workload
from flows.pipeline.costs import ANEW, DEEP, DRAWN, FROZEN, INDEXED, TRAINED
from flows.pipeline.workload import Task
from flows.projects import images
from flows.results import table
from headstart import params
from headstart.base import outputs
from headstart.machinery import progress
from headstart.machinery.errors import DataError, ParamsError
from headstart.params import Params
from headstart.words import formats

# Images a second that one H100 with 16 cores took through each kind of pass (docs/scale.md): decoding keeps all of them from being faster
MEASURED = {INDEXED: 600.0, FROZEN: 1090.0, TRAINED: 1231.0, DRAWN: 350.0, ANEW: 1231.0, DEEP: 1231.0}
CARDS = 8  # of one machine, at most: training and heads stay on one
WIDTH = 2_100  # numbers that are kept of an image in a frozen pass: those of EfficientNet-Lite0, all stages
HALF, KEY = 2, 32  # bytes of a number, and of the key of a row
CUT = 43_904  # bytes of what the frozen layers give for a view that training starts from: EfficientNet-Lite0, the last three stages trained
WEIGHTS = 25e6  # bytes of a network whose size is not known
MODELS = 5  # copies of the weights that a run leaves, at most, and DVC keeps once more


@dataclass(frozen=True)
class Cards:
    """The cards that somebody wants to know about: how many, and how many images a second one of them takes through a frozen pass."""

    number: int
    rate: float = MEASURED[FROZEN]


def told(values: Mapping[str, object], *, cards: Cards | None = None, count: int | None = None, force: bool = False) -> str:
    """The plan of a run with these values for params.yaml, as text: a table of stages, then the disk.

    `count` plans for so many images like those that are here. Raises DataError if there are no images here.
    """
    block = params.would_be(values)
    size = _bytes()
    if not size:
        raise DataError(f"there are no images in {images.IMAGES}, so there is nothing to plan; `headstart import PATH` brings some")
    work = _work(block)
    if count:
        size, work = round(size * count / work.n), _scaled(work, count)
    waiting = estimate.waiting(force=force or bool(count or values))
    head = (
        f"{formats.count(work.n, 'image')} of {_size(size)} in {formats.count(work.classes, 'class', 'classes')}: "
        f"{work.train:,} to train, {work.validation:,} to validate, {work.test:,} to test"
        if not work.grouped
        else f"{formats.count(work.n, 'image')} of {_size(size)} without labels, to be put into groups"
    )
    notes = ["Training and heads stay on one machine, on at most 8 of the cards."] if cards else []
    return "\n".join([head, "", _table(work, block, waiting, cards), "", *_disk(work, block, size), "", *_footing(block, cards), *notes])


def _work(block: Params) -> Task:
    """What lies before the run, on a CPU: how fast others are is not known. Raises DataError if it cannot be known."""
    try:
        return workload.task(block.model_copy(update={"device": "cpu"}))
    except (LookupError, KeyError):
        raise DataError(
            "how much work a candidate is (GFLOPs) is not known before it was ranked once; plan with candidates that are known "
            f"(--set 'select_source.candidates=[{', '.join(list(workload.KNOWN)[:1])}]'), or run once on a few images"
        ) from None


def _scaled(work: Task, count: int) -> Task:
    share = count / work.n
    test, validation, without, second = (round(share * each) for each in (work.test, work.validation, work.without, work.second))
    train = count - test - validation
    return replace(work, n=count, train=train, validation=validation, test=test, without=without, second=second)


def _table(work: Task, block: Params, waiting: list[str], cards: Cards | None) -> str:
    through: Counter[str] = Counter()
    for one in costs.passes(work, block):
        through[one.stage] += round(one.images)
    here, there = costs.expected(work, block, costs.speed()), _on_cards(work, block, cards) if cards else {}
    head = ["STAGE", "IMAGES THROUGH IT", "TIME HERE", *([f"ON {formats.count(cards.number, 'CARD', 'CARDS')}"] if cards else [])]
    rows = [head]
    for name in here:
        times = [here, there] if cards else [here]
        shown = [progress.duration(each[name]) if name in waiting else "up to date" for each in times]
        rows.append([name, f"{through[name]:,}" if through[name] else "-", *shown])
    sums = [progress.duration(sum(each[name] for name in waiting)) for each in ([here, there] if cards else [here])]
    rows.append(["all", f"{sum(through[name] for name in waiting):,}", *sums])
    return table.aligned(rows, right=range(1, len(rows[0])))


def _on_cards(work: Task, block: Params, cards: Cards) -> dict[str, float]:
    """Seconds of each stage on these cards, each with its 16 cores."""
    seconds = costs.fixed(work, block, 2 / 16)
    for one in costs.passes(work, block):
        many = cards.number if one.kind in (INDEXED, FROZEN) else min(cards.number, CARDS)
        seconds[one.stage] += one.images / (many * MEASURED[one.kind] * cards.rate / MEASURED[FROZEN])
    return seconds


def _disk(work: Task, block: Params, size: int) -> list[str]:
    """What will lie on the disk, in the order in which it comes."""
    sources, scored = len(work.gflops), min(work.train, block.select_source.max_images)
    kept = (WIDTH * HALF + KEY) * ((sources - 1) * (work.n if work.grouped else scored) + work.n + work.without + sources * work.second)
    views = costs.drawn(work, block) * work.train + work.validation
    tuned = not work.grouped and block.fine_tune.strategy != "head_only" and block.fine_tune.views != "fresh"
    activations = min(int(block.fine_tune.cache_gib * 2**30), CUT * views) if tuned else 0
    base = block.baseline
    pixels = (
        (base.views + 1) * min(work.train, base.max_images) * 3 * min(work.size, base.max_size) ** 2
        if base.epochs and not work.grouped
        else 0
    )
    models = 0 if work.grouped else 2 * MODELS * _weights()
    parts = {
        "images, and once more in DVC's cache": 2 * size,
        f"features of {formats.count(sources, 'source')} (.headstart/features)": kept,
        "activations and views for training (the same folder)": activations + pixels,
        "models, and once more in DVC's cache": models,
    }
    free = shutil.disk_usage(Path.cwd()).free
    needed = sum(parts.values()) - 2 * size + (size if images.IMAGES.exists() else 0)
    rows = [["DISK", "UP TO"], *([name, _size(value)] for name, value in parts.items()), ["all", _size(sum(parts.values()))]]
    enough = "" if free > needed else "; that is not enough for what is still to come"
    return [table.aligned(rows, right=[1]), f"free on this disk: {_size(free)}{enough}"]


def _weights() -> int:
    """Bytes of the weights of the source that was chosen the last time, or of a small network."""
    report = outputs.read_object(Path("reports/ranking.json"))
    chosen = [row for row in report.get("candidates") or [] if row.get("name") == report.get("chosen")]
    return int(4 * chosen[0]["parameters"]) if chosen and chosen[0].get("parameters") else int(WEIGHTS)


def _footing(block: Params, cards: Cards | None) -> list[str]:
    """What the figures rest on."""
    lines = ["Time here: for this machine's CPU, from figures of whole runs; a run is often a third faster or slower."]
    if cards:
        given = "" if cards.rate == MEASURED[FROZEN] else f" (measured on an H100 with 16 cores: {MEASURED[FROZEN]:,.0f})"
        lines.append(
            f"On cards: {cards.rate:,.0f} images a second of a frozen pass on each{given}, other passes in proportion; "
            "index and frozen passes go over all of them (executor: ray)."
        )
    if block.executor == "ray":
        lines.append("executor: ray, so index and frozen passes go to the cluster; time here is that of this machine alone.")
    return lines


def _bytes() -> int:
    """Bytes of the files below the images."""
    return sum(Path(place, name).stat().st_size for place, _, names in os.walk(images.IMAGES) for name in names)


def _size(value: float) -> str:
    """Bytes as people read them."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:,.3g} TiB"


def cards(number: int | None, rate: float | None) -> Cards | None:
    """What was asked for with --cards and --rate. Raises ParamsError."""
    if number is None:
        if rate is not None:
            raise ParamsError("--rate goes with --cards: it says how many images a second each card takes through a frozen pass")
        return None
    if number < 1 or (rate is not None and rate <= 0):
        raise ParamsError("--cards takes a whole number from 1, and --rate a number above 0 (images a second)")
    return Cards(number, rate or MEASURED[FROZEN])
