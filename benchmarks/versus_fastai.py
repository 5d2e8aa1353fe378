"""Headstart against fastai's documented recipe: same trunk weights (EfficientNet-Lite0), split, image size and machine, one after the other.

    python benchmarks/versus_fastai.py ANTS_BEES SIGN_DIGITS [--only ants|signs]

Needs fastai (`pip install -e .[bench]`). Folders of labelled images: the first has train/ and val/, the second a folder a class. fastai
(fastai_peer.py) trains on train and validation together and validates on the test split, and its best epoch there counts; every time is
that of whole processes, from start to end. Of Headstart are timed, on the first folder by the median of 3 (--repeats), as runs of a minute
differ by a tenth on one machine: one process up to a saved frozen head (one_process.py; with the exported network of an earlier run at hand
and nothing that knows the images, and cold, with nothing), `dvc repro` in a new project from nothing, without race, baseline and averages (`pipeline`) and with the default parameters (`pipeline_proved`), and, on the second folder with 30%
as test, one process up to a saved fine-tuned model, from nothing. Accuracies are of the saved models on the test split, measured outside the times.

Ends with a line of JSON. fast_ratio_*: fastai's seconds / ours. accuracy_gain: points of `dvc repro` above fastai's best epoch.
sign_to_099_ratio: our seconds / fastai's, null where our test accuracy is below 0.99.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import one_process
import pandas as pd
from workspace import ROOT, report, run

from headstart import params
from headstart.features import predict
from headstart.networks import sources

SOURCE = "wheel:efficientnet_lite0"
EPOCHS = {"ants": 5, "signs": 4}  # of fastai, after one with the body frozen
TEST_SHARE = {"ants": 0.2, "signs": 0.3}  # where the folders give no split
GOAL = 0.99
UNPROVED = ("select_source.race.sources=0", "baseline.epochs=0", "verdict.average=false")  # transfer, without the proof that it helped


def timed(script: str, *words: str | Path, folder: Path) -> float:
    """Run a script of this folder in `folder`; else as workspace.run."""
    folder.mkdir(parents=True, exist_ok=True)
    return run(sys.executable, str(ROOT / "benchmarks" / script), *map(str, words), folder=folder)


def fastai(images: Path, table: pd.DataFrame, folder: Path, *words: str) -> dict[str, Any]:
    """Seconds, and the test accuracy after each epoch, of fastai on the split of `table`."""
    from safetensors.torch import save_file

    out = folder / "fastai"
    out.mkdir()
    table.assign(is_valid=table["split"] == "test")[["path", "label", "is_valid"]].to_csv(out / "table.csv", index=False)
    source = sources.load(SOURCE)
    save_file(source.trunk.state_dict(), out / "weights.safetensors")
    subprocess.run([sys.executable, "-c", "import fastai.vision.all"], check=True)  # so that the first reading of its files is not timed
    seconds = timed(
        "fastai_peer.py", images, out / "table.csv", out / "weights.safetensors", out, "--arch", source.architecture, *words, folder=out
    )
    result = json.loads((out / "result.json").read_text())
    accuracies = result["accuracies"]
    print(f"fastai: {seconds:.1f} s, test accuracy after each epoch {accuracies}", flush=True)
    return {"seconds": round(seconds, 1), "best_accuracy": max(accuracies), "last_accuracy": accuracies[-1], **result}


def one(what: str, images: Path, table: pd.DataFrame, folder: Path, *words: str, warm: bool = False, repeats: int = 1) -> dict[str, Any]:
    """Median seconds and test accuracy of one_process.py, from nothing or with what an earlier run has kept of the source alone."""
    seconds = []
    for _ in range(repeats):
        for path in (folder / "model", *(folder / ".headstart").glob("*")):
            if not (warm and path.name in ("engines", "sources")):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        seconds.append(round(timed("one_process.py", images, folder / "model", "--source", SOURCE, *words, folder=folder), 2))
    right = accuracy(images, table[table["split"] == "test"], folder)
    print(f"{what}: {seconds} s, test accuracy {right:.4f}", flush=True)
    return {"seconds": statistics.median(seconds), "accuracy": right, "runs": seconds}


def accuracy(images: Path, test: pd.DataFrame, folder: Path) -> float:
    """Share of the test images that the model in folder/model labels rightly."""
    apart = folder / "predict"  # with caches of its own
    apart.mkdir(exist_ok=True)
    with contextlib.chdir(apart):
        found = [answer.label for answer in predict.predict([images / path for path in test["path"]], folder / "model")]
    return round(float((test["label"].to_numpy() == found).mean()), 4)


def pipeline(images: Path, folder: Path, *assignments: str, repeats: int) -> dict[str, Any]:
    """Median seconds and test accuracy of `dvc repro` from nothing in a new project, with changes to the default parameters."""
    seconds = []
    for _ in range(repeats):
        shutil.rmtree(folder, ignore_errors=True)
        run("headstart", "new", str(folder), folder=folder.parent)
        params.write(params.parse(list(assignments)), folder / "params.yaml")
        run("headstart", "import", str(images), folder=folder)
        shutil.rmtree(folder / ".headstart", ignore_errors=True)
        seconds.append(round(run("dvc", "repro", folder=folder), 1))
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    result = {key: metrics[key] for key in ("source", "shipped", "n_test")}
    print(f"dvc repro {' '.join(assignments)}: {seconds} s, test accuracy {metrics['test']['accuracy']:.4f}", flush=True)
    return {"seconds": statistics.median(seconds), "accuracy": round(metrics["test"]["accuracy"], 4), "runs": seconds, **result}


def ants(images: Path, table: pd.DataFrame, folder: Path, peer: dict[str, Any], repeats: int) -> dict[str, Any]:
    """The frozen head, without and with an exported network at hand, and the whole pipeline."""
    cold = one("frozen head, cold", images, table, folder / "head", repeats=repeats)
    warm = one("frozen head", images, table, folder / "head", warm=True, repeats=repeats)
    whole = pipeline(images, folder / "unproved", *UNPROVED, repeats=repeats)
    proved = pipeline(images, folder / "proved", repeats=repeats)
    arms = {"frozen": warm, "frozen_cold": cold, "pipeline": whole, "pipeline_proved": proved}
    ratios = {f"fast_ratio_{name}": round(peer["seconds"] / ours["seconds"], 2) for name, ours in arms.items()}
    gain = round(100 * (whole["accuracy"] - peer["best_accuracy"]), 2)
    return {**ratios, "accuracy_gain": gain, "ants": {"fastai": peer, **arms}}


def signs(images: Path, table: pd.DataFrame, folder: Path, peer: dict[str, Any]) -> dict[str, Any]:
    """The fine-tuned model."""
    ours = one("fine-tuned", images, table, folder / "tuned", "--fine-tune", "--test-share", str(TEST_SHARE["signs"]))
    ratio = round(ours["seconds"] / peer["seconds"], 3) if ours["accuracy"] >= GOAL else None
    return {"sign_to_099_ratio": ratio, "signs": {"fastai": peer, "fine_tuned": ours}}


def show(row: dict[str, Any]) -> None:
    """Print a table of all arms, and the ratios."""
    print(f"\n{'':24}{'seconds':>10}{'accuracy':>10}")
    for data in [data for data in EPOCHS if data in row]:
        for name, found in row[data].items():
            if isinstance(found, dict):
                print(f"{f'{data}: {name}':24}{found['seconds']:10.1f}{found.get('best_accuracy', found.get('accuracy')):10.4f}")
    for key in [key for key in row if key not in EPOCHS]:
        print(f"{key:24}{row[key]!s:>10}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ants", type=Path)
    parser.add_argument("signs", type=Path)
    parser.add_argument("--only", choices=list(EPOCHS))
    parser.add_argument("--epochs", type=int, help="fewer for fastai, to try this out")
    parser.add_argument("--batch-size", type=int, default=64, help="fastai's, which needs as many training images")
    parser.add_argument("--repeats", type=int, default=3, help="of everything of ours on ants and bees, of which the medians count")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # with byte code, as what is installed is: ours, and fastai's when it is imported first
    for name in ("headstart", "tasks"):
        compileall.compile_dir(ROOT / name, quiet=1)
    row: dict[str, Any] = {}
    for data in [options.only] if options.only else EPOCHS:
        images: Path = getattr(options, data).resolve()
        table = one_process.index(images, params.check({"index_images": {"test_share": TEST_SHARE[data]}}))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            words = ("--epochs", str(options.epochs or EPOCHS[data]), "--batch-size", str(options.batch_size))
            peer = fastai(images, table, folder, *words)
            row |= ants(images, table, folder, peer, options.repeats) if data == "ants" else signs(images, table, folder, peer)
            row[data] |= {"n_train": int((table["split"] != "test").sum()), "n_test": int((table["split"] == "test").sum())}
    show(row)
    report(row)


if __name__ == "__main__":
    main()
