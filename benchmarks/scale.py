"""Validation and indexing by number of rows: time and peak memory, and whether the time grows no faster than the rows.

    python benchmarks/scale.py [--rows 100000 1000000] [--files 10000 100000]

Validation reads and checks a sound manifest of ten classes. The table part of indexing groups near-duplicates by random perceptual hashes
and draws the splits. Indexing in full reads real files, 16x16 PNG of random pixels. Each runs in a process of its own, so that a peak is
that of one size; seconds are without imports. Ends with a line of JSON: rows a second and GiB of the largest validation, and `linear`,
the smallest ratio of rows a second to those of the size before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from workspace import report

from headstart import params

CLASSES = 10


def make_rows(count: int, path: Path) -> None:
    """Write a manifest of `count` different images in which every check holds."""
    import numpy as np
    import pandas as pd

    from headstart import manifest

    random = np.random.default_rng(0)
    numbers = np.arange(count)
    columns: dict[str, Any] = {
        "label": [f"class {number % CLASSES}" for number in numbers],
        "split": np.array(["train", "train", "train", "validation", "test"], object)[numbers // CLASSES % 5],
        "width": random.integers(200, 400, count),
        "height": random.integers(200, 400, count),
        "mode": "RGB",
        "format": "JPEG",
        "bytes": random.integers(10_000, 100_000, count),
        **{name: [random.bytes(size).hex() for _ in numbers] for name, size in (("sha256", 32), ("pixels_sha256", 32), ("phash", 8))},
        "group": numbers,
        "readable": True,
        "reason": "",
    }
    columns["path"] = [f"{label}/{number:07d}.jpg" for number, label in enumerate(columns["label"])]
    manifest.write(pd.DataFrame(columns), path)


def make_files(count: int, path: Path) -> None:
    """Write `count` small pictures in class folders."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(CLASSES):
        (path / f"class {number}").mkdir(parents=True)
    for number in range(count):
        picture = Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8))
        picture.save(path / f"class {number % CLASSES}" / f"{number:07d}.png", compress_level=1)


def validation(path: Path) -> float:
    """Read and check a manifest; returns seconds."""
    import great_expectations  # noqa: F401

    from headstart import expectations, manifest
    from headstart import validation as checks

    limits = expectations.Limits(**params.kwargs(params.Params(), "validate_data"))
    started = time.perf_counter()
    result = checks.validate(manifest.read(path), limits)
    seconds = time.perf_counter() - started
    assert not result["critical"] + result["warnings"], result
    return seconds


def index_table(path: Path) -> float:
    """Group near-duplicates and draw splits, for the rows of a manifest; returns seconds."""
    from headstart import duplicates, manifest, splits

    table = manifest.read(path).assign(split="")
    settings = params.kwargs(params.Params(), "index_images")
    shares = {name: settings[name] for name in ("test_share", "validation_share")}
    started = time.perf_counter()
    table["group"] = duplicates.group(
        table["phash"], table["pixels_sha256"], settings["duplicate_distance"], settings["duplicate_group_limit"]
    )
    table["split"] = splits.assign(table, **shares, seed=0)
    seconds = time.perf_counter() - started
    assert set(table["split"]) == {"train", "validation", "test"}
    return seconds


def index_files(path: Path) -> float:
    """Index a folder of images in full; returns seconds."""
    from headstart import manifest

    started = time.perf_counter()
    table = manifest.index(path, **params.kwargs(params.Params(), "index_images"), seed=0)
    seconds = time.perf_counter() - started
    assert table["readable"].all()
    return seconds


PARTS = {"validation": (make_rows, validation), "index, table": (make_rows, index_table), "index, files": (make_files, index_files)}


def child(part: str, count: int, path: Path) -> tuple[Any, float]:
    """Make the input (part "make NAME") or run a part, in a process of its own; returns what it says and its peak memory in GiB.

    This process makes nothing itself: Linux counts the memory that a parent holds at the start to the peak of its child.
    """
    command = [sys.executable, __file__, "--child", part, str(count), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{part} of {count} failed")
    return json.loads(said), usage.ru_maxrss / 1024**2


def work(part: str, count: int, path: Path) -> None:
    """What a child does: make an input, or run a part and print its seconds."""
    make, run = PARTS[part.removeprefix("make ")]
    print(json.dumps(make(count, path) if part.startswith("make ") else run(path)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return work(options.child[0], int(options.child[1]), Path(options.child[2]))
    rows: list[dict[str, Any]] = []
    print(f"{'what':<14}{'rows':>10}{'seconds':>10}{'rows/s':>10}{'GiB':>7}{'ratio':>7}")
    for part in PARTS:
        before = None
        for count in sorted(options.files if PARTS[part][0] is make_files else options.rows):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "input"
                child(f"make {part}", count, path)
                seconds, peak = child(part, count, path)
            speed = count / seconds
            rows.append({"what": part, "rows": count, "seconds": round(seconds, 2), "rows_per_s": round(speed), "peak_gib": round(peak, 2)})
            rows[-1]["ratio"] = round(speed / before, 2) if before else None
            before = speed
            print(f"{part:<14}{count:>10,}{seconds:>10.2f}{speed:>10,.0f}{peak:>7.2f}{rows[-1]['ratio'] or '':>7}", flush=True)
    largest = [row for row in rows if row["what"] == "validation"][-1]
    ratios = [row["ratio"] for row in rows if row["ratio"]]
    report({"rows_per_s": largest["rows_per_s"], "peak_gib": largest["peak_gib"], "linear": min(ratios, default=None), "measured": rows})


if __name__ == "__main__":
    main()
