"""How a folder or an archive is imported, beside where it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from headstart.importing import member_names
from headstart.machinery.errors import DataError, ParamsError

_OF_THE_PROJECT = ("least", "fewest", "known")


@dataclass(frozen=True)
class Options:
    """What `headstart import` was told beside the source. JSON types alone, so that an update can repeat it."""

    columns: Mapping[str, str] = field(default_factory=dict)  # of the label file, by role: path, label, split, group
    skip_bad: bool = False  # leave out, and list, what has no label, no file or cannot be read, and classes that are too small
    drop_duplicates: bool = False  # leave out all but one of images with the same pixels
    group_by_folder: bool = False  # the images of one folder stay in one split
    group_pattern: str = ""  # so do those in whose path this regular expression finds the same text
    recursive: bool = False  # files of sub-folders belong to the class folder above them
    encoding: str = ""  # of the names in an archive, or of a table of labels, that does not say it
    limits: Mapping[str, int] = field(default_factory=dict)  # of an archive, by name, that differ from archives.LIMITS
    no_labels: bool = False  # the images have no labels, and folders are no classes
    unlabelled: bool = False  # take what has no label as images without labels
    target: str = ""  # a folder of images without labels, of the domain in which the model will be used
    reviewed: str = ""  # a table of labels that a person has reviewed (reviewed.py)
    target_labels: str = ""  # a table of labels for a few of them
    least: int = 1  # images of a class below which `skip_bad` leaves it out
    fewest: int = 2  # classes; 1 if what is imported joins others
    known: Sequence[str] = ()  # classes that it joins: a folder of such a name is a class, whatever lies in it

    def __post_init__(self) -> None:
        ways = ["--group-by-folder"] * self.group_by_folder + ["--group-pattern"] * bool(self.group_pattern)
        ways += ["group= in --columns"] * ("group" in self.columns)
        if len(ways) > 1:
            raise ParamsError(f"{' and '.join(ways)} both say what belongs together; give one of them")
        member_names.check_encoding(self.encoding)
        try:
            re.compile(self.group_pattern)
        except re.error as error:
            raise ParamsError(f"--group-pattern {self.group_pattern!r} is no regular expression: {error}") from None

    def to_json(self) -> dict[str, object]:
        """Plain values, those that differ from the defaults; the others are the project's."""
        plain = Options()
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _OF_THE_PROJECT}
        return {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items() if value != getattr(plain, name)
        }

    @classmethod
    def from_json(cls, content: object, where: Path, least: int) -> Options:
        """Read what `to_json` gave, from the file `where`. Raises DataError for anything else."""
        kinds = {one.name: type(getattr(cls(), one.name)) for one in fields(cls) if one.name not in _OF_THE_PROJECT}
        values = content if isinstance(content, dict) else {}
        columns, limits = values.get("columns", {}), values.get("limits", {})
        fit = isinstance(content, dict) and all(name in kinds and isinstance(value, kinds[name]) for name, value in values.items())
        if not fit or not all(isinstance(text, str) for pair in [*columns.items(), limits] for text in pair):
            raise DataError(f"{where} does not say how its images were imported; import them again with `headstart import PATH`")
        return cls(**values, least=least)
