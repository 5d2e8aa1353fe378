"""How much of the network may be trained, and for how long: known before anything is, so that costs can be told without PyTorch."""

from __future__ import annotations

from headstart.params import Baseline, FineTune

FEWEST_WRONG = 15  # of the images to train and validate on, if as many of them are wrong as of the validation images
USUAL_DEPTH = 3  # stages that are retrained if no probe of depths says how many
FEWEST_USUAL = 5  # epochs of the last stages, and from random weights, however many images there are
FEWEST_VIEWS = 2  # of each training image
SHORTER = 0.1  # of the images that are seen at most, if there is little to gain
ON_GPU = 50.0  # times the work that a CPU does at most
FEWEST_EPOCHS = 4  # at the rate of this way the network first forgets, and shorter trainings end before they are past that


def depth(wanted: int | str, probed: int | None) -> int:
    """How many stages, counted from the head, are retrained.

    A number is taken as given. auto is what the probe of depths found for the source (choice/depth.py), or USUAL_DEPTH without that probe.
    """
    return (USUAL_DEPTH if probed is None else probed) if wanted == "auto" else int(wanted)


def usual(block: FineTune | Baseline, images: int, *, little: bool = False, on_gpu: bool = False) -> int:
    """For how many of the block's epochs the last stages, or a network from random weights, are trained on so many images; `little`: that is to be gained."""
    seen = block.passes * _times(on_gpu) * (SHORTER if little else 1)
    return min(block.epochs, max(FEWEST_USUAL, int(seen / images)))


def views(wanted: int | str, images: int) -> int:
    """How many views of each training image are kept.

    A number is taken as given. auto is 3, or FEWEST_VIEWS if there are more than 1,500 images, which bring variety of their own.
    """
    return (3 if images <= 1_500 else FEWEST_VIEWS) if wanted == "auto" else int(wanted)


def epochs(block: FineTune, gflops: float, images: int, *, on_gpu: bool = False) -> int:
    """For how many of the block's epochs most of the network is trained on so many images; 0 if those are too few.

    gflops: of a forward pass of an image.
    """
    found = min(block.epochs, int(block.whole * _times(on_gpu) / (gflops * images)))
    return found if found >= min(FEWEST_EPOCHS, block.epochs) else 0


def _times(on_gpu: bool) -> float:
    """How much more work is allowed than a block says."""
    return ON_GPU if on_gpu else 1.0
