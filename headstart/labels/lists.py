"""The labels to look at as files: tables for people, and all of it as JSON for the report and for `headstart review`."""

from __future__ import annotations

from pathlib import Path

from headstart.base import outputs
from headstart.labels.doubtful import Doubts
from headstart.words import spreadsheet

JSON = "labels.json"
COLUMNS = ("path", "origin", "split", "label", "suggested", "probability", "suggested_probability", "wrong", "block", "nearest")
OF_BLOCKS = ("number", "label", "suggested", "files", "first", "last", "chance")


def write(folder: Path, found: Doubts) -> None:
    """Write labels.csv, blocks.csv and labels.json into a folder, whole or not at all."""
    with outputs.folder(folder) as temporary:
        rows = ({**one, "nearest": "; ".join(f"{near['path']} ({near['label']})" for near in one["neighbours"])} for one in found["labels"])
        spreadsheet.write(temporary / "labels.csv", COLUMNS, ([row[name] for name in COLUMNS] for row in rows))
        blocks = (dict(one) for one in found["blocks"])
        spreadsheet.write(temporary / "blocks.csv", OF_BLOCKS, ([row[name] for name in OF_BLOCKS] for row in blocks))
        outputs.write_json(temporary / JSON, found)
