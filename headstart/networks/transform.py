"""How a network wants its images."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

FILTERS = ("bilinear", "bicubic", "lanczos")  # how an image is resized
LARGEST = 4096  # pixels a network is fed with, a side
Three = tuple[float, float, float]  # of red, green and blue


@dataclass(frozen=True)
class Transform:
    """How a network wants its images.

    Square, resized and cropped, then scaled to a mean and a standard deviation.
    """

    input_size: int  # pixels
    mean: Three
    std: Three
    interpolation: str
    crop: float  # share of the shorter side that evaluation keeps (the library's own convention)

    def __post_init__(self) -> None:
        """Raise ValueError for values that no network can have: they come from files."""
        wrong = [
            (not 1 <= self.input_size <= LARGEST, "input_size", f"from 1 to {LARGEST} pixels"),
            (len(self.mean) != 3 or not all(abs(value) < math.inf for value in self.mean), "mean", "three finite numbers"),
            (len(self.std) != 3 or not all(0 < value < math.inf for value in self.std), "std", "three numbers above 0"),
            (self.interpolation not in FILTERS, "interpolation", f"one of {', '.join(FILTERS)}"),
            (not 0 < self.crop <= 1, "crop", "a share above 0, and 1 at most"),
        ]
        said = [f"{name} is {getattr(self, name)!r}, expected {expected}" for bad, name, expected in wrong if bad]
        if said:
            raise ValueError("; ".join(said))

    def to_json(self) -> dict[str, object]:
        """Plain values, in the order of the fields."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    def at(self, size: int) -> Transform:
        """The same for images of `size` pixels."""
        return replace(self, input_size=size)


TRANSFORM = tuple(Transform.__dataclass_fields__)
