"""What lies before a run: how many images, of which size, and how much work a candidate is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.projects import images
from headstart.base import outputs
from headstart.data import photos, settings
from headstart.data.settings import no_labels, two_domains
from headstart.indexing import layout
from headstart.params import Params
from headstart.training import budget

SAMPLE = 16  # images that are looked at for their size
UPSCALE, SMALLEST = 8, 32  # input_size: auto is at most so many times the median shorter side, and no less than so many pixels
# GFLOPs at the input size (pixels) of candidates that nothing else knows before they were ranked once
KNOWN = {"wheel:efficientnet_lite0": (0.384, 224), "wheel:efficientnet_lite1": (0.599, 240), "wheel:efficientnet_lite2": (0.858, 260)}


@dataclass(frozen=True)
class Task:
    """What a run has before it, as far as its length depends on it."""

    n: int  # images
    train: int
    validation: int
    test: int
    classes: int
    side: int  # median shorter side, pixels
    gflops: Sequence[float]  # of an image at its input size, of each candidate
    chosen: float  # the same of the source that the later stages use, as far as it is known
    size: int  # its input size, pixels
    depth: int = budget.USUAL_DEPTH  # its stages that are retrained, as far as it is known
    without: int = 0  # images without labels beside them
    second: int = 0  # images of a second domain, which have none either
    grouped: bool = False  # whether no image has a label, so that they are put into groups


def task(block: Params) -> Task:
    """What lies before a run here. Raises LookupError if a candidate is not known well enough, or if a GPU would do the work."""
    if block.device != "cpu" and shutil.which("nvidia-smi"):
        raise LookupError("how fast a GPU is is not known")
    counts = _counts(block)
    side = _side()
    gflops, chosen, size, depth = _sources(block, side)
    return Task(**counts, side=side, gflops=gflops, chosen=chosen, size=size, depth=depth, grouped=no_labels.marked(images.IMAGES))


def settled(work: Task, block: Params) -> Task:
    """The same with the source that has been chosen meanwhile; no image is looked at."""
    gflops, chosen, size, depth = _sources(block, work.side)
    return replace(work, gflops=gflops, chosen=chosen, size=size, depth=depth)


def _sources(block: Params, side: int) -> tuple[list[float], float, int, int]:
    """GFLOPs of an image of each candidate, and GFLOPs, input size (pixels) and stages to retrain of the chosen one, or of the middle one if none is chosen yet.

    side: median shorter side of the images, pixels. Raises LookupError if a candidate is not known well enough.
    """
    ranking = outputs.read_object(Path("reports/ranking.json"))
    ranked = {row["name"]: row for row in ranking.get("candidates") or [] if row.get("gflops")}
    sizes: dict[str, tuple[float, int]] = {}
    for name in block.select_source.candidates:
        flops, size = (ranked[name]["gflops"], ranked[name]["input_size"]) if name in ranked else KNOWN[name]
        wanted = block.select_source.input_size
        used = wanted if isinstance(wanted, int) else min(size, max(SMALLEST, UPSCALE * side))
        sizes[name] = flops * (used / size) ** 2, used
    chosen = str(ranking.get("chosen"))
    last = sizes.get(chosen) or sorted(sizes.values())[len(sizes) // 2]
    depth = budget.depth(block.fine_tune.depth, ranking.get("depth") if chosen in sizes else None)
    return [flops for flops, _ in sizes.values()], *last, depth


def _counts(block: Params) -> dict[str, int]:
    """How many images and classes there are, how many images each split will have, and how many have no label."""
    setting = settings.of(images.IMAGES)
    beside = "second" if setting is two_domains.TWO_DOMAINS else "without"
    without = len(setting.unlabelled(images.IMAGES))
    if no_labels.marked(images.IMAGES):
        n = sum(1 for _ in photos.walk(images.IMAGES))
        return {"n": n, "train": n, "validation": 0, "test": 0, "classes": 0}
    files: dict[str, int] = {}
    classes: set[str] = set()
    for place, _, names in os.walk(images.IMAGES):
        parts = Path(place).relative_to(images.IMAGES).parts
        if parts and names and not parts[0].startswith("."):
            split = next((split for split, folder in layout.FOLDERS.items() if folder == parts[0]), "") if len(parts) > 1 else ""
            files[split] = files.get(split, 0) + len(names)
            classes.add(parts[-1])
    n = sum(files.values())
    test = files.get("test") or round(block.index_images.test_share * n)
    validation = files.get("validation") or round(block.index_images.validation_share * (n - test))
    return {"n": n, "train": n - test - validation, "validation": validation, "test": test, "classes": len(classes), beside: without}


def _side() -> int:
    """The median shorter side (pixels) of some images. Raises LookupError if none can be read."""
    from PIL import Image

    sides: list[int] = []
    for place, _, names in os.walk(images.IMAGES):
        for name in sorted(names)[: SAMPLE // 4]:
            try:
                with Image.open(Path(place, name)) as image:
                    sides.append(min(image.size))
            except Exception:  # whatever Pillow raises at what is no picture
                continue
        if len(sides) >= SAMPLE:
            break
    return sorted(sides)[len(sides) // 2]
