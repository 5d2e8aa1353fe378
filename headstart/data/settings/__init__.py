"""The settings: which labels there are, and when. Each is a file of this folder and a member of SETTINGS, the more special first."""

from __future__ import annotations

from pathlib import Path

from headstart.data.settings.in_batches import IN_BATCHES
from headstart.data.settings.labelled import LABELLED
from headstart.data.settings.no_labels import NO_LABELS
from headstart.data.settings.partly import PARTLY
from headstart.data.settings.setting import Setting as Setting
from headstart.data.settings.two_domains import TWO_DOMAINS

SETTINGS = {one.name: one for one in (NO_LABELS, TWO_DOMAINS, PARTLY, IN_BATCHES, LABELLED)}


def of(images: Path) -> Setting:
    """The setting of an imported folder: the first that it is of."""
    return next(one for one in SETTINGS.values() if one.means(images))
