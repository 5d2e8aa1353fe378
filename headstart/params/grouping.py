"""Groups of images without labels: the block `group_images` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.params.block import Block


class GroupImages(Block):
    """Put images without labels into groups (`headstart import --no-labels`); if there are labels, nothing."""

    groups: Annotated[int, Field(ge=2, le=500)] | Literal["auto"] = Field(
        "auto", description="How many groups (2-500); auto: the number whose groups lie farthest apart."
    )
    most: int = Field(30, ge=2, le=500, description="Most groups that auto considers.")
    method: Literal["auto", "kmeans", "ward", "hdbscan", "spectral", "joint_kmeans", "joint_spectral", "consensus", "turtle"] = Field(
        "auto",
        description="How groups are found: see headstart/grouping/methods.py; auto: the one whose groups lie farthest apart in the spaces of all sources.",
    )
    resamples: int = Field(
        20, ge=5, le=1_000, description="Random halves of the images that are grouped anew, behind the interval of the number of groups."
    )
    max_images: int = Field(
        3_000, ge=20, le=20_000, description="Most images by which groups are found; all others join the nearest group."
    )
    mapped: int = Field(1_000, ge=0, le=20_000, description="Images in the map of the report; 0: none.")
