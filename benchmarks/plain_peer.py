"""An ordinary full fine-tune as its public recipe has it: the child process that panel.py runs. Knows nothing of Headstart.

    python benchmarks/plain_peer.py IMAGES TABLE.csv WEIGHTS.safetensors OUT --arch NAME [--mirrors h|hv|none] [--epochs 20]

PyTorch, timm and torchvision in their ordinary way: all layers, AdamW in one cycle, label smoothing 0.1, random resized crops and
mirrors drawn anew in every epoch, BatchNorm as timm leaves it, each of three rates, of which the one with the lowest validation loss
counts. TABLE.csv has the columns path, label and split. Leaves OUT/result.json: accuracy and balanced accuracy on the test images, read once.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """The images of a table, decoded when they are asked for."""

    def __init__(self, root: Path, table: pd.DataFrame, classes: list[str], draw: transforms.Compose) -> None:
        self.paths, self.draw = [root / path for path in table["path"]], draw
        self.labels = [classes.index(label) for label in table["label"]]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.paths[number]) as image:
            return self.draw(image.convert("RGB")), self.labels[number]


def config(made: nn.Module) -> Any:
    """What timm says of a network."""
    return made.pretrained_cfg


def network(options: argparse.Namespace, classes: int) -> nn.Module:
    made = timm.create_model(options.arch, pretrained=False, num_classes=classes)
    missing, unexpected = made.load_state_dict(load_file(options.weights), strict=False)
    if unexpected or any(not name.startswith(config(made)["classifier"]) for name in missing):
        raise SystemExit(f"these are not the weights of {options.arch}: {missing} {unexpected}")
    return made


def train(made: nn.Module, batches: DataLoader[tuple[torch.Tensor, int]], rate: float, epochs: int) -> None:
    optimizer = torch.optim.AdamW(made.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs=epochs, steps_per_epoch=len(batches))
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    for _ in range(epochs):
        made.train()
        for images, labels in batches:
            optimizer.zero_grad()
            loss(made(images.to(memory_format=torch.channels_last)), labels).backward()
            optimizer.step()
            schedule.step()


def logits(made: nn.Module, batches: DataLoader[tuple[torch.Tensor, int]]) -> torch.Tensor:
    made.eval()
    with torch.inference_mode():
        return torch.cat([made(images.to(memory_format=torch.channels_last)) for images, _ in batches])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("images", "table", "weights", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--mirrors", default="h", choices=["none", "h", "hv"])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = pd.read_csv(options.table, dtype=str, keep_default_na=False)
    classes = sorted(set(table["label"]))
    said = config(timm.create_model(options.arch, pretrained=False))
    tensor = [transforms.ToTensor(), transforms.Normalize(said["mean"], said["std"])]
    flips = {
        "none": [],
        "h": [transforms.RandomHorizontalFlip()],
        "hv": [transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip()],
    }
    drawn = transforms.Compose([transforms.RandomResizedCrop(options.size, scale=(0.35, 1)), *flips[options.mirrors], *tensor])
    near = round(options.size / said.get("crop_pct", 0.875))
    plain = transforms.Compose([transforms.Resize(near), transforms.CenterCrop(options.size), *tensor])
    parts = {
        split: Photos(options.images, table[table["split"] == split], classes, drawn if split == "train" else plain)
        for split in ("train", "validation", "test")
    }
    held = {split: DataLoader(parts[split], options.batch_size) for split in ("validation", "test")}
    labels = torch.tensor(parts["validation"].labels)
    found = []
    for rate in options.rates:
        torch.manual_seed(options.seed)
        made = network(options, len(classes)).to(memory_format=torch.channels_last)
        train(made, DataLoader(parts["train"], options.batch_size, shuffle=True, drop_last=True), rate, options.epochs)
        loss = float(nn.functional.cross_entropy(logits(made, held["validation"]), labels))
        print(f"rate {rate:g}: validation loss {loss:.4f}", flush=True)
        found.append((loss, rate, made))
    loss, rate, best = min(found, key=lambda one: one[0])
    actual, guess = np.array(parts["test"].labels), logits(best, held["test"]).argmax(1).numpy()
    recalls = [float((guess[actual == number] == number).mean()) for number in range(len(classes))]
    passes = len(options.rates) * options.epochs * len(parts["train"])
    result = {
        "accuracy": float((guess == actual).mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "rate": rate,
        "image_passes": passes,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
