"""Sentences that name a command or a parameter between backquotes, as HTML."""

from __future__ import annotations

import re

from markupsafe import Markup, escape


def coded(sentence: str) -> Markup:
    """The sentence, safe to show, with what is between backquotes set as code."""
    parts = re.split(r"`([^`\n]+)`", sentence)
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts))
