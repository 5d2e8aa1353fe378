"""The blocks of params.yaml that say whether transfer helped and what ships."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.params.block import Block


class Repeats(Block):
    """How often the networks of a verdict are trained; baseline reads this from the block of verdict."""

    seeds: Annotated[int, Field(ge=1, le=50)] | Literal["auto"] = Field(
        "auto",
        description="Runs of the pretrained and of the random network that are compared (1-50); below 5 the answer is indicative. auto: 1, and 5 folds of training and validation images if fewer than 200 validation images leave it open.",
    )
    label_curve: bool = Field(False, description="Compare them with 5, 10, 20 and 50 labels a class too.")

    @property
    def runs(self) -> int:
        """Runs of each network to begin with."""
        return 1 if self.seeds == "auto" else self.seeds


class Verdict(Repeats):
    """Say whether transfer helped, and choose what ships, on training and validation images."""

    level: float = Field(0.05, gt=0, lt=0.5, description="Error rate (0-1, one-sided) at which the answer may be positive or negative.")
    margin: float = Field(0.01, ge=0, le=0.5, description="Difference in accuracy (0-1) that counts as none.")
    resamples: int = Field(2000, ge=100, le=100_000, description="Bootstrap resamples behind the interval of the steps.")
    average: bool = Field(
        True,
        description="Let averages of the source's weights with a new head and the fine-tuned weights ship too, the mix chosen on validation, and both models side by side, each with the share that validation gives it (at twice the cost of a prediction).",
    )
    remedies: bool = Field(
        True,
        description="If the random network does as well, try another source, a shallower cut, L2-SP, BSS and more layers, in that order.",
    )

    refit: bool | Literal["auto"] = Field(
        "auto",
        description="Train what ships once more, on train and validation together and for as long, if it has been fine-tuned; auto: if fewer than 200 validation images were held out from it.",
    )
