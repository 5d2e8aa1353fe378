"""What the stages of a run cost: from images, candidates and parameters to seconds of this machine.

`expected` gives the seconds of a machine whose speed is known, times the `pace` of this one, which `speed` measures.
"""

from __future__ import annotations

import time
from functools import cache
from typing import NamedTuple

from flows.pipeline.workload import Task
from headstart.base import cores
from headstart.data import folding
from headstart.domains import outcome
from headstart.networks import averaging
from headstart.params import Params
from headstart.training import budget, designs

LOOKED_AT = 400  # training images that are mirrored and turned, at most
COVERED = 36  # pictures that are looked at for a heat map
FEW = 400  # training images: with fewer, a network from random weights mostly learns nothing, and its folds fit a head alone
UNIT = 1.2e-3  # seconds that `speed` finds on the machine of `expected`: two cores of a Xeon (Sapphire Rapids)
NOTHING = 0.7  # seconds of a stage that has nothing to do
# Seconds of a stage whatever the images: networks that are built and exported, and what dvc takes. What stages import is there already.
STARTS = {
    **{"index_images": 0.8, "validate_data": 1, "select_source": 2, "train_head": 1.2, "fine_tune": 6, "baseline": 4},
    **{"verdict": 2.5, "evaluate": 2, "adapt": NOTHING, "compare_batches": NOTHING, "group_images": NOTHING, "report": 1.2},
}

GROUPED = ("index_images", "validate_data", "group_images", "report")  # that have anything to do without labels
LARGEST = 1_000  # images that settle the number of groups
# Seconds of one core, whatever the images and for 1,000 of them: to settle the number in a source, in all together, and to find the groups
ALONE, TOGETHER, FOUND = (1.0, 1.6), (1.4, 13.1), (2.5, 2.0)
CARRIED = 0.9  # seconds of one core for 1,000 images of either domain, to carry labels over in one source (up to 4,000 of each)

INDEXED, FROZEN, TRAINED, DRAWN, ANEW, DEEP = "indexed", "frozen", "trained", "drawn", "anew", "deep"
TUNED = (TRAINED, DEEP)  # what a fine-tuning trains
# Seconds of one of two cores for an image, whatever the network and for each GFLOP of it
SECONDS = {
    INDEXED: (0.003, 0.0),
    FROZEN: (0.002, 0.010),
    TRAINED: (0.002, 0.03),
    DRAWN: (0.0015, 0.0),
    ANEW: (0.005, 0.16),
    DEEP: (0.01, 0.1),
}
# What training the last one, two, three, four stages costs, as a share of three of them (Lite0 and Lite2)
DEPTHS = (0.08, 0.22, 1.0, 1.75)
WHOLE = 1.6  # training all of a network, beside DEEP, where stages that see the picture at more than a quarter of its side stay frozen
OPEN = 0.5  # how much of what is done only if something ships is counted as long as that is open


class Pass(NamedTuple):
    """Images that a stage looks at (INDEXED), computes frozen layers of, trains on, draws views of, or trains all of a network (ANEW) or most of it (DEEP) on."""

    stage: str
    kind: str
    images: float
    gflops: float = 0.0  # of an image


def passes(work: Task, block: Params) -> list[Pass]:
    """How often the stages of a run put images through networks, or look at them; some only if validation leaves something open."""
    if work.grouped:
        return [Pass("index_images", INDEXED, work.n), *(Pass("group_images", FROZEN, work.n, g) for g in work.gflops)]
    t, v = work.train, work.validation
    race, tune = block.select_source.race, block.fine_tune
    scored = min(t, block.select_source.max_images)
    raced = min(max(50, race.share * t), race.max_images, t)
    found = [
        Pass("index_images", INDEXED, work.n + work.without + work.second),
        *(Pass("select_source", FROZEN, scored, g) for g in work.gflops),
    ]
    for g in _racing(work, block):
        found += [
            Pass("select_source", FROZEN, raced * race.views + min(v, race.max_images), g),
            Pass("select_source", TRAINED, 1.7 * raced * race.views * race.epochs, g),
        ]
    if block.select_source.changes:
        found.append(Pass("select_source", FROZEN, 3 * min(t, LOOKED_AT), min(work.gflops)))  # of the cheapest that is nearly as good
    trained, anew = _tuning(work, block), _from_random(work, block)
    seeds = block.verdict.runs - 1
    folds = designs.FOLDS if block.verdict.seeds == "auto" and v < folding.ENOUGH_IMAGES else 0  # unless the first look settles it
    found += [
        Pass("train_head", FROZEN, v + t - scored + work.without, work.chosen),
        *trained,
        *(one._replace(images=one.images * (1 + seeds)) for one in anew),
    ]
    again = [
        *(one._replace(images=one.images * (folds if t >= FEW else 0)) for one in anew),
        *(one._replace(images=one.images * seeds) for one in trained),
    ]
    if _refitted(work, block):
        again += [one._replace(images=OPEN * one.images * (t + v) / t) for one in trained if one.kind in TUNED]
    found += [one._replace(stage="verdict") for one in again]
    found += [Pass("verdict", FROZEN, v, one.gflops) for one in anew if one.kind == ANEW]
    look = 3 * work.test + (0 if tune.strategy == "head_only" else min(t, 2_000) + v)
    found.append(Pass("evaluate", FROZEN, look + COVERED * min(block.evaluate.heat_maps, 0.1 * work.test), work.chosen))
    if _carries(work, block):
        found += [Pass("adapt", FROZEN, work.second + min(v, block.adapt.max_images), g) for g in [*work.gflops, work.chosen]]
    return [one for one in found if one.images]


