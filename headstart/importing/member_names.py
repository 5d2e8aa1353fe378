"""The names of an archive's members: as text, whatever encoding they are in, and none that leads out of the archive."""

from __future__ import annotations

import re
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from headstart.indexing import layout
from headstart.machinery.errors import DataError, ParamsError

_UTF8 = 0x800  # the flag of a member whose name is UTF-8
_UNICODE_PATH = 0x7075  # the extra field in which Info-ZIP writes the name as UTF-8
_GUESSES = ("cp437", "cp850", "cp1252", "cp932", "gbk", "euc_kr", "cp1251", "cp866")  # of computers that make such archives


def check_encoding(encoding: str) -> None:
    """Raise ParamsError for the name of an encoding that there is not."""
    try:
        "a".encode(encoding or "utf-8")  # raises for rot13, hex and the like too, which are none of text
    except (LookupError, ValueError):
        raise ParamsError(f"--encoding {encoding} is unknown; some that are known: {', '.join(_GUESSES)}") from None


def of_zip(archive: Path, infos: list[zipfile.ZipInfo], encoding: str) -> list[str]:
    """The names of all members, with slashes between their parts.

    A name that is not marked as UTF-8 but is valid UTF-8 is taken as such. Any other is read in `encoding`; without one, DataError asks
    for it: the names are not guessed, as they become classes. Short names in some East Asian encodings are valid UTF-8 by chance, so beside
    names that are none they are read in such an encoding.
    """
    names, unclear = [], []
    raws = [info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437", errors="surrogateescape") for info in infos]
    first = _is_wide(encoding) and not all(_decoded(raw) for raw in raws)
    for info, raw in zip(infos, raws, strict=True):
        marked = bool(info.flag_bits & _UTF8)
        name = _unicode_path(info.extra, raw) or (_decoded(raw) if marked else _decoded(raw, encoding, first))
        if name is None:
            unclear.append(raw)
        names.append((name or "").replace("\\", "/").partition("\0")[0])
    if unclear:
        raise DataError(_question(archive, unclear, encoding))
    return names


def of_tar(info: tarfile.TarInfo, encoding: str) -> str:
    """The name of a member that was read as UTF-8: in `encoding` if it is not marked as UTF-8 and is none."""
    if info.name.isascii() or "path" in info.pax_headers:
        return info.name
    return _decoded(info.name.encode(errors="surrogateescape"), encoding, _is_wide(encoding)) or info.name


def check(archive: Path, name: str, encoding: str = "") -> None:
    """Raise DataError for a name that leads out of the archive, or is not in the encoding that it should be in."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raw = name.encode(errors="surrogateescape")
        raise DataError(_question(archive, [raw], encoding)) from None
    layout.check_name(name)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in PurePosixPath(name).parts:
        raise refusal(archive, name, "points outside the archive")


def unusual(info: zipfile.ZipInfo) -> str:
    """What a member of a zip is if it is neither a file nor a folder, "" otherwise."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind in (0, stat.S_IFREG, stat.S_IFDIR):
        return ""
    return "is a link" if kind == stat.S_IFLNK else "is no ordinary file"


def refusal(archive: Path, name: str, problem: str) -> DataError:
    """The error for a member that nobody should unpack unseen."""
    return DataError(f"{archive} is refused: its member {name!r} {problem}; if you trust it, unpack it yourself and give the folder")


def _is_wide(encoding: str) -> bool:
    """Whether an encoding writes a letter in two bytes, as those of Chinese, Japanese and Korean do."""
    return bool("中あ한".encode(encoding or "ascii", errors="ignore"))


def _decoded(raw: bytes, encoding: str = "", first: bool = False) -> str | None:
    """Bytes as text: as UTF-8, else in `encoding`; `first`: the other way round."""
    for one in (encoding, "utf-8") if first else ("utf-8", encoding):
        try:
            if one:
                return raw.decode(one)
        except UnicodeDecodeError:
            continue
    return None


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """The name in an extra field of Info-ZIP's, if it belongs to the name that stands beside it; "" if there is none."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) > 5 and field[0] == 1 and struct.unpack("<I", field[1:5])[0] == zlib.crc32(raw):
            return _decoded(field[5:], "") or ""
    return ""


def _question(archive: Path, raw: list[bytes], encoding: str) -> str:
    """Ask for the encoding of names, and show what the first would be in some."""
    shown = raw[0].decode(errors="backslashreplace")
    if encoding:
        return f"{archive}: the name {shown} is not valid {encoding}; give another --encoding"
    return (
        f"{archive}: the name {shown} is not valid UTF-8 ({len(raw):,} such name(s)), and the archive does not say what it is; give "
        f"--encoding, as which it reads right: {readings(raw[0])}"
    )


def readings(raw: bytes) -> str:
    """What bytes would be in the encodings of usual computers."""
    found: dict[str, str] = {}
    for guess in _GUESSES:
        text = _decoded(raw, guess)
        if text and text.isprintable():
            found.setdefault(text, guess)
    return "; ".join(f"{guess}: {text}" for text, guess in found.items())
