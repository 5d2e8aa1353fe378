"""What every block of params.yaml is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A block of params.yaml.

    Unknown names and wrong types are errors; nothing changes one once it is read.
    """

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)
