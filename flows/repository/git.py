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


def _run(arguments: Sequence[str], given: bytes, extra: Mapping[str, str] | None) -> bytes:
    environment = {**os.environ, "LC_ALL": "C", **(extra or {})}
    try:
        done = subprocess.run(["git", *arguments], input=given, capture_output=True, env=environment)
    except FileNotFoundError:
        raise GitError("there is no git command here; install git") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise GitError(f"`git {arguments[0]}` failed: {said[-1].removeprefix('fatal: ')}")
    return done.stdout
