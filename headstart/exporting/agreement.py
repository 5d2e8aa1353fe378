"""What an exported file gives, beside what the model itself gives for the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

from headstart.base.cores import in_order, one_thread
from headstart.exporting.beside import predict
from headstart.exporting.onnx_file import PICTURE
from headstart.features import transforms
from headstart.features.transforms import View
from headstart.networks import model

SIZES = ((64, 64), (37, 50), (240, 320), (900, 1200), (31, 97))  # height and width of the drawn pictures


class Agreement(TypedDict):
    """How far two ways to run a model agree on `images` images: the largest difference of a probability, and of how many the likeliest class is the same."""

    images: int
    largest_difference: float
    same_class: int


def answers(path: Path, files: Iterable[Path]) -> np.ndarray:
    """The probabilities (n, classes) that an exported file gives for image files, decoded as predict.py does it."""
    run, near = _session(path)
    return np.stack(list(in_order(lambda file: run(predict.pixels(file, near)), files)))


def reference(folder: Path, files: Iterable[Path]) -> np.ndarray:
    """The probabilities (n, classes) that a model folder gives for image files, by Pillow and PyTorch."""
    network, card = model.load(folder)
    view = View.of_card(card)

    def one(file: Path) -> np.ndarray:
        one_thread()
        with torch.inference_mode():
            square = torch.from_numpy(transforms.read(file, [view], "")[0].copy())
            return network(square[None])[0].softmax(0).numpy()

    return np.stack(list(in_order(one, files)))


def drawn(path: Path, folder: Path) -> Agreement:
    """How an exported file and a model folder agree on random pictures of several sizes: for where there are no images."""
    from PIL import Image

    network, card = model.load(folder)
    view, random, run = View.of_card(card), np.random.default_rng(0), _session(path)[0]
    pictures = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    squares = [np.array(transforms.plain(Image.fromarray(one), view)) for one in pictures]
    with torch.inference_mode():
        theirs = np.stack([network(torch.from_numpy(one)[None])[0].softmax(0).numpy() for one in squares])
    return compare(np.stack([run(one) for one in pictures]), theirs)


def compare(ours: np.ndarray, theirs: np.ndarray) -> Agreement:
    """Two sets of probabilities (n, classes)."""
    same = int((ours.argmax(1) == theirs.argmax(1)).sum())
    return {"images": len(ours), "largest_difference": float(np.abs(ours - theirs).max()), "same_class": same}


def _session(path: Path) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """An exported file, ready to run by many threads, and what predict.py decodes pictures to."""
    session, facts = predict.load(path)
    return lambda pixels: session.run(None, {PICTURE: pixels})[0], facts["near"]
