"""Headstart on one GPU against the transformers Trainer on the same card, for ResNet-50 and ViT-S of timm.

    python benchmarks/gpu.py [--folder FOLDER | --images 2000] [--networks NAME...] [--peak-tflops 989]
    python benchmarks/gpu.py --device cpu --images 64 --tiny --epochs 2      # tries this file out without a GPU

Needs transformers and accelerate (`pip install -e .[bench]`), and no download: the networks are untrained, which changes no speed, and
without --folder the images are synthetic JPEGs of 500x375 in 10 classes. The cache of activations lies in the temporary folder, of which
the defaults fill 13 GB (TMPDIR chooses another). Every arm is a process of its own, with what it runs on warmed up; frozen pass and engine
are the median of several runs, training is timed once.

- frozen: `features.extract` from JPEG files to stored features; engine: the same network on random images in main memory. `share_of_peak`
  counts two operations a multiply-add against what the card can do in this precision (dense, from a table here; null where it lacks it).
- fine_tune: `fine_tuning.run` with the default parameters and no early stop. `fine_tune_images_per_s` counts training images x epochs over
  the whole of it; `loop` is the training loop with the validation after every epoch, `views` the frozen pass before it, `other` the rest.
- trainer: `Trainer.train` on transformers' wrapper of the same network and the recipe of its image-classification example (random resized
  crop, flip, normalise), for as many epochs in batches of the same size, with a worker a core and all else at its default. It validates
  and saves nothing. All layers train; in trainer_frozen those that Headstart freezes have requires_grad False.

Ratios: Trainer's seconds / ours. Ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from frozen_pass import alone, seconds
from PIL import Image
from torch.utils.data import Dataset
from workspace import report

from headstart.base import devices, weights
from headstart.base.cores import in_order, workers
from headstart.features import extraction
from headstart.features.transforms import View
from headstart.indexing import indexer
from headstart.machinery import progress
from headstart.networks import cards, common, cut, heads, model, skeletons, sources
from headstart.params import FineTune, Params, kwargs
from headstart.training import fine_tuning

NETWORKS, TINY = ("resnet50", "vit_small_patch16_224"), ("test_resnet", "test_vit")
CLASSES = 10
# Dense TFLOPS of a card whose name has these words: in bfloat16 or float16, and in float32 without TF32.
PEAKS = {
    "H100 PCIe": (756, 51),
    "H100 NVL": (835, 60),
    "H100": (989, 67),
    "H200 NVL": (835, 60),
    "H200": (989, 67),
    "A100": (312, 19.5),
    "L4": (121, 30.3),
    "T4": (65, 8.1),
}


class Warned(logging.Handler):
    """What Headstart warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


