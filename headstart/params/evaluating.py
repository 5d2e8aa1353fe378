"""The block of evaluate: how what ships is measured, and when it should not be believed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstart.params.block import Block


class Abstain(Block):
    """When an answer is left to a person: `unsure` in what `headstart predict` writes."""

    by: Literal["error", "coverage"] = Field(
        "error",
        description="error: give as many answers as keep the share of wrong ones; coverage: give a share of the answers, the surest ones.",
    )
    share: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share (0-1) of the answers that may be wrong, or, by coverage, share of the images that get an answer.",
    )


class Evaluate(Block):
    """Read the test split once and measure what ships beside the other arms."""

    bootstrap: int = Field(2000, ge=100, le=100_000, description="Simulated draws behind the calibration error and its interval.")
    calibration_bins: int = Field(15, ge=2, le=100, description="Bins of the expected calibration error.")
    abstain: Abstain = Field(default_factory=Abstain, description="When an answer is left to a person.")
    false_alarms: float = Field(
        0.05, ge=0.001, le=0.5, description="Share (0-1) of images of these classes that may be called unlike all known ones, wrongly."
    )
    heat_maps: int = Field(
        8, ge=0, le=500, description="Worst mistakes of which the report shows what the network looked at: 50 passes of the network each."
    )
    mapped: int = Field(1000, ge=0, le=5000, description="Images on the report's map of what the model finds alike; 0: no map.")
