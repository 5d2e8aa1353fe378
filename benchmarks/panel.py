"""Headstart against plain fine-tuning on several folders: same weights (EfficientNet-Lite0), split and input size.

    python benchmarks/panel.py FOLDER[:none|h|hv] ... [--seeds 3] [--first 0] [--epochs 20] [--images 400] [--peers plain fastai] [--set fine_tune.whole=0]

The word after a folder says which mirrors suit it, for the peers (default h); Headstart finds out itself. Each seed draws `--images` images
to train and validate on, and tests on the others. Sides: the frozen head, the fine-tuned model and what ships of the default pipeline (without race and baseline),
and two peers that know nothing of Headstart: plain_peer.py and fastai's `fine_tune` (fastai_peer.py, needs `pip install -e .[bench]`;
its last epoch counts, trained without the test images). Prints a line per folder and seed as it goes, so that a run that is ended has shown what
it measured, and ends with a line of JSON: the means over the panel in points, `default_against_best_peer`, `worst_set`,
`default_against_head`, `ship_regret` (the best arm of ours in hindsight, less what ships) and `passes_ratio` (our image passes / those of the plain peer).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from workspace import ROOT, Workspace, report

from headstart.data import sampling
from headstart.networks import sources

SOURCE = "wheel:efficientnet_lite0"
SETTINGS = (f"select_source.candidates=[{SOURCE}]", "select_source.race.sources=0", "baseline.epochs=0")
MEASURES = ("accuracy", "balanced_accuracy")


def drawn(images: Path, train: int, test: int, seed: int, folder: Path) -> Path:
    """A folder with train/ and test/: links to about so many images of another, in proportion to its classes.

    Where the other has train/ and val/, these are kept apart. Each seed draws other images.
    """
    table = pd.DataFrame({"path": sorted(path for path in images.rglob("*") if path.is_file())})
    table = table.assign(
        label=[path.parent.name for path in table["path"]], sha256=[str(path.relative_to(images)) for path in table["path"]]
    )
    apart = pd.Series([path.relative_to(images).parts[0] == "val" for path in table["path"]])
    first = sampling.sample(table[~apart], train, seed)
    rest = table[apart] if apart.any() else table[~table["path"].isin(first["path"])]
    for split, rows in (("train", first), ("test", sampling.sample(rest, test, seed))):
        for path, label in zip(rows["path"], rows["label"], strict=True):
            place = folder / split / label / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return folder


def ours(images: Path, folder: Path, seed: int, settings: list[str]) -> tuple[Workspace, dict[str, Any]]:
    """The default pipeline: figures of its arms, and its image passes."""
    space = Workspace(folder)
    space.set(f"seed={seed}", *SETTINGS, *settings)
    space.run("headstart", "import", str(images))
    seconds = space.run("dvc", "repro")
    metrics, tuned = space.read("reports/metrics.json"), space.read("models/fine_tuned/summary.json")
    passes = sum(one["image_passes"] for one in tuned["tries"])
    if metrics["shipped"] != "head" and "validation" in space.read("models/chosen/summary.json")["fitted_on"]:  # trained once more, on both
        images = tuned["validation"]["n"] + tuned["tries"][0]["image_passes"] // tuned["tries"][0]["epochs"]
        passes += sum(phase["epochs"] for phase in tuned["phases"]) * images
    arms = {arm: {key: metrics[arm][key] for key in MEASURES} for arm in ("head", "fine_tuned", "test") if metrics.get(arm)}
    return space, {**arms, "shipped": metrics["shipped"], "seconds": round(seconds, 1), "image_passes": passes}


def peer(script: str, images: Path, table: pd.DataFrame, folder: Path, *words: str) -> dict[str, Any]:
    """What a peer left in result.json."""
    from safetensors.torch import save_file

    folder.mkdir()
    table.to_csv(folder / "table.csv", index=False)
    source = sources.load(SOURCE)
    save_file(source.trunk.state_dict(), folder / "weights.safetensors")
    command = [str(ROOT / "benchmarks" / script), str(images), str(folder / "table.csv"), str(folder / "weights.safetensors"), str(folder)]
    subprocess.run([sys.executable, *command, "--arch", source.architecture, *words], check=True, stdout=sys.stderr)
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def fastai(images: Path, table: pd.DataFrame, folder: Path, epochs: int) -> dict[str, Any]:
    """fastai trained on train and validation together; the figures of its last epoch on the test images."""
    held = table.assign(is_valid=table["split"] == "test")[["path", "label", "is_valid"]]
    found = peer("fastai_peer.py", images, held, folder, "--epochs", str(epochs), "--figures-only")
    return {"accuracy": found["accuracies"][-1], "balanced_accuracy": found["balanced"][-1]}


def row(images: Path, mirrors: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """All sides on one folder and seed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        some = drawn(images, options.images, options.test_images, seed, folder / "drawn")
        space, found = ours(some, folder / "ours", seed, options.set)
        table = pd.read_parquet(space.folder / "data/clean.parquet")[["path", "label", "split"]]
        root = space.folder / "data/images"
        words = ("--mirrors", mirrors, "--epochs", str(options.epochs), "--seed", str(seed))
        words += ("--rates", *options.rates) if options.rates else ()
        peers = known(options.known, images.name, seed)
        if "plain" in options.peers and "plain" not in peers:
            peers["plain"] = peer("plain_peer.py", root, table, folder / "plain", *words)
        if "fastai" in options.peers and "fastai" not in peers:
            peers["fastai"] = fastai(root, table, folder / "fastai", options.fastai_epochs)
        sizes = {f"n_{split}": int((table["split"] == split).sum()) for split in ("train", "validation", "test")}
        made = {"folder": images.name, "seed": seed, **sizes, **found, **peers}
        print(json.dumps(made), flush=True)
        return made


