"""The only caller of the git command.

It reads objects and adds commits, and leaves index, HEAD, branches and files alone.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from headstart.machinery.errors import HeadstartError


class GitError(HeadstartError):
    """A git command failed, or there is no git, or no repository; the message is what git said last."""


def call(*arguments: str, given: str = "", extra: Mapping[str, str] | None = None) -> str:
    """Run `git arguments` in this folder with `given` on its standard input; returns what it writes.

    `extra` is added to its environment. Raises GitError.
    """
    return _run(arguments, given.encode(errors="surrogateescape"), extra).decode(errors="surrogateescape")


def read(names: Sequence[str]) -> list[bytes | None]:
    """The contents of many files, each named REVISION:./PATH; None for what is not there.

    One process reads them all. Raises GitError.
    """
    answer = _run(("cat-file", "--batch"), "".join(f"{name}\n" for name in names).encode(), None)
    contents: list[bytes | None] = []
    at = 0
    for _ in names:
        head, _, _ = answer[at:].partition(b"\n")
        at += len(head) + 1
        if head.endswith(b" missing"):
            contents.append(None)
            continue
        size = int(head.rpartition(b" ")[2])
        contents.append(answer[at : at + size])
        at += size + 1
    return contents


def problem() -> str:
    """Why experiments cannot be kept here, in git's words, and what to do; "" if they can."""
    try:
        call("rev-parse", "--verify", "HEAD^{commit}")
        return ""
    except GitError as error:
        text = str(error).removeprefix("`git rev-parse` failed: ")
    if "not a git repository" in text:
        return "this folder is in no git repository; make one with `git init`, then `git add --all` and `git commit`"
    if "single revision" in text:
        return "nothing is committed yet; `git add --all` and `git commit` once"
    return text


def _words(lines: list[str]) -> str:
    """What git said last; if it does not trust the folder, the cure that it names stands some lines below."""
    first = next((line for line in lines if "dubious ownership" in line), "")
    cure = next((line.strip() for line in lines if "safe.directory" in line), "")
    if first and cure:
        return f"{first.removeprefix('fatal: ')}: the folder is another user's; if you trust it: `{cure}`"
    return lines[-1].removeprefix("fatal: ")


def _run(arguments: Sequence[str], given: bytes, extra: Mapping[str, str] | None) -> bytes:
    environment = {**os.environ, "LC_ALL": "C", **(extra or {})}
    try:
        done = subprocess.run(["git", *arguments], input=given, capture_output=True, env=environment)
    except FileNotFoundError:
        raise GitError("there is no git command here; install git") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise GitError(f"`git {arguments[0]}` failed: {_words(said)}")
    return done.stdout
