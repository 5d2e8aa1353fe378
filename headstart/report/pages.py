"""How pages are made of templates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headstart.machinery.progress import duration
from headstart.report import coded
from headstart.words import formats

if TYPE_CHECKING:
    import jinja2


def environment() -> jinja2.Environment:
    """The templates and what they may use; whatever is put into a page is escaped."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = {"percent": formats.percent, "count": formats.count, "duration": duration, "sensible": formats.plain, "coded": coded.coded}
    made.filters |= filters
    return made
