"""What the operating system refused, in words: where, and what to do; and a process that reads names as UTF-8 in any locale."""

from __future__ import annotations

import codecs
import errno
import os
import sys

from headstart.machinery import terminal

_FULL = "the disk is full{at}: make room and run the same command again; what was finished is kept"
_SAID = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: "the quota of the disk is used up{at}: make room and run the same command again; what was finished is kept",
    errno.EROFS: "the file system is read-only{at}; run this where files can be written",
    errno.EMFILE: "too many files are open{at}; allow more with `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine{at}; end other programs and run the same command again",
    errno.ENAMETOOLONG: "a name is too long for this file system{at}; use a shorter path",
    errno.EIO: "the disk failed to read or write{at} (input/output error); check it, and copy the data elsewhere",
    errno.ENOTDIR: "a file is where a folder is expected{at}; move it away",
    errno.EISDIR: "a folder is where a file is expected{at}; move it away",
    errno.ELOOP: "links go in a circle{at}; remove them",
    errno.ESTALE: "the network drive has changed underneath{at}; run the same command again",
}


def words(error: OSError) -> str | None:
    """One sentence for what the operating system refused; None for what is no such refusal."""
    place = terminal.name(str(error.filename)[:200]) if error.filename else ""
    if isinstance(error, PermissionError):
        return f"no permission: {place or error}"
    said = _SAID.get(error.errno or 0)
    return said.format(at=f" at {place}" if place else "") if said else None


def read_names_as_utf8() -> None:
    """Start this process anew if its locale has another encoding than UTF-8 for names of files.

    Such a name would be taken for others (KÃ¤se), or for one that is not valid.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
