"""Accuracy and time of the whole pipeline (`dvc repro`) on a folder of images, over several seeds.

    python benchmarks/pipeline.py FOLDER [--seeds 5] [--cold] [--set block.name=value ...]

With --cold each seed starts with empty caches; otherwise frozen features of an earlier seed are used again. Ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from workspace import Workspace, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        space = Workspace(Path(folder) / "checkout")
        space.run("headstart", "import", str(options.folder.resolve()))
        for seed in range(options.seeds):
            if options.cold:
                shutil.rmtree(space.folder / ".headstart", ignore_errors=True)
            space.set(f"seed={seed}", *options.set)
            seconds = space.run("dvc", "repro")
            metrics = space.read("reports/metrics.json")
            rows.append(
                {
                    "seed": seed,
                    "seconds": round(seconds, 1),
                    "source": metrics["source"],
                    "shipped": metrics["shipped"],
                    **{arm: round(metrics[arm]["accuracy"], 4) for arm in ("test", "head", "fine_tuned") if metrics.get(arm)},
                    "n_test": metrics["n_test"],
                }
            )
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    errors = {arm: sum(round((1 - row[arm]) * row["n_test"]) for row in rows) for arm in ("test", "head")}
    mean = statistics.mean(row["test"] for row in rows)
    report({"mean_accuracy": round(mean, 4), "error_ratio": round(errors["test"] / max(errors["head"], 1), 3), "runs": rows})


if __name__ == "__main__":
    main()
