"""Which kind of archive a file is, by its first bytes and not by its name, and what it is instead if it is none that is unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from headstart.data import images, kinds

ZIP, TAR = "zip", "tar"
_ZIPS = (b"PK\3\4", b"PK\5\6")
_PACKERS: dict[bytes, tuple[Callable[[Path], io.BufferedIOBase], str]] = {
    b"\x1f\x8b": (gzip.GzipFile, "gzip"),
    b"BZh": (bz2.BZ2File, "bzip2"),
    b"\xfd7zXZ\0": (lzma.LZMAFile, "xz"),
}
_OTHERS = {  # what other programs unpack
    b"Rar!\x1a\x07": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard",
    b"\x04\x22\x4d\x18": "packed with LZ4",
    b"LZIP": "packed with lzip",
    b"\x1f\x9d": "packed with compress",
    b"\x1f\xa0": "packed with compress",
    b"MSCF": "a Windows cabinet",
    b"!<arch>\n": "an archive of ar",
    b"070701": "an archive of cpio",
    b"hsqs": "a SquashFS image",
}
_PARTS = (".001", ".z01", ".part", ".part1.rar", ".crdownload", ".partial", ".download", ".aa")
_TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".ods", ".parquet", ".json", ".jsonl", ".xml")
_UNPACK = "unpack it yourself and give the folder"


def of(path: Path) -> str:
    """ZIP or TAR for an archive of that kind, compressed or not, whatever it is called; "" for any other file."""
    name, head = path.name.lower(), _head(path)
    if name.endswith((*_TABLES, ".docx", ".pptx")):  # some of them are zips too
        return ""
    if name.endswith(_PARTS):
        return ZIP if zipfile.is_zipfile(path) else ""
    if head.startswith(_ZIPS):
        return ZIP
    if head.startswith(tuple(_PACKERS)):
        return TAR
    if len(head) == tarfile.BLOCKSIZE and _starts_a_tar(head):
        return TAR
    return ZIP if zipfile.is_zipfile(path) else ""  # with something before it, as what unpacks itself has


def single(path: Path) -> str:
    """What to say of one file that is compressed and no .tar, such as labels.gz; "" for what may be a .tar, whole or damaged."""
    packed = next((how for start, how in _PACKERS.items() if _head(path).startswith(start)), None)
    if not packed or re.search(r"\.(tar|tgz|tbz2?|txz)\b", path.name.lower()):
        return ""
    opened, tool = packed
    try:
        with opened(path) as file:
            inside = file.read(tarfile.BLOCKSIZE)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return ""
    if _starts_a_tar(inside):
        return ""
    return f"is one file packed with {tool}, and no .tar of many: unpack it ({tool} -d FILE), and give a folder"


def instead(path: Path) -> str:
    """What a file is that is no archive which can be unpacked here, and what to do about it; "" if nothing can be said."""
    name, head = path.name.lower(), _head(path)
    if name.endswith(_TABLES):
        return f"is a table of labels, it seems: give the folder of its images, and the table with --labels {path.name}"
    if name.endswith(_PARTS):
        return "is a part of a file, it seems: download the rest, or put the parts together, first"
    if not head:
        return "is empty: download or copy it again"
    other = next((what for start, what in _OTHERS.items() if head.startswith(start)), "")
    if other:
        return f"is {other}, which is not unpacked here: {_UNPACK}"
    if head.startswith(b"PK\7\x08"):
        return "is the first part of a split zip: put its parts together first (zip -s 0 FIRST.zip --out WHOLE.zip)"
    if head[4:8] != b"ftyp" and not images.why_not(path):
        return "is one image: give a folder with a folder for each class"
    reason = kinds.by_head(head)
    return f"is {reason}" if reason and not head.startswith((*_ZIPS, *_PACKERS)) else ""


def _starts_a_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        return True
    except tarfile.TarError:
        return False


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(tarfile.BLOCKSIZE)
    except PermissionError:
        return b"\0"
