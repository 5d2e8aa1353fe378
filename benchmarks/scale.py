"""Validation and indexing by number of rows: time and peak memory, and whether the time grows no faster than the rows.

    python benchmarks/scale.py [--rows 100000 1000000] [--files 10000 100000] [--thumbnails 2000 10000 50000] [--only PART]

Validation reads and checks a sound manifest of ten classes. The table part of indexing groups near-duplicates by random perceptual hashes
and draws the splits. Indexing in full reads real files, 16x16 PNG of random pixels. The frozen pass puts thumbnails, JPEG of 64 pixels, through
EfficientNet-Lite0 at that size, on the cores of this machine and on as many of a local Ray cluster, whose start and first shards do not count; `worker_gib` is
the most memory that one of its workers had. Each runs in a process of its own, so that a peak is
that of one size; seconds are without imports, `cpu` are those of all cores together. Ends with a line of JSON: rows a second and GiB of
the largest validation; `linear`, the smallest ratio of rows a second to those of the size before; and `linear_cpu`, the same by CPU
time, which other work on the machine disturbs less; `ray_overhead_seconds` and `ray_overhead_cpu`, what the frozen pass takes on Ray over what it
takes without, less 1, at the largest number of thumbnails; and `growth_mib`, what the peak of that without Ray grew by for each thousand thumbnails more.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from workspace import report

from headstart import params

CLASSES = 10
Seconds = dict[str, float]


@contextlib.contextmanager
def timed() -> Iterator[Seconds]:
    """Measure a block: "seconds" on the clock and "cpu", filled in when it ends."""
    seconds: Seconds = {}
    clock, cpu = time.perf_counter(), time.process_time()
    yield seconds
    seconds |= {"seconds": time.perf_counter() - clock, "cpu": time.process_time() - cpu}


def make_rows(count: int, path: Path) -> None:
    """Write a manifest of `count` different images in which every check holds."""
    import numpy as np
    import pandas as pd

    from headstart.data import manifest

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


def validation(path: Path) -> Seconds:
    """Read and check a manifest."""
    import great_expectations  # noqa: F401

    from headstart.checks import expectations
    from headstart.checks import validation as validation_module
    from headstart.data import manifest

    limits = expectations.Limits(**params.kwargs(params.Params(), "validate_data"))
    with timed() as seconds:
        result = validation_module.validate(manifest.read(path), limits)
    assert not result["critical"] + result["warnings"], result
    return seconds


def index_table(path: Path) -> Seconds:
    """Group near-duplicates and draw splits, for the rows of a manifest."""
    from headstart.data import manifest
    from headstart.indexing import duplicates, splits

    table = manifest.read(path).assign(split="")
    settings = params.kwargs(params.Params(), "index_images")
    shares = {name: settings[name] for name in ("test_share", "validation_share")}
    near = {"distance": settings["duplicate_distance"], "limit": settings["duplicate_group_limit"]}
    with timed() as seconds:
        table["group"] = duplicates.group(table["phash"], table["pixels_sha256"], **near)
        table["split"] = splits.assign(table, **shares, seed=0)
    assert set(table["split"]) == {"train", "validation", "test"}
    return seconds


def index_files(path: Path) -> Seconds:
    """Index a folder of images in full."""
    from headstart.indexing import indexer

    with timed() as seconds:
        table = indexer.index(path, **params.kwargs(params.Params(), "index_images"), seed=0)
    assert table["readable"].all()
    return seconds


def make_thumbnails(count: int, path: Path) -> None:
    """Write `count` small JPEG photographs in class folders, and their manifest."""
    import numpy as np
    from PIL import Image

    from headstart.data import manifest
    from headstart.indexing import indexer

    random = np.random.default_rng(0)
    for number in range(CLASSES):
        (path / f"images/class {number}").mkdir(parents=True)
    for number in range(count):
        picture = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.save(path / f"images/class {number % CLASSES}/{number:07d}.jpg", quality=90)
    manifest.write(indexer.index(path / "images", **params.kwargs(params.Params(), "index_images"), seed=0), path / "manifest.parquet")


def frozen_pass(path: Path, beside: Callable[[], float] = lambda: 0.0) -> Seconds:
    """Features of thumbnails, on the executor in use; a pass over few of them has started everything before.

    `beside` gives the CPU seconds that other processes have had.
    """
    from functools import partial

    from headstart.data import manifest
    from headstart.features import extraction
    from headstart.features.transforms import View
    from headstart.networks import model, sources

    os.chdir(path)
    table = manifest.read(Path("manifest.parquet"))
    source = sources.load("wheel:efficientnet_lite0")
    frozen = extraction.Frozen.of(partial(model.trunk, source), "benchmark", SIDE)
    view = View(SIDE, source.transform.interpolation)
    extraction.SHARD = 64
    extraction.extract(frozen, table[:512], Path("images"), view, folder=Path("start"), what="the first images")
    extraction.SHARD = 1024
    before = beside()
    with timed() as seconds:
        rows = extraction.extract(frozen, table, Path("images"), view, folder=Path("features"), what="images")
        digest = hashlib.sha256()
        for start in range(0, len(rows), 1024):
            digest.update(rows[start : start + 1024].tobytes())
    seconds["cpu"] += beside() - before
    print(f"features of {len(rows):,} images: SHA-256 {digest.hexdigest()[:16]}", file=sys.stderr)
    return seconds


def frozen_on_ray(path: Path) -> Seconds:
    """The same on a Ray cluster of this machine."""
    from headstart.base import executor

    with executor.using("ray"):
        seconds = frozen_pass(path, _cpu_of_ray)
    return seconds | {"worker_gib": round(max(_peaks(), default=0.0), 2)}


def _of_ray() -> Iterator[Path]:
    """The places in /proc of the processes of Ray on this machine: workers, and what serves them."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (place / "cmdline").read_bytes()
            if command.startswith(b"ray::") or b"/raylet/raylet" in command or b"/gcs/gcs_server" in command:
                yield place


