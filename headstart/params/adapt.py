"""Carrying labels over to images without labels of another domain: the block `adapt` of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstart.params.block import Block


class Adapt(Block):
    """Carry the labels over to images without labels (`headstart import --target`); without such images, nothing."""

    when: Literal["if_shown", "always", "never"] = Field(
        "if_shown",
        description="if_shown: adapt if the sources, each adapted by itself, agree, or if labels of some target images show that it helps; always and "
        "never: whatever they show.",
    )
    method: Literal[
        "balanced_em", "self_training", "tied_em", "class_confusion", "propagation", "standardising", "coral", "subspace", "label_shift"
    ] = Field("balanced_em", description="How labels are carried over: see headstart/domains/methods.py.")
    least_agreement: float = Field(
        0.4, ge=0, le=1, description="Agreement of the adapted sources (Cohen's kappa, 0-1: beyond chance) that is needed to adapt."
    )
    max_images: int = Field(
        4_000, ge=30, le=20_000, description="Most images of either domain that the methods look at; the model that is made labels all."
    )
    ask: int = Field(30, ge=0, le=10_000, description="Target images, drawn at random, that are listed for you to label.")
    mapped: int = Field(600, ge=0, le=5_000, description="Images of both domains in the report's maps, before and after; 0: none.")