def _racing(work: Task, block: Params) -> list[float]:
    """GFLOPs of an image of each candidate in the race, as far as they are known before it: the dearest; none if there is no race."""
    race = block.select_source.race
    enough = race.sources > 1 and len(work.gflops) > 1 and work.validation >= folding.LEAST_RACED
    return sorted(work.gflops)[-race.sources :] if enough else []


def _tuning(work: Task, block: Params) -> list[Pass]:
    """The passes of one fine-tuning."""
    tune, t = block.fine_tune, work.train
    if tune.strategy == "head_only":
        return []
    images, held = budget.usual(tune, t) * t, len(averaging.MIXES) * work.validation
    if tune.strategy == "full":
        return [
            Pass("fine_tune", DRAWN, drawn(work, block) * t + work.validation),
            Pass("fine_tune", DEEP, images, WHOLE * work.chosen),
            Pass("fine_tune", FROZEN, held, work.chosen),
        ]
    first = 0 if tune.strategy == "gradual" else work.depth - 1  # of the depths that are trained one after the other
    shares = DEPTHS[min(first, len(DEPTHS) - 1) : work.depth]
    return [
        Pass("fine_tune", FROZEN, drawn(work, block) * t + work.validation, work.chosen),
        *(Pass("fine_tune", TRAINED, images, share * work.chosen) for share in shares),
        Pass("fine_tune", FROZEN, held, shares[-1] * work.chosen),
    ]


def _refitted(work: Task, block: Params) -> bool:
    """Whether what ships is trained once more, if it has been fine-tuned."""
    return block.fine_tune.strategy != "head_only" and folding.if_few(block.verdict.refit, work.validation)


def drawn(work: Task, block: Params) -> int:
    """How many views of each training image are put through the frozen layers."""
    tune = block.fine_tune
    return budget.usual(tune, work.train) if tune.views == "fresh" else budget.views(tune.views, work.train)


def _from_random(work: Task, block: Params) -> list[Pass]:
    """The passes of one training from random weights."""
    base = block.baseline
    small, some = work.chosen * (min(work.size, base.max_size) / work.size) ** 2, min(work.train, base.max_images)
    return (
        [Pass("baseline", DRAWN, base.views * some), Pass("baseline", ANEW, budget.usual(base, some) * some, small)] if base.epochs else []
    )


def expected(work: Task, block: Params, pace: float) -> dict[str, float]:
    """Seconds expected of each stage on a machine of this `pace` (`speed`).

    The figures are fitted to whole runs, of 600 photographs of 300 pixels, 1,797 digits of 8 pixels, and 60 and 320 photographs.
    """
    two = _two()
    seconds = fixed(work, block, two)
    for one in passes(work, block):
        seconds[one.stage] += two * _seconds(one)
    return {name: pace * value for name, value in seconds.items()}


