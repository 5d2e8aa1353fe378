"""How params.yaml says that images are indexed, for an import that has to draw splits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart import params

if TYPE_CHECKING:
    from headstart.importing.joining import Indexing


def wanted() -> Indexing:
    """The block index_images, and the seed."""
    from headstart.importing.joining import Indexing
    from headstart.indexing.arrivals import Cut

    values = params.load()
    block = values.index_images
    cut = Cut(block.test_share, block.validation_share, block.duplicate_distance, block.duplicate_group_limit, values.seed)
    return Indexing(cut, block.max_pixels)
