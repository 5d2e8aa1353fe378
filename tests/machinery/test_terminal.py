"""headstart.terminal: names are text wherever they are shown."""

from __future__ import annotations

import io
import os
import sys

import pytest

from headstart.machinery import terminal
from headstart.words import lists, spreadsheet


def test_control_characters_are_written_out() -> None:
    assert terminal.plain("a\x1b[2J\x9b\x07b\tc\nd") == "a\\x1b[2J\\x9b\\x07b\tc\nd"
    assert terminal.plain("a\u202egpj.exe\u2028x\x7f") == "a\\u202egpj.exe\\u2028x\\x7f"
    assert terminal.plain("caf\udce9.jpg") == "caf\\xe9.jpg"
    assert terminal.plain("größe 写真 🐜 é") == "größe 写真 🐜 é"
    assert terminal.name("a\nerror: b\tc\rd") == "a\\nerror: b\\tc\\rd"
    assert lists.named(["a\nb"]) == lists.listing(["a\nb"]) == "a\\nb"


def test_both_streams_write_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.plain_streams():
        print("out \x1b]0;title\x07")
        print("\r3/12", end="", file=sys.stderr)
        sys.stderr.write("a\rb\r\n")
        assert not sys.stdout.isatty()
    print("\x1b[0m")
    assert tuple(capsys.readouterr()) == ("out \\x1b]0;title\\x07\n\x1b[0m\n", "\r3/12a\\rb\n")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|x", "'+cmd|x"),
        ("-2", "-2"),
        ("+1", "+1"),
        ("-rf.png", "'-rf.png"),
        ("a=b", "a=b"),
        (3, 3),
    ],
)
def test_no_cell_is_a_formula(value: object, cell: object) -> None:
    assert spreadsheet.cell(value) == cell
    assert spreadsheet.text(str(cell)) == str(value)


def test_a_closed_stream_writes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """`headstart show >&-`: the number of the stream is taken, so that no file of ours gets what is printed."""
    taken: list[int] = []
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(os, "dup2", lambda _, number: taken.append(number))
    with terminal.plain_streams():
        print("nobody reads this")
    sys.stdout.close()
    assert taken == [1]


def test_what_an_encoding_lacks_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    with terminal.plain_streams():
        print("Käse Ω")
    out.flush()
    assert out.buffer.getvalue() == b"K\\xe4se \\u03a9\n"  # type: ignore[attr-defined]