def _peaks() -> Iterator[float]:
    """The most memory (GiB) that each process of Ray has had."""
    for place in _of_ray():
        lines = [line for line in (place / "status").read_text().splitlines() if line.startswith("VmHWM:")]
        yield from (int(line.split()[1]) / 1024**2 for line in lines)


def _cpu_of_ray() -> float:
    """The CPU seconds that the processes of Ray have had."""
    ticks = (place.joinpath("stat").read_text().rpartition(")")[2].split()[11:13] for place in _of_ray())
    return sum(int(user) + int(system) for user, system in ticks) / os.sysconf("SC_CLK_TCK")


SIDE = 64  # pixels of a thumbnail
FROZEN, RAY = "frozen pass", "frozen, Ray"
PARTS = {"validation": (make_rows, validation), "index, table": (make_rows, index_table), "index, files": (make_files, index_files)}
PARTS |= {FROZEN: (make_thumbnails, frozen_pass), RAY: (make_thumbnails, frozen_on_ray)}


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


def measure(part: str, count: int) -> dict[str, Any]:
    """Make an input of `count` rows and run a part on it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        child(f"make {part}", count, path)
        took, peak = child(part, count, path)
    speed = round(count / took["seconds"])
    return {
        "what": part,
        "rows": count,
        **{name: round(value, 3) for name, value in took.items()},
        "rows_per_s": speed,
        "peak_gib": round(peak, 3),
    }


def work(part: str, count: int, path: Path) -> None:
    """What a child does: make an input, or run a part and print its seconds."""
    make, run = PARTS[part.removeprefix("make ")]
    print(json.dumps(make(count, path) if part.startswith("make ") else run(path)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--thumbnails", type=int, nargs="+", default=[2_000, 10_000, 50_000])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts; all if left out")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return work(options.child[0], int(options.child[1]), Path(options.child[2]))
    rows: list[dict[str, Any]] = []
    print(f"{'what':<14}{'rows':>10}{'seconds':>10}{'cpu':>8}{'rows/s':>10}{'GiB':>7}{'ratio':>7}{'by cpu':>8}")
    counts: dict[Any, list[int]] = {make_rows: options.rows, make_files: options.files, make_thumbnails: options.thumbnails}
    for part, (make, _) in [(part, made) for part, made in PARTS.items() if part in options.only]:
        smaller: dict[str, Any] = {}
        for count in sorted(counts[make]):
            row = measure(part, count)
            for name in ("seconds", "cpu"):
                row[f"ratio_{name}"] = round(count / row[name] * smaller[name] / smaller["rows"], 2) if smaller else None
            rows.append(row)
            smaller = row
            line = f"{part:<14}{count:>10,}{row['seconds']:>10.2f}{row['cpu']:>8.2f}{row['rows_per_s']:>10,}{row['peak_gib']:>7.2f}"
            print(f"{line}{row['ratio_seconds'] or '':>7}{row['ratio_cpu'] or '':>8}", flush=True)
    linear = {name: min([row[name] for row in rows if row[name]], default=None) for name in ("ratio_seconds", "ratio_cpu")}
    figures = {"linear": linear["ratio_seconds"], "linear_cpu": linear["ratio_cpu"], **_of_thumbnails(rows), "measured": rows}
    checked = [row for row in rows if row["what"] == "validation"][-1:]
    report({**{name: row[name] for row in checked for name in ("rows_per_s", "peak_gib")}, **figures})


def _of_thumbnails(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the frozen pass on Ray takes more, and how memory grows."""
    alone, on_ray = ([row for row in rows if row["what"] == part] for part in (FROZEN, RAY))
    found: dict[str, Any] = {}
    if alone and on_ray:
        found |= {f"ray_overhead_{name}": round(on_ray[-1][name] / alone[-1][name] - 1, 3) for name in ("seconds", "cpu")}
    if len(alone) > 1:
        more = (alone[-1]["rows"] - alone[0]["rows"]) / 1000
        found["growth_mib"] = round(1024 * (alone[-1]["peak_gib"] - alone[0]["peak_gib"]) / more, 2)
    return found


if __name__ == "__main__":
    main()
