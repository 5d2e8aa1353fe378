"""Names and sentences in a row, as people write them."""

from __future__ import annotations

from collections.abc import Iterable

from headstart.machinery import terminal

NAMED = 5  # classes or files that a sentence names before it says "and N more"
LONGEST = 300  # characters of a name in a message


def listing(words: Iterable[str], named: int = NAMED, conjunction: str = "and") -> str:
    """Words as people list them: a, b and c; after `named` of them: and N more."""
    words = [terminal.name(word) for word in words]
    if len(words) > named:
        words = [*words[:named], f"{len(words) - named:,} more"]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def named(names: list[str], limit: int = 10) -> str:
    """Names in a row, as many as fit into a message."""
    return ", ".join(map(_name, names[:limit])) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _name(word: str) -> str:
    """A name on one line, cut in its middle if no message has room for it."""
    word = terminal.name(word)
    return word if len(word) <= LONGEST else f"{word[: LONGEST // 2]}...{word[-LONGEST // 2 :]}"


def sentence(words: str) -> str:
    """Words with one full stop last, and a capital first.

    The capital is left out if they begin with a name such as wheel:efficientnet_lite0.
    """
    first = words.split(maxsplit=1)[0]
    return (words[:1].upper() + words[1:] if first.replace("-", "").isalpha() else words).rstrip(".") + "."
