"""Penalties of fine-tuning: to keep what the source knows, or to keep out what does not transfer.

A regulariser is a function of the features of a shard of images, the weights of the trunk that are trained, and the same weights as the
source has them; it returns a scalar that `strength` multiplies and the loss gains. To add one, write such a function and put it into
REGULARISERS (and the choice into headstart/params/blocks.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

SMALLEST = 1  # singular values that `bss` shrinks


def none(features: torch.Tensor, weights: Sequence[torch.Tensor], source: Sequence[torch.Tensor]) -> torch.Tensor:
    """Nothing."""
    return features.new_zeros(())


def l2_sp(features: torch.Tensor, weights: Sequence[torch.Tensor], source: Sequence[torch.Tensor]) -> torch.Tensor:
    """Half the squared distance from the source, over all trained weights of the trunk.

    L2-SP: Li, Grandvalet and Davoine, ICML 2018. The head has no source: its weights are decayed towards zero as without a regulariser,
    those of the trunk no longer are.
    """
    return sum((((now - before) ** 2).sum() for now, before in zip(weights, source, strict=True)), features.new_zeros(())) / 2


def bss(features: torch.Tensor, weights: Sequence[torch.Tensor], source: Sequence[torch.Tensor]) -> torch.Tensor:
    """The smallest squared singular value of the features (n, width).

    Batch spectral shrinkage: Chen et al., NeurIPS 2019. It shrinks the directions in which images hardly differ, which transfer badly.
    The matrix is that of a shard (16 images on the CPU), not of the batch, so that shards need not wait for each other; one image alone
    has no such direction.
    """
    if len(features) == 1:
        return features.new_zeros(())
    return (torch.linalg.svdvals(features.float())[-SMALLEST:] ** 2).sum()


Regulariser = Callable[[torch.Tensor, Sequence[torch.Tensor], Sequence[torch.Tensor]], torch.Tensor]
REGULARISERS: dict[str, Regulariser] = {"none": none, "l2_sp": l2_sp, "bss": bss}