class Photos(Dataset):
    """The images of a table as the recipe of the Trainer's example reads them."""

    def __init__(self, table: pd.DataFrame, root: Path, card: dict[str, Any]) -> None:
        from torchvision import transforms

        self.paths = [root / path for path in table["path"]]
        self.labels = np.unique(table["label"], return_inverse=True)[1].tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(card["input_size"]),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(card["mean"], card["std"]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        with Image.open(self.paths[index]) as image:
            return {"pixel_values": self.transform(image.convert("RGB")), "labels": self.labels[index]}


def photos(folder: Path, count: int) -> None:
    """Write synthetic JPEGs of 500x375, of about as many bytes as photos have, a folder a class."""

    def write(number: int) -> None:
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        fine = np.asarray(coarse) + random.normal(0, 8, (375, 500, 3))
        path = folder / f"class{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(path, quality=85)

    list(in_order(write, range(count)))


def untrained(architecture: str, folder: Path) -> common.Source:
    """An untrained network of timm, as a source."""
    torch.manual_seed(0)
    network, _ = skeletons.skeleton("timm", architecture)
    cfg: Any = network.pretrained_cfg
    transform = {
        "input_size": cfg["input_size"][-1],
        "mean": cfg["mean"],
        "std": cfg["std"],
        "interpolation": cfg["interpolation"],
        "crop": cfg["crop_pct"],
    }
    folder.mkdir()
    weights.write(folder / cards.WEIGHTS, {key: value.numpy() for key, value in network.state_dict().items()})
    (folder / cards.CARD).write_text(json.dumps({"library": "timm", "architecture": architecture, "transform": transform}))
    return sources.load(f"checkpoint:{folder}")


def peak(card: str, precision: str) -> float | None:
    """TFLOPS that a card of this name can do; None where it is not known."""
    words = set(re.split(r"[ -]", card))
    both = next((figures for name, figures in PEAKS.items() if set(name.split()) <= words), None)
    return both and both[precision == "float32"]


def peak_gib() -> float | None:
    """The most GPU memory that tensors of this process have taken."""
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_initialized() else None


def frozen_pass(source: common.Source, table: pd.DataFrame, root: Path, device: devices.Device, repeat: int) -> dict[str, Any]:
    """Images/s of the frozen pass and of its engine."""
    card = source.card()
    frozen = extraction.Frozen.of(partial(model.trunk, source), extraction.identity(card, "features"), source.transform.input_size, device)
    folders = iter(range(repeat + 1))

    def whole() -> None:
        extraction.extract(frozen, table, root, View.of(card.transform), folder=Path(f"frozen-{next(folders)}"), what="images")

    rate = table["sha256"].nunique() / seconds(whole, repeat)
    count = 64 if frozen.engine.batch == 1 else 4 * frozen.engine.batch
    images = np.random.default_rng(0).integers(0, 256, (count, frozen.size, frozen.size, 3), dtype=np.uint8)
    one_a_call = frozen.engine.batch == 1
    engine = alone(frozen.engine.run, images, repeat) if one_a_call else count / seconds(lambda: frozen.engine.run(images), repeat)
    return {
        "frozen_images_per_s": round(rate, 1),
        "engine_images_per_s": round(engine, 1),
        "engine_batch": getattr(frozen.engine.run, "batch", frozen.engine.batch),
        "engine_gpu_gib": peak_gib(),
    }


def fine_tune(source: common.Source, table: pd.DataFrame, root: Path, device: devices.Device, epochs: int) -> dict[str, Any]:
    """Seconds and images/s of fine-tuning, whole and in parts, and the names of the parameters that it froze."""
    classes = sorted(set(table["label"]))
    random = np.random.default_rng(0)
    head = heads.Head(random.normal(0, 0.01, (len(classes), source.features)).astype(np.float32), np.zeros(len(classes), np.float32))
    usual = FineTune(epochs=epochs, patience=epochs, depth=3, processes=1)
    progress.finished.clear()
    if device.kind == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    done = fine_tuning.run(table, root, source.card(), head, classes, fine_tuning.plan_of(usual, table, classes, 0), device=device)
    whole = time.perf_counter() - started
    part = {kind: [row for row in progress.finished if row["what"].startswith(kind)] for kind in ("frozen layers", "fine-tuning")}
    views, loop = (sum(row["seconds"] for row in rows) for rows in part.values())
    made, passes = sum(row["done"] for row in part["frozen layers"]), done.summary["image_passes"]
    frozen = set(done.summary["frozen"])
    return {
        "fine_tune_seconds": round(whole, 2),
        "fine_tune_images_per_s": round(passes / whole, 1),
        "fine_tune_loop_seconds": round(loop, 2),
        "fine_tune_loop_images_per_s": round(passes / loop, 1),
        "fine_tune_views_seconds": round(views, 2),
        "fine_tune_views_per_s": round(made / views, 1) if views else None,
        "fine_tune_other_seconds": round(whole - views - loop, 2),
        "fine_tune_gpu_gib": peak_gib(),
        **{key: done.summary[key] for key in ("trained", "views", "streamed", "shard")},
        "cache_gib": round(done.summary["cache_bytes"] / 2**30, 2),
        "frozen_parameters": [
            name for key, stage in done.network.stages.named_children() if cut.name(key) in frozen for name, _ in stage.named_parameters()
        ],
    }


def ours(architecture: str, table: pd.DataFrame, root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of Headstart for one network, and what the Trainer must know to do the same."""
    warned = Warned()
    logging.getLogger("headstart").addHandler(warned)
    device = devices.choose(options.device, options.precision)
    card = torch.cuda.get_device_name() if device.kind == "cuda" else "cpu"
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # where Headstart keeps its caches
        source = untrained(architecture, Path("source"))
        row = frozen_pass(source, table, root, device, options.repeat)
        gmacs = common.gflops(source.trunk, source.transform.input_size)
        tflops = options.peak_tflops or peak(card, device.precision)
        row["share_of_peak"] = round(2 * gmacs * row["engine_images_per_s"] / (1e3 * tflops), 4) if tflops else None
        row |= fine_tune(source, table, root, device, options.epochs)
        os.chdir(root)
    ran_out = any("memory of the GPU ran out" in text for text in warned.said)
    row |= {"gmacs": round(gmacs, 2), "peak_tflops": tflops, "memory_ran_out": ran_out, "warnings": warned.said}
    return {"row": row, "card": source.card().to_json(), "device": card, "precision": device.precision}


def trainer(
    architecture: str, table: pd.DataFrame, root: Path, card: dict[str, Any], precision: str, frozen: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Seconds and images/s of the Trainer, and what it took of the GPU; seconds are None where that was not enough."""
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification, Trainer, TrainingArguments

    examples = Photos(table[table["split"] == "train"], root, card)
    network = TimmWrapperForImageClassification(TimmWrapperConfig(architecture=architecture, num_labels=len(set(examples.labels))))
    parameters = dict(network.timm_model.named_parameters())
    for name in frozen:
        parameters[name].requires_grad = False

    def run(**length: Any) -> float:
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                per_device_train_batch_size=Params().fine_tune.batch_size,
                dataloader_num_workers=workers(),
                bf16=precision == "bfloat16",
                fp16=precision == "float16",
                use_cpu=options.device == "cpu",
                remove_unused_columns=False,
                save_strategy="no",
                disable_tqdm=True,
                **length,
            )
            made = Trainer(network, arguments, train_dataset=examples)
            started = time.perf_counter()
            made.train()
            return time.perf_counter() - started

    try:
        run(max_steps=3)
        taken = run(num_train_epochs=options.epochs)
    except torch.OutOfMemoryError:
        return {"seconds": None, "images_per_s": None, "gpu_gib": peak_gib()}
    return {"seconds": round(taken, 2), "images_per_s": round(len(examples) * options.epochs / taken, 1), "gpu_gib": peak_gib()}


def apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Do `work` in a process of its own, so that neither threads and settings nor GPU memory of one arm meet another's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_as_a_script) as pool:
        return pool.submit(work, *arguments).result()


def _as_a_script() -> None:
    """Start processes in the system's own way: one that was spawned would spawn the workers of the Trainer, for seconds in every epoch."""
    multiprocessing.set_start_method(None, force=True)


def compare(architecture: str, table: pd.DataFrame, root: Path, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """A network's figures, and what all networks share."""
    found = apart(ours, architecture, table, root, options)
    row: dict[str, Any] = found["row"]
    frozen = row.pop("frozen_parameters")
    for name, names in (("trainer", []), ("trainer_frozen", frozen)):
        theirs = apart(trainer, architecture, table, root, found["card"], found["precision"], names, options)
        row |= {f"{name}_{key}": value for key, value in theirs.items()}
        row[f"{name}_ratio"] = theirs["seconds"] and round(theirs["seconds"] / row["fine_tune_seconds"], 2)
    return row, {key: found[key] for key in ("device", "precision")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--folder", type=Path, help="images, a folder a class")
    data.add_argument("--images", type=int, default=2000, help="how many to make")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="names of timm")
    parser.add_argument("--tiny", action="store_true", help=f"{' and '.join(TINY)} instead")
    parser.add_argument("--epochs", type=int, default=Params().fine_tune.epochs)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    parser.add_argument("--peak-tflops", type=float, help="of the card in this precision")
    options = parser.parse_args()
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # both sides would take all GPUs
    rows: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        root = (options.folder or Path(made)).resolve()
        if not options.folder:
            photos(root, options.images)
        table = indexer.index(root, **kwargs(Params(), "index_images"), seed=0)
        table = table[table["readable"]].reset_index(drop=True)
        for architecture in TINY if options.tiny else options.networks:
            rows[architecture], shared = compare(architecture, table, root, options)
            print(f"\n{architecture}", *(f"{key:30} {value}" for key, value in rows[architecture].items()), sep="\n", flush=True)
    report(
        {
            **shared,
            "networks": rows,
            "images": len(table),
            "train_images": int((table["split"] == "train").sum()),
            "epochs": options.epochs,
            "batch_size": Params().fine_tune.batch_size,
            "cores": workers(),
        }
    )


if __name__ == "__main__":
    main()
