"""Predict with a model folder alone: model.safetensors and card.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from headstart.base import devices, executor, processes
from headstart.base.cores import ahead, in_order
from headstart.base.devices import CPU, Device
from headstart.data import images, photos
from headstart.features import classify, shares, transforms
from headstart.features.answered import Answer
from headstart.features.extraction import Frozen
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.networks.cards import ModelCard
from headstart.statistics import likelihood, limits
from headstart.statistics import prior as prior_shift

MODEL = Path("models/final")
ESTIMATED: Literal["em"] = "em"
Prior = Mapping[str, float] | Literal["em"] | None
FEWEST_ON_CARD = 2_000  # files: a card needs some 8 s to start, in which 16 cores answer about so many
_SPREAD = 256  # files that a worker of a cluster takes at a time
_DECIDE = ("headstart.base", "headstart.data", "headstart.features", "headstart.networks", "headstart.statistics")
_DEEP = (".png", ".tif", ".tiff", ".pgm", ".ppm", ".pnm", ".pfm", ".jp2", ".sgi", ".rgb")  # what may hold 16 bits
_OWN = "more than 8 bits, of which the model knows no scale: shown on the depth that holds its own values, perhaps too bright or too dark"
_CUT = "16 bits a colour, of which the upper 8 are used: if it looks nearly black, convert it as the images of the training were"


@dataclass(frozen=True)
class Ready:
    """A finished model, read once and ready to be asked."""

    card: ModelCard
    known: np.ndarray | None  # features (m, width) of known images, if the model has any
    frozen: Frozen  # uint8 (n, size, size, 3) -> logits, or logits and features (n, classes + width)
    weights: tuple[float, ...] | None = None  # how many times as common as in training each class is; None: as common

    @classmethod
    def of(cls, folder: Path, *, features: bool = False, device: Device = CPU) -> Ready:
        """The model in `folder`, which gives features too if it needs them or they are asked for. Raises HeadstartError if it is missing or broken."""
        arrays, card = cards.read_model(folder)
        known = cards.read_known(folder, card)
        frozen = (classify.of_model if known is None and not features else classify.answering)(arrays, card, device)
        return cls(card, None if known is None else known.astype(np.float32), frozen)  # once, not for every image

    def read(self, source: Path | bytes) -> np.ndarray:
        """What the model sees of a file: uint8 (size, size, 3). Raises Unreadable, OSError."""
        return transforms.read(source, [transforms.View.of_card(self.card)], "")[0]

    def of_seen(self, path: Path, image: np.ndarray, found: np.ndarray) -> Answer:
        """The answer for a file, from what the model sees of it and what the network gave for that (1, classes or more)."""
        return answer(path, found, self.card, self.known, self.weights)._replace(error=_remark(path, image, self.card))

    def ask(self, path: Path) -> Answer:
        """The answer for a file; one that cannot be read has the reason as its error."""
        image = seen(self.card, path)
        if isinstance(image, str):
            return Answer(str(path), "", None, image)
        return self.of_seen(path, image, self.frozen.engine.run(image[None]))


def predict(
    paths: list[Path], folder: Path = MODEL, *, prior: Prior = None, say: Callable[[str], object] = lambda words: None
) -> Iterator[Answer]:
    """Yield the answer for every file, in order, on the machines of base/executor.py.

    prior: how common the classes are among these files, by name (ratios count), or ESTIMATED from them; left out, as common as in training. say: is told what was estimated.
    Folders are walked. The label is the one that the model's operating point names; its probability may be below one half.
    A file that cannot be read has an empty label, no probability, and the reason as its error. One in which there is nothing to see (fully
    transparent, or of one colour) has a label, as every image has, and an error that says so; so has one of more than 8 bits a channel whose
    scale is not known. Raises HeadstartError when the model is missing or broken, before anything is yielded, or when a path does not exist;
    ParamsError for a prior that does not fit the model.
    """
    files, spread = list(walk(paths)), executor.spreads()
    ready = Ready.of(folder, device=CPU if spread else _device(len(files)))
    if prior == ESTIMATED:
        prior = shares.estimate(ready.card, files, ready.ask)
        say(f"prior: {', '.join(f'{name} {share:.1%}' for name, share in prior.items())}")
    weights = None if prior is None else shares.weights(ready.card, prior)
    ready = replace(ready, weights=weights)
    if not spread:
        return in_order(ready.ask, files) if ready.frozen.engine.batch == 1 else _in_batches(ready, files)
    together = (files[start : start + _SPREAD] for start in range(0, len(files), _SPREAD))
    return chain.from_iterable(executor.in_order(partial(_answers, folder, weights), together, depends=_DECIDE))


def seen(card: ModelCard, path: Path) -> np.ndarray | str:
    """What a model sees of a file, uint8 (size, size, 3), or why it cannot be read."""
    try:
        return transforms.read(path, [transforms.View.of_card(card)], "")[0]
    except (images.Unreadable, OSError) as error:
        return str(error)


def _device(count: int) -> Device:
    """Where so many files are answered: a card takes longer to start than a CPU to answer few. In float32, so that answers are the same."""
    return devices.choose("auto", "float32") if count >= FEWEST_ON_CARD else CPU


def _in_batches(ready: Ready, files: list[Path]) -> Iterator[Answer]:
    """The answers for files, in order, by an engine of batches; the next files are decoded meanwhile, as on a CPU."""
    many: Callable[..., Iterator[np.ndarray | str]] = processes.in_order if processes.pay(len(files)) else in_order
    images = ahead(many(partial(seen, ready.card), files))
    for start in range(0, len(files), ready.frozen.engine.batch):
        some = [(path, next(images)) for path in files[start : start + ready.frozen.engine.batch]]
        readable = [image for _, image in some if not isinstance(image, str)]
        rows = iter(ready.frozen.engine.run(np.stack(readable)) if readable else ())
        for path, image in some:
            yield Answer(str(path), "", None, image) if isinstance(image, str) else ready.of_seen(path, image, next(rows)[None])


def _answers(folder: Path, weights: tuple[float, ...] | None, files: list[Path]) -> list[Answer]:
    """What a worker of a cluster does: the answers for some files."""
    ready = replace(_ready(folder, (folder / cards.CARD).stat().st_mtime_ns), weights=weights)
    return [ready.ask(path) for path in files]


@lru_cache(maxsize=1)
def _ready(folder: Path, _changed: int) -> Ready:
    """The model in a folder, kept from one piece of work to the next as long as it does not change."""
    return Ready.of(folder)


def answer(path: Path, found: np.ndarray, card: ModelCard, known: np.ndarray | None, weights: tuple[float, ...] | None = None) -> Answer:
    """The answer for a file, from the logits (1, classes) that its model gives, or these and the features (1, classes + width).

    known: the features of known images (m, width), if the model has any. weights: how many times as common as in training each class is. They move the probabilities; the name and
    `unsure` too if the likeliest class is named. At any other operating point these stay, as it was chosen for a share of each class that is found, whatever their number.
    """
    count = len(card.classes)
    probabilities = judged = likelihood.softmax(found[:, :count])
    if weights is not None:
        probabilities = prior_shift.corrected(probabilities, np.array(weights))
        judged = probabilities if card.point is None or len(set(card.point.factors)) == 1 else judged
    best = int(card.named(judged)[0])
    ranked = tuple((card.classes[i], float(probabilities[0, i])) for i in np.argsort(-probabilities[0], kind="stable"))
    unsure = bool(card.unsure_of(judged)[0]) if card.unsure else None
    unlike = None
    if card.unlike is not None and known is not None:
        unlike = bool(limits.distances(found[:, count:], known, card.unlike.neighbours)[0] > card.unlike.distance)
    return Answer(str(path), card.classes[best], float(probabilities[0, best]), "", unsure, unlike, ranked)


def _remark(path: Path, view: np.ndarray, card: ModelCard) -> str:
    """What to know of an image that was read, given how the network sees it."""
    if (said := _nothing_to_see(path, view)) or path.suffix.lower() not in _DEEP:
        return said
    return _CUT if images.cut_to_eight(path) else _OWN if images.has_own_scale(path, card.grey) else ""


def _nothing_to_see(path: Path, view: np.ndarray) -> str:
    """Why the label of an image means nothing, given how the network sees it (size, size, 3): "" if there is something to see."""
    if (view != view[0, 0]).any():
        return ""
    try:
        with Image.open(path) as image:
            clear = image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[1] == 0
    except Exception:  # it was read a moment ago, by other means
        clear = False
    return f"{'fully transparent' if clear else 'one colour only'}: nothing to see, so the label means nothing"


def walk(paths: list[Path]) -> Iterator[Path]:
    """Files, and the files below folders in sorted order; bookkeeping and sidecars are left out there (headstart/data/photos.py).

    Raises HeadstartError for a path that is not there, and for a folder that may not be read.
    """
    for path in paths:
        if path.is_dir():
            try:
                yield from photos.walk(path)
            except OSError as error:
                raise HeadstartError(f"the folder {error.filename} cannot be read ({error.strerror}); allow it with chmod u+rx") from None
        elif path.exists() or path.is_symlink():
            yield path
        else:
            raise HeadstartError(f"{path} does not exist; give image files or folders of them")
