"""What an exported file gives, beside what the model itself gives for the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from PIL import Image

from headstart.base.cores import in_order, one_thread
from headstart.exporting.beside import predict
from headstart.exporting.onnx_file import PICTURE
from headstart.features import transforms
from headstart.features.transforms import View
from headstart.networks import model
from headstart.networks.cards import ModelCard

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
    return _each(lambda square: network(square).softmax(1), (read(file, card) for file in files))


def on_squares(run: Callable[[torch.Tensor], torch.Tensor], folder: Path, files: Iterable[Path]) -> Agreement:
    """How `run`, uint8 (n, size, size, 3) -> probabilities (n, classes), and a model folder agree on what they see of image files."""
    network, card = model.load(folder)
    squares = [read(file, card) for file in files] or [np.array(transforms.plain(one, View.of_card(card))) for one in pictures()]
    given = np.stack(
        [_one(run, square) for square in squares]
    )  # one after the other: a loaded program is not known to bear several threads
    return compare(given, _each(lambda square: network(square).softmax(1), squares))


def read(file: Path, card: ModelCard) -> np.ndarray:
    """What a model sees of a file: uint8 (size, size, 3)."""
    return transforms.read(file, [View.of_card(card)], "")[0].copy()


def _each(run: Callable[[torch.Tensor], torch.Tensor], squares: Iterable[np.ndarray]) -> np.ndarray:
    """What `run` gives for each of the squares (size, size, 3), by itself."""

    def one(square: np.ndarray) -> np.ndarray:
        one_thread()
        return _one(run, square)

    return np.stack(list(in_order(one, squares)))


def _one(run: Callable[[torch.Tensor], torch.Tensor], square: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return run(torch.from_numpy(square)[None])[0].numpy()


def pictures() -> list[Image.Image]:
    """Random pictures of several sizes, the same at every call."""
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in SIZES]


def drawn(path: Path, folder: Path) -> Agreement:
    """How an exported file and a model folder agree on random pictures of several sizes: for where there are no images."""
    network, card = model.load(folder)
    view, run, given = View.of_card(card), _session(path)[0], pictures()
    theirs = _each(lambda square: network(square).softmax(1), (np.array(transforms.plain(one, view)) for one in given))
    return compare(np.stack([run(np.asarray(one)) for one in given]), theirs)


def compare(ours: np.ndarray, theirs: np.ndarray) -> Agreement:
    """Two sets of probabilities (n, classes)."""
    same = int((ours.argmax(1) == theirs.argmax(1)).sum())
    return {"images": len(ours), "largest_difference": float(np.abs(ours - theirs).max()), "same_class": same}


def _session(path: Path) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """An exported file, ready to run by many threads, and what predict.py decodes pictures to."""
    session, facts = predict.load(path)
    return lambda pixels: session.run(None, {PICTURE: pixels})[0], facts["near"]
