"""Comparing batches of images: the block `compare_batches` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from headstart.params.block import Block


class CompareBatches(Block):
    """Accuracy per batch, and whether the newest batch is of another kind (`headstart import --add`); without batches, nothing."""

    level: float = Field(
        0.01,
        gt=0,
        lt=0.5,
        description="Error rate (0-1) at which a test may say that the newest batch looks unlike earlier ones, and one that classes come in other shares.",
    )
    permutations: int = Field(
        999, ge=19, le=100_000, description="Permutations behind each of these tests; p is at least 1 / (permutations + 1)."
    )
    max_images: int = Field(
        2_000, ge=20, le=20_000, description="Most images of the newest batch, and of all before it, that are compared for their looks."
    )
