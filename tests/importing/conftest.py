"""What tests of tables of labels share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six files, 1.jpg to 6.jpg."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(1, 7):
        (root / f"{number}.jpg").write_text(str(number))
    return root