def known(file: Path | None, name: str, seed: int) -> dict[str, Any]:
    """What an earlier panel found of the peers on the same draw: they do not change when Headstart does."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file else []
    same = [one for one in lines if (one.get("folder"), one.get("seed")) == (name, seed)]
    return {side: one[side] for one in same for side in ("plain", "fastai") if side in one}


def summary(rows: list[dict[str, Any]], peers: list[str]) -> dict[str, Any]:
    """Means in points over the folders, each the mean of its seeds."""
    names = list(dict.fromkeys(row["folder"] for row in rows))

    def mean(name: str, arm: str, key: str) -> float:
        return statistics.mean(100 * (row.get(arm) or row["head"])[key] for row in rows if row["folder"] == name)

    found: dict[str, Any] = {}
    for key in MEASURES:
        gaps = {name: mean(name, "test", key) - max(mean(name, one, key) for one in peers) for name in names} if peers else {}
        if gaps:
            found |= {f"default_against_best_peer_{key}": statistics.mean(gaps.values()), f"worst_set_{key}": min(gaps.values())}
        found[f"default_against_head_{key}"] = statistics.mean(mean(name, "test", key) - mean(name, "head", key) for name in names)
        best = {name: max(mean(name, arm, key) for arm in ("head", "fine_tuned")) for name in names}
        found[f"ship_regret_{key}"] = statistics.mean(max(0.0, best[name] - mean(name, "test", key)) for name in names)
    found = {name: round(value, 2) for name, value in found.items()}
    if "plain" in peers:
        found["passes_ratio"] = round(sum(row["image_passes"] for row in rows) / sum(row["plain"]["image_passes"] for row in rows), 3)
    return {**found, "runs": len(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER[:MIRRORS]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--epochs", type=int, default=20, help="of the plain peer")
    parser.add_argument("--rates", nargs="+", default=[], help="of the plain peer, of which validation takes one, if not its own")
    parser.add_argument("--fastai-epochs", type=int, default=5, help="of fastai, after one with the body frozen")
    parser.add_argument("--images", type=int, default=400, help="most images of a folder to train and validate on")
    parser.add_argument("--test-images", type=int, default=800, help="most images of a folder to test on: those that are left, or val/")
    parser.add_argument(
        "--known", type=Path, metavar="FILE", help="lines of an earlier panel with the same draws: its peers are not run again"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of Headstart")
    parser.add_argument("--peers", nargs="*", default=["plain", "fastai"], choices=["plain", "fastai"])
    options = parser.parse_args()
    rows = []
    for word in options.folders:
        place, _, mirrors = word.partition(":")
        rows += [row(Path(place).resolve(), mirrors or "h", seed, options) for seed in range(options.first, options.first + options.seeds)]
    report(summary(rows, options.peers))


if __name__ == "__main__":
    main()
