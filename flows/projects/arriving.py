"""Images that come later: add them to the data set as a batch, or forget a batch of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from flows.projects import images, indexing
from headstart.data.settings import no_labels
from headstart.machinery.errors import HeadstartError, ParamsError

if TYPE_CHECKING:
    from headstart.base.devices import Device
    from headstart.importing.datasets import Summary
    from headstart.importing.options import Options

MANIFEST = Path("data/manifest.parquet")  # of the last run
SOURCE = Path("models/source.json")  # that it chose


def add(source: str, labels: Path | None, how: Options, batch: str = "") -> Summary:
    """Add the images of `source` to the data set as a batch, and record it with DVC. Call under the run lock.

    A refused, failed or interrupted import changes nothing. Raises what headstart.importing.joining.add raises, and DvcError.
    """
    from headstart.importing import joining

    if how.no_labels or no_labels.marked(images.IMAGES):
        raise ParamsError(
            "images without labels come all at once: put old and new ones into one folder, and `headstart import FOLDER --no-labels`"
        )
    images.refuse_own_folder(source)
    part = dataclasses.replace(how, least=1, fewest=1)
    cut = indexing.wanted()
    present()
    return images.swap(lambda new: joining.add(source, new, images.IMAGES, MANIFEST, cut, batch=batch, labels=labels, options=part))


def forget(batch: str, device: Device) -> Summary:
    """Take the images of a batch away, keep sums of their features under the source that the last run chose, and record it with DVC.

    Call under the run lock. A failed or interrupted one changes nothing. Raises HeadstartError if no run has chosen a source, and what
    headstart.importing.joining.forget raises.
    """
    from headstart.continual import sums
    from headstart.data import batches, forgotten
    from headstart.features import of_source
    from headstart.importing import joining
    from headstart.importing.datasets import Summary
    from headstart.networks import cards

    present()
    joining.check_forgotten(images.IMAGES, batch)
    if not SOURCE.exists():
        raise HeadstartError(
            f"sums are kept of what a source sees of the images, and none was chosen yet ({SOURCE}); run `headstart run` first"
        )
    card = cards.read_source(SOURCE)
    table = joining.indexed(images.IMAGES, MANIFEST, indexing.wanted())
    arrived = batches.read(images.IMAGES)
    table = table.assign(
        split=[arrived[path].split if path in arrived else split for path, split in zip(table["path"], table["split"], strict=True)]
    )
    gone = table[table["path"].map(lambda path: path in arrived and arrived[path].batch == batch) & table["readable"]]
    taught = gone[gone["split"] != "test"].reset_index(drop=True)
    kept = sums.of(card.name, card.weights_sha256, of_source.of_source(card, taught, images.IMAGES, device), taught["label"])

    def fill(new: Path) -> Summary:
        number = joining.forget(new, images.IMAGES, batch)
        sums.write(new, batch, kept)
        forgotten.write_tested(new, batch, gone)
        return Summary(number, list(kept.classes), {})

    return images.swap(fill)


def present() -> None:
    """Have the images that are on record here, as a batch joins them. Call under the run lock."""
    images.tidy()
    images.record()