def fixed(work: Task, block: Params, two: float) -> dict[str, float]:
    """Seconds of each stage that do not lie in passes: its start, heads, tests of the verdict; what all cores share counts `two`."""
    if work.grouped:
        return {name: start if name in GROUPED else NOTHING for name, start in STARTS.items()} | {"group_images": grouping(work, block)}
    t = work.train
    scored = min(t, block.select_source.max_images)
    folds = designs.FOLDS if block.verdict.seeds == "auto" and work.validation < folding.ENOUGH_IMAGES else 0
    beside = {
        "select_source": sum(2.2 + two * 0.0013 * scored * work.classes for _ in work.gflops)
        + 8 * len(_racing(work, block))
        + (3 if block.select_source.changes else 0),
        "train_head": two * 0.0016 * (t + min(work.without, block.train_head.max_unlabelled)) * work.classes,
        "verdict": folds + 5 * (block.verdict.runs - 1),
        "evaluate": 0.004 * min(block.evaluate.mapped, work.n),
        "adapt": _carrying(work, block, two),
    }
    none = ({"baseline", "verdict"} if not block.baseline.epochs else set()) | (
        {"fine_tune"} if block.fine_tune.strategy == "head_only" else set()
    )
    return {name: beside.get(name, 0.0) + (NOTHING if name in none else start) for name, start in STARTS.items()}


def _carries(work: Task, block: Params) -> bool:
    """Whether there is a second domain to carry labels over to."""
    return bool(work.second) and block.adapt.when != outcome.NEVER


def _carrying(work: Task, block: Params, two: float) -> float:
    """Seconds in which adapt carries labels over to a second domain, by each source, and fits a head on them."""
    if not _carries(work, block):
        return 0.0
    both = min(work.second, block.adapt.max_images) + min(work.train + work.validation, block.adapt.max_images)
    return len(work.gflops) * CARRIED * both / 1_000 + two * 0.0016 * work.second * work.classes


def whole(work: Task, block: Params, pace: float) -> dict[str, float]:
    """Seconds that training most of the network takes longer than its last stages, by stage; {} if that is not done whatever the head has wrong."""
    tune = block.fine_tune
    if work.grouped or tune.strategy != "last_stages" or work.train + work.validation < budget.FEWEST_WRONG:
        return {}
    epochs = budget.epochs(tune, work.chosen, work.train)
    if not epochs:
        return {}
    deep = pace * _two() * _seconds(Pass("fine_tune", DEEP, epochs * work.train, work.chosen))
    usual = pace * _two() * sum(_seconds(one) for one in _tuning(work, block))
    longer = again(work, block, deep) - OPEN * again(work, block, pace * training(work, block))
    return {"fine_tune": max(0.0, deep - usual), "verdict": max(0.0, longer)}


def again(work: Task, block: Params, seconds: float) -> float:
    """Seconds in which what ships is trained once more, if the training itself took so many."""
    return seconds * (work.train + work.validation) / work.train if _refitted(work, block) else 0.0


def training(work: Task, block: Params) -> float:
    """Seconds of `expected` in which fine_tune trains, on a machine of pace 1."""
    return _two() * sum(_seconds(one) for one in _tuning(work, block) if one.kind in TUNED)


def _two() -> float:
    """Factor on what all cores share: 1 on two of them."""
    return 2 / min(cores.workers(), 16)


def _seconds(one: Pass) -> float:
    """Of one of two cores, on a machine of pace 1."""
    each, flops = SECONDS[one.kind]
    return one.images * (each + flops * one.gflops)


def grouping(work: Task, block: Params) -> float:
    """Seconds in which group_images finds groups, on one core: their number, by the images that settle it, and the groups, by those that are looked at."""
    asked = block.group_images
    settle, found = min(work.n, LARGEST) / 1_000, min(work.n, asked.max_images) / 1_000
    number = len(work.gflops) * (ALONE[0] + ALONE[1] * settle**2) + TOGETHER[0] + TOGETHER[1] * settle**2
    return STARTS["group_images"] + number + FOUND[0] + FOUND[1] * found**2


@cache
def speed() -> float:
    """How slow a core here is beside one of that machine, 1 for as fast: the best of some small matrix products, in time of the processor.

    Measured once for a process: call it before anything else is started. What else runs here is not counted as such, but two threads of one core, and its memory, are shared.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    rows, weights, product = (np.ones(shape, np.float32) for shape in ((64, 320), (320, 640), (64, 640)))
    taken = []
    with threadpool_limits(1):
        for _ in range(40):
            begun = time.thread_time()
            for _ in range(4):
                np.matmul(rows, weights, out=product)
                product *= 0.5
                product += 1.0
                np.maximum(product, 0, out=product)
            taken.append(time.thread_time() - begun)
    return min(taken) / UNIT
