"""What a model is to be good at: the block `aim` at the top of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from headstart.params.block import Block


class Aim(Block):
    """What the model is to be good at. It decides class weights, penalty, what ships, and from which probability a class is named."""

    measure: Literal["auto", "accuracy", "balanced_accuracy", "recall", "precision"] = Field(
        "auto",
        description="accuracy: the share of images that are right; balanced_accuracy: the same, every class counting alike; recall or precision: "
        "aim.reach of the class aim.label; auto: balanced_accuracy if the largest class has more than 1.5 times the images of the smallest, else accuracy.",
    )
    label: str | None = Field(None, description="The class whose recall or precision is to be reached; empty for every other measure.")
    reach: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="Recall (the share of the images of that class that are found) or precision (the share of those named so that are) to reach (0-1).",
    )

    @model_validator(mode="after")
    def _names_a_class(self) -> Aim:
        if self.measure in ("recall", "precision") and not self.label:
            raise ValueError(f"{self.measure} of which class? Name it in aim.label")
        if self.label and self.measure not in ("recall", "precision"):
            raise ValueError(
                f"aim.label is {self.label!r}, but {self.measure} is of all classes: set aim.measure to recall or precision, or leave the label empty"
            )
        return self
