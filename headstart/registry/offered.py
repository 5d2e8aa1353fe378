"""What a run offers to the registry, and the images by which it may be judged.

With one domain that is models/final, and a split of its images. With a second domain it is the model that counts there: models/adapted if
labels were carried over to it. Images of the second domain that have a label (`headstart import --target-labels`) judge it, whatever
--split says, as they trained nothing and the model is for images like them. Without any, an adapted model cannot be judged at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headstart.base import outputs
from headstart.data import manifest, settings
from headstart.data.settings import two_domains
from headstart.machinery.errors import DataError, HeadstartError
from headstart.registry.shelf import Model

TARGET = "target"  # in the place of a split, of images of the second domain
ADAPTED = "adapted"  # what ships, by the card of a model that was adapted
LABEL = "label the images that reports/target/label_these.csv names, import again with --target-labels, and use `headstart run`"


@dataclass(frozen=True)
class Places:
    """Where a run leaves what it offers."""

    images: Path
    clean: Path
    target: Path
    final: Path
    adapted: Path
    adapt: Path


@dataclass(frozen=True)
class Offer:
    """A model, the rows of a manifest that judge it (none if no image of its domain has a label), and what to bear in mind.

    `data` is the hash of what it was made from. `kept` has a row for each image that is remembered with the model: path, sha256, split. `second`: whether the run has a second domain.
    """

    model: Model
    data: str
    rows: pd.DataFrame
    split: str
    kept: pd.DataFrame
    second: bool
    notes: list[str]

    def beyond(self, current: Model) -> str:
        """Why nothing can tell it from the current model; "" if images can."""
        judged = self.split == TARGET and len(self.rows) > 0
        if not self.second or judged or ADAPTED not in (self.model.card.shipped, current.card.shipped):
            return ""
        whose = "it is" if self.model.card.shipped == ADAPTED else "the current model is"
        return f"{whose} for images of a second domain, none of which has a label, so the two cannot be compared: {LABEL}"


def offer(at: Places, split: str) -> Offer:
    """What the last run offers. Raises HeadstartError if there is no model or it is of other data, DataError if the split has no image."""
    second = settings.of(at.images) is two_domains.TWO_DOMAINS
    adapted = second and _adapted(at.adapt)
    model, table = Model.read(at.adapted if adapted else at.final), manifest.read(at.clean)
    there = _second(at) if second else table.head(0)
    learned = pd.concat([table[table["split"] != "test"].reset_index(drop=True), there]) if adapted else table
    if model.card.data_sha256 != (data := manifest.split_hash(learned)):
        raise HeadstartError(
            f"{model.folder} was not made from the data in {at.clean}; run `headstart run` first, so that both are of one run"
        )
    judging = there[there["label"] != ""].assign(split=TARGET).reset_index(drop=True)
    kept = pd.concat([table, judging])[["path", "sha256", "split"]]
    if adapted or len(judging):
        notes = [] if len(judging) else ["no image of the second domain has a label, so how good it is there is not known"]
        return Offer(model, data, judging, TARGET, kept, second, notes)
    rows = table[table["split"] == split].reset_index(drop=True)
    if rows.empty:
        raise DataError(f"{at.clean} has no image in the {split} split, so there is nothing to compare on")
    notes = ["the second domain has no image with a label: these are images of the labelled domain"] if second else []
    return Offer(model, data, rows, split, kept, second, notes)


def _second(at: Places) -> pd.DataFrame:
    """The usable images of the second domain, with the label of those that have one."""
    rows, labels = manifest.read(at.target), two_domains.labels(at.images)
    usable = rows[rows["readable"]].reset_index(drop=True)
    return usable.assign(label=[labels.get(path, "") for path in usable["path"]])


def _adapted(path: Path) -> bool:
    """Whether the run carried labels over, by its reports/adapt.json. Raises HeadstartError if that file is missing."""
    try:
        return bool(outputs.read_json(path)["adapted"])
    except FileNotFoundError:
        raise HeadstartError(f"{path} is missing; run `headstart run` first") from None
