"""How the training views of an image are drawn: the blocks `augmentation` of fine_tune and baseline."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstart.params.block import Block


class _Drawn(Block):
    """What of a training view is drawn from a range."""

    min_crop_share: float = Field(0.6, gt=0.05, le=1, description="Smallest share of the image area (0-1) that a random crop keeps.")
    rotation: float = Field(10.0, ge=0, le=180, description="Largest rotation either way (degrees).")
    colour: float = Field(0.2, ge=0, le=1, description="Largest relative change of brightness, contrast and saturation (0-1).")


class Augmentation(_Drawn):
    """How the training views of an image are drawn.

    Mirroring and turning are off: digits, signs and text have a handedness.
    """

    horizontal_flip: bool = Field(False, description="Mirror half of the views left to right.")
    vertical_flip: bool = Field(False, description="Mirror half of the views top to bottom.")
    quarter_turns: bool = Field(False, description="Turn the views by 0, 90, 180 or 270 degrees, each as often.")


class MeasuredAugmentation(_Drawn):
    """How the training views of an image are drawn.

    auto: a change is made if the frozen head, out of fold, shows that it keeps the labels of these images.
    """

    horizontal_flip: bool | Literal["auto"] = Field(
        "auto", description="Mirror half of the views left to right; auto: if that is measured to keep the labels."
    )
    vertical_flip: bool | Literal["auto"] = Field(
        "auto", description="Mirror half of the views top to bottom; auto: if that is measured to keep the labels."
    )
    quarter_turns: bool | Literal["auto"] = Field(
        "auto", description="Turn the views by 0, 90, 180 or 270 degrees, each as often; auto: if that is measured to keep the labels."
    )

    def settled(self, **made: bool) -> Augmentation:
        """How views are drawn if `made` says of each change that is left to auto whether it is made; it is not if nothing is said."""
        return Augmentation(**{name: made.get(name, False) if value == "auto" else value for name, value in dict(self).items()})
