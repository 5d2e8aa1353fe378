"""Every image has a label, and all come from where the model will be used."""

from __future__ import annotations

from pathlib import Path

from headstart.data.settings.setting import Setting


def _means(_: Path) -> bool:
    return True


def _unlabelled(_: Path) -> list[str]:
    return []


LABELLED = Setting("labelled", "labelled images", "Every image has a label.", _means, _unlabelled)
