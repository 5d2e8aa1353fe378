"""flows.cli.ending: what is said if a command ends before it could say it itself."""

from __future__ import annotations

import contextlib
import os

import pytest

from flows.cli import ending
from flows.repository import child


class Ended(Exception):
    """In the place of the end of this process."""


@pytest.mark.parametrize(
    ("given", "said"), [(None, "interrupted\n"), ("cancelled; what had ended is kept", "cancelled; what had ended is kept\n")]
)
def test_the_words_of_the_command_are_said(
    given: str | None, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(child, "kill_all", lambda: None)
    for lock in ("_ending", "_saying"):
        monkeypatch.setattr(ending, lock, ending.threading.Lock())
    with ending.words(given) if given else contextlib.nullcontext(), pytest.raises(Ended, match=str(ending.INTERRUPTED)):
        ending._end()
    assert capfd.readouterr().err == said
    assert ending._words == ["interrupted"]
