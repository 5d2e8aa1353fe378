"""What a member of SETTINGS says: which labels there are, and what follows from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headstart.data import photos


@dataclass(frozen=True)
class Setting:
    """Which labels an imported folder has, and when.

    `means` tells whether an imported folder is of this setting; `unlabelled` gives the files (posix paths below the folder, sorted) that have
    no label and that labels are to be carried over to; `says` is a sentence for readers; `idle` are the stages that have nothing to do.
    """

    name: str
    title: str
    says: str
    means: Callable[[Path], bool]
    unlabelled: Callable[[Path], list[str]]
    idle: tuple[str, ...] = ()


def below(images: Path, folder: str) -> list[str]:
    """The files of a hidden folder of an imported one, as `Setting.unlabelled` gives them; none if there is no such folder."""
    hidden = images / folder
    found = photos.walk(hidden) if hidden.is_dir() else ()
    return sorted(path.relative_to(images).as_posix() for path in found)
