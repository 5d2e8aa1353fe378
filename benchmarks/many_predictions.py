"""`headstart predict` on many files, one in a hundred of them bad: one run, its memory, and its rate beside the frozen pass.

    python benchmarks/many_predictions.py MODEL [--images 10000] [--few 1000] [--turns 5]

MODEL is a finished model (models/final of a project). Pictures are JPEGs of 500x375, made here; of a hundred, one is cut off or no picture at all. The command runs on --few and on --images
of them, in a process of its own. Then slices of --few files go through `predict` and through the frozen pass alone (decoding, resizing, hashing, the same engine, stored features) by turns, in one
process. Ends with a line of JSON: `rate_ratio` is the median of the turns.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from workspace import report

from headstart.base.cores import in_order
from headstart.features import extraction, predict
from headstart.features.answered import Answer
from headstart.features.transforms import View
from headstart.indexing import indexer
from headstart.params import Params, kwargs

BAD = 100  # one of so many files


def make(folder: Path, count: int) -> None:
    """Write `count` files: pictures of coarse noise, and in between what cannot be read."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
        if number % BAD == BAD - 1:
            path.write_bytes(path.read_bytes()[:2000] if number % (2 * BAD) == BAD - 1 else b"no picture")


def command(folder: Path, model: Path, out: Path) -> dict[str, Any]:
    """One run of the command: seconds, MiB at most, lines, and how many of them have no label."""
    began = time.monotonic()
    words = [sys.executable, "-m", "flows.cli.main", "predict", str(folder), "--model", str(model), "--out", str(out)]
    process = subprocess.Popen(words, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("headstart predict failed")
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    unreadable = sum(not row["label"] for row in rows)
    told = {"seconds": time.monotonic() - began, "mib": usage.ru_maxrss / 1024, "lines": len(rows), "unreadable": unreadable}
    print(told, file=sys.stderr, flush=True)
    return told


def turns(folder: Path, model: Path, few: int, repeat: int) -> list[float]:
    """How fast `predict` is beside the frozen pass, on slices of `few` files by turns; the first turn does not count."""
    ready, ratios = predict.Ready.of(model), []
    view = View.of_card(ready.card)
    files = sorted(folder.iterdir())
    for turn in range(repeat + 1):
        part = files[turn * few % len(files) :][:few]
        with tempfile.TemporaryDirectory() as scratch:
            sliced = Path(scratch) / "images"
            for number, path in enumerate(part):  # in two folders, as an index wants classes
                place = sliced / "ab"[number % 2]
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)
            table = indexer.index(sliced, **kwargs(Params(), "index_images"), seed=0)
            table = table[table["readable"]].reset_index(drop=True)

            def frozen_pass(table: Any = table, sliced: Path = sliced, scratch: str = scratch) -> None:
                extraction.extract(ready.frozen, table, sliced, view, folder=Path(scratch) / "features", what="images")

            taken = {}
            sides: list[tuple[str, Callable[[], object]]] = [
                ("predict", partial(_ask, ready, part)),
                ("frozen", frozen_pass),
            ]
            for name, work in sides if turn % 2 else sides[::-1]:
                began = time.perf_counter()
                work()
                taken[name] = time.perf_counter() - began
        ratios.append(taken["frozen"] / len(table) / (taken["predict"] / len(part)))
        print(
            f"turn {turn}: predict {len(part) / taken['predict']:.1f}, frozen pass {len(table) / taken['frozen']:.1f} files/s", flush=True
        )
    return ratios[1:]


def _ask(ready: predict.Ready, files: list[Path]) -> list[Answer]:
    return list(in_order(ready.ask, files))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    model = given.model.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch) / "few", given.few)
        make(Path(scratch) / "many", given.images)
        few, many = (command(Path(scratch) / name, model, Path(scratch) / f"{name}.csv") for name in ("few", "many"))
        ratios = turns(Path(scratch) / "many", model, given.few, given.turns)
    row = {"few": few, "many": many, "turns": [round(ratio, 3) for ratio in ratios], "rate_ratio": statistics.median(ratios)}
    report({"benchmark": "many_predictions", **row})


if __name__ == "__main__":
    main()
