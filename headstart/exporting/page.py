"""The page on which a model is tried: `headstart try` serves it, `headstart export web` writes it.

What differs is a script that gives `window.model`: facts() -> {title, classes, heat}, ask(file) -> an answer, look(file, label) -> the picture with what counted.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent / "beside"


def html(head: str) -> str:
    """The page, with `head` (scripts that give `window.model`) in its head."""
    return (HERE / "page.html").read_text(encoding="utf-8").replace("<!-- model -->", head, 1)
