"""Images that come later: add them to the data set as a batch, or forget a batch of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from flows.projects import images, indexing

if TYPE_CHECKING:
    from headstart.importing.datasets import Summary
    from headstart.importing.options import Options

MANIFEST = Path("data/manifest.parquet")  # of the last run


def add(source: str, labels: Path | None, how: Options, batch: str = "") -> Summary:
    """Add the images of `source` to the data set as a batch, and record it with DVC. Call under the run lock.

    A refused, failed or interrupted import changes nothing. Raises what headstart.importing.joining.add raises, and DvcError.
    """
    from headstart.importing import joining

    images.refuse_own_folder(source)
    part = dataclasses.replace(how, least=1, fewest=1)
    cut = indexing.wanted()
    present()
    return images.swap(lambda new: joining.add(source, new, images.IMAGES, MANIFEST, cut, batch=batch, labels=labels, options=part))


def present() -> None:
    """Have the images that are on record here, as a batch joins them. Call under the run lock."""
    images.tidy()
    images.record()
