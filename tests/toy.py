"""Toy data that tests share: small photos whose classes are easy to tell apart, made from a fixed seed."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from headstart.data import manifest

CLASSES = ("ant", "bee", "cat")


def photo(label: int = 0, number: int = 0, *, size: int | tuple[int, int] = 32, seed: int = 0) -> Image.Image:
    """One RGB photo of class number `label`: a colour and a stripe direction of its own, over soft random blobs and noise.

    `size` is pixels, (width, height) or the side of a square. Photos of other numbers or seeds have other perceptual hashes.
    """
    width, height = (size, size) if isinstance(size, int) else size
    random = np.random.default_rng([seed, label, number])
    hue = (label * 0.381966) % 1.0
    colour = np.array(colorsys.hsv_to_rgb(hue, 0.75, 0.75)) * 255
    y, x = np.mgrid[0:height, 0:width]
    angle = np.pi * ((label * 0.618034) % 1.0)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) / max(width, height) * 2 * np.pi * (3 + label % 3) + random.uniform(0, 6))
    blobs = random.normal(0, 40, (8, 8)).astype(np.float32)
    soft = np.asarray(Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC))
    pixels = colour + (wave * 30 + soft)[..., None] + random.normal(0, 8, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def images(
    folder: Path,
    classes: Sequence[str] = CLASSES,
    per_class: int = 8,
    size: int | tuple[int, int] = 32,
    seed: int = 0,
    suffix: str = ".png",
) -> list[Path]:
    """Write `per_class` photos for each class as folder/<class>/<number><suffix>; returns their paths, sorted."""
    paths = []
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            path = folder / name / f"{number:04d}{suffix}"
            photo(label, number, size=size, seed=seed).save(path)
            paths.append(path)
    return sorted(paths)


def none_without_labels(path: Path) -> None:
    """Write the manifest of images without labels of a data set that has none."""
    manifest.write(pd.DataFrame({name: pd.Series(dtype=object) for name in manifest.SCHEMA.names}), path)


def split_images(
    folder: Path,
    splits: dict[str, int],
    classes: Sequence[str] = CLASSES,
    size: int | tuple[int, int] = 32,
    seed: int = 0,
    suffix: str = ".png",
) -> list[Path]:
    """Write folder/<split>/<class>/<number><suffix>, `splits` giving the photos per class of each split folder; no photo twice."""
    paths = []
    for number, (split, per_class) in enumerate(splits.items()):
        paths += images(folder / split, classes, per_class, size, seed + 1000 * (number + 1), suffix)
    return sorted(paths)


# What manifest.index wants beside the folder; the defaults of params.yaml.
def deep(folder: Path, levels: dict[str, int], per_class: int = 6, size: int = 32, suffix: str = ".png") -> list[Path]:
    """16-bit grey images below folder/CLASS that differ in their level alone: its value, with noise of a few steps."""
    paths = []
    for label, level in levels.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            noise = np.random.default_rng([level, number]).normal(0, 5, (size, size))
            paths.append(folder / label / f"{number:04d}{suffix}")
            Image.fromarray((level + noise).clip(0, 65535).astype(np.uint16)).save(paths[-1])
    return paths


INDEX: dict[str, Any] = {
    "test_share": 0.2,
    "validation_share": 0.2,
    "duplicate_distance": 4,
    "duplicate_group_limit": 20,
    "max_pixels": 100_000_000,
    "seed": 0,
}
