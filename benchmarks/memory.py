"""Peak memory of every stage on 2,000 and on 20,000 images: it must not grow beyond tables and memory-mapped caches.

    python benchmarks/memory.py [--images 2000 20000]

Images are random 48x48 pictures of three colours, seen by EfficientNet-Lite0 at 64 pixels, one view, one epoch: memory depends on
how many there are, not on what they show. Ends with a line of JSON: MiB a stage and number of images, and the largest growth.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from workspace import Workspace, report

from headstart.params import STAGES

SMALL = ["select_source.candidates=[wheel:efficientnet_lite0]", "select_source.input_size=64", "fine_tune.views=1", "fine_tune.epochs=1"]


def make(folder: Path, count: int) -> None:
    """Write `count` pictures in three classes."""
    random = np.random.default_rng(0)
    for number in range(count):
        target = folder / "abc"[number % 3] / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        low = random.integers(0, 256, (6, 6, 3))
        low[..., number % 3] = 255 - low[..., number % 3] // 4
        Image.fromarray(low.astype(np.uint8)).resize((48, 48)).save(target)


def measure(space: Workspace, name: str) -> float:
    """Run one stage; returns its peak resident memory in MiB."""
    process = subprocess.Popen([sys.executable, "-m", f"tasks.{name}"], cwd=space.folder, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 20_000])
    options = parser.parse_args()
    peaks: dict[str, dict[int, int]] = {name: {} for name in STAGES}
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            space = Workspace(Path(folder) / "checkout")
            space.set(*SMALL)
            make(space.folder / "data/images", count)
            for name in STAGES:
                peaks[name][count] = round(measure(space, name))
                print(f"{name}: {count} images, {peaks[name][count]} MiB", flush=True)
    growth = {name: max(values.values()) - min(values.values()) for name, values in peaks.items()}
    report({"peak_mib": peaks, "growth_mib": growth, "largest_growth_mib": max(growth.values())})


if __name__ == "__main__":
    main()
