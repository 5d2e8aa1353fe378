"""Most of the network, on views that are drawn anew in each epoch: how it is trained if the frozen head leaves enough wrong.

Cached activations of a few views are cheap, but layers in the middle that do not fit the images stay as they are, and the rest sees the same
views again and again. This way costs a pass through most of the network, forward and back, for each image and epoch, so its work is bounded:
by counting, never by a clock. Stages that see the picture at more than a FINEST of its side stay frozen: edges and colours are those of any
picture, and most of the memory that a step of training moves is theirs. At a rate at which stages in the middle learn, validation loss first
rises and then falls below where it began, by chance here or there: the last weights are kept, at which the rate has fallen to nothing.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.networks import common, cut, sources
from headstart.networks.cards import SourceCard
from headstart.params import FineTune
from headstart.statistics import intervals
from headstart.training import budget, fine_tuning

SHARE_WRONG = 0.05  # of the validation images (0-1): fewer leave little to gain
LITTLE = 0.1  # of the images, that a network has wrong at most if it leaves little to gain
FINEST = 0.25  # of the side of the picture (0-1), at which the first of the stages that are trained sees it
FACTOR = 3.0  # on the rate of the block: at nine, EfficientNet-Lite0 is lost on some images
DECAY = 0.85  # of the rate per stage deeper, of networks with BatchNorm
GENTLE_DECAY = 0.7  # of others, transformers and their like, which are trained at lower rates everywhere


def needed(logits: np.ndarray, labels: np.ndarray, images: int) -> bool:
    """Whether there is enough to gain over a network that gives these logits (n, classes) for validation images of `labels` (n,).

    `images` is how many there are to train and to validate on.
    """
    share = float((logits.argmax(1) != labels).mean())
    return share >= SHARE_WRONG and share * images >= budget.FEWEST_WRONG


def little(logits: np.ndarray, labels: np.ndarray) -> bool:
    """Whether a network that gives these logits (n, classes) for validation images of `labels` (n,) is shown to have few images wrong.

    At most SHARE_WRONG of these, and LITTLE at the upper end of the 95% interval.
    """
    right = int((logits.argmax(1) == labels).sum())
    lower, _ = intervals.share(right, len(labels))
    return right >= (1 - SHARE_WRONG) * len(labels) and float(lower) >= 1 - LITTLE


def way(block: FineTune, card: SourceCard, images: int, *, on_gpu: bool) -> FineTune | None:
    """The block that trains most of the source on so many images, for as many of the block's epochs as `block.whole` has work for.

    None if those are too few. Pictures are cropped, mirrored and turned by quarters as the block has it; turns by some degrees and colours are
    not measured (augmenting.py) and left out.
    """
    if not block.whole:
        return None
    trunk, size = sources.known(card).trunk, card.transform.input_size
    epochs = budget.epochs(block, common.gflops(trunk, size), images, on_gpu=on_gpu)
    if not epochs:
        return None
    seen = block.augmentation.model_copy(update={"rotation": 0.0, "colour": 0.0})
    changed = {"depth": coarse(trunk, size), "views": fine_tuning.FRESH, "epochs": epochs, "keep": "last"}
    rates = {"rate": min(1.0, FACTOR * block.rate), "decay": decay(trunk)}
    return block.model_copy(update={**changed, **rates, "augmentation": seen})


def decay(trunk: nn.Module) -> float:
    """The factor on the rate for each stage deeper."""
    return DECAY if any(isinstance(part, _BatchNorm) for part in trunk.modules()) else GENTLE_DECAY


def coarse(trunk: nn.Module, size: int) -> int:
    """How many stages, from the head down, see a picture of `size` pixels at no more than FINEST of its side; 1 at least."""
    seen, count = torch.zeros(1, 3, size, size, device=next((p.device for p in trunk.parameters()), None)), 0
    with torch.no_grad():
        for stage in cut.chain(trunk).children():
            count += seen.ndim < 4 or seen.shape[2] <= math.ceil(FINEST * size)  # tokens have no side
            seen = stage(seen)
    return max(count, 1)
