"""headstart.machinery.system: what the operating system refuses is a sentence, and names are UTF-8 in any locale."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from headstart.machinery import failure, system


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full at a/b: make room"),
        (errno.EDQUOT, "the quota of the disk is used up at a/b"),
        (errno.EROFS, "the file system is read-only at a/b"),
        (errno.EACCES, "no permission: a/b"),
        (errno.EMFILE, "too many files are open at a/b; allow more with `ulimit"),
        (errno.ENAMETOOLONG, "a name is too long for this file system at a/b"),
        (errno.EIO, "the disk failed to read or write at a/b"),
    ],
)
def test_refusals_are_sentences(number: int, says: str) -> None:
    error = OSError(number, os.strerror(number), "a/b")
    assert str(system.words(error)).startswith(says)
    assert failure.of("baseline", error)["message"].startswith(f"stage baseline failed: {says}")
    assert "Errno" not in str(system.words(OSError(number, os.strerror(number)))) or number == errno.EACCES


def test_what_is_no_refusal_is_left_to_others() -> None:
    assert system.words(FileNotFoundError(errno.ENOENT, "No such file", "a")) is None
    assert system.words(OSError("decoder error -2")) is None


def test_names_never_reach_the_terminal_raw() -> None:
    assert "\x1b" not in str(system.words(OSError(errno.ENOSPC, "full", "a\x1b[2J")))


@pytest.mark.parametrize(("encoding", "starts"), [("iso8859-1", True), ("ascii", True), ("utf-8", False), ("UTF8", False)])
def test_another_encoding_of_names_starts_the_process_anew(monkeypatch: pytest.MonkeyPatch, encoding: str, starts: bool) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "x", "a b"])
    monkeypatch.setattr(os, "execv", lambda program, arguments: started.append([program, *arguments]))
    monkeypatch.setenv("PYTHONUTF8", "0")
    system.read_names_as_utf8()
    assert started == ([[sys.executable, sys.executable, "-m", "x", "a b"]] if starts else [])
    system.read_names_as_utf8()
    assert len(started) <= 1, "once at most, whatever the interpreter makes of it"
