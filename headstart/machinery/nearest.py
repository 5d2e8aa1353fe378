"""What an unknown name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def hint(name: str, known: Sequence[str], most: int = 5) -> str:
    """The end of a message about an unknown name: did you mean bees?, or the names that are known."""
    folded = {one.casefold(): one for one in reversed(known)}
    near = [folded[one] for one in difflib.get_close_matches(name.casefold(), list(folded), 3)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return f"known are {', '.join(known[:most]) or 'none'}{more}"
