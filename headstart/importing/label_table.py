"""Read a table of labels as text: its encoding, what separates its columns, its rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from headstart.data import kinds
from headstart.importing import member_names
from headstart.machinery.errors import DataError

SHAPE = "a CSV with a column of file names and one of labels"
SEPARATORS = ",;\t|"
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OTHER = {b"PK\x03\x04": "an Excel workbook or another archive", b"\xd0\xcf\x11\xe0": "an old Excel workbook", b"PAR1": "a Parquet file"}
_TITLES = 20  # lines before the first row that are looked at
_SEEN = 200  # records that are looked at to tell what separates columns


@dataclass(frozen=True)
class Table:
    """The rows of a label file as text.

    `rows` holds the number of the line on which each ends, and its fields, the first row (a header or not) included.
    """

    path: Path
    rows: list[tuple[int, list[str]]]


def read(file: Path, folder: Path, encoding: str = "") -> Table:
    """The rows of a label file, which may also lie in `folder`; empty ones are left out, and so are comments (#) and a title before them.

    `encoding` is that of a file that is neither UTF-8 nor marked. Raises DataError for a file that is missing, is no text, is in another
    encoding than it should be, is no valid CSV or has no rows.
    """
    path = file if file.is_file() else folder / file
    text = _decoded(_content(path, file), file, encoding)
    said = re.match(r"\"?sep=(\\t|tab|.)\"?[ ,;\t]*\r?(\n|$)", text, re.IGNORECASE)
    text = text[said.end() :] if said else text
    passed, text = _without_comments(text)
    shift = passed + (1 if said else 0)
    separator = {"\\t": "\t", "tab": "\t"}.get(said[1].lower(), said[1]) if said else _separator(text)
    quote = "'" if re.match(rf"'[^']*'{re.escape(separator)}'", text) else '"'
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True, quotechar=quote)
    rows: list[tuple[int, list[str]]] = []
    try:
        for fields in reader:
            if separator == " ":
                fields = [field for field in fields if field]
            if any(field.strip() for field in fields):
                rows.append((reader.line_num + shift, fields))
    except csv.Error as error:
        first = rows[-1][0] + 1 if rows else shift + 1  # of the record that is broken
        raise DataError(f"{file} is not valid CSV: {_broken(error, first, reader.line_num + shift)}") from None
    if not rows:
        raise DataError(f"{file} names no files; give {SHAPE}")
    return Table(path, rows)


def _broken(error: csv.Error, first: int, last: int) -> str:
    """What is wrong with a record of CSV, in our words."""
    text = str(error)
    if "unexpected end" in text:
        return f"the quotes of the row that begins on line {first} do not close; write a quote inside a field twice"
    if "limit" in text:
        return f"a field of the row that begins on line {first} has more than {csv.field_size_limit():,} characters; a quote is missing, it seems"
    if "expected after" in text:
        return f"on line {last} something follows a closing quote; write a quote inside a field twice"
    return f"line {last} makes no sense; save the table anew"


def _content(path: Path, file: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else _missing(file, path)
    except PermissionError:
        raise DataError(f"no permission to read {file}") from None


def _missing(file: Path, path: Path) -> bytes:
    what = "is a folder" if path.is_dir() or file.is_dir() else "is no ordinary file" if path.exists() else ""
    raise DataError(f"{file} {what}; give {SHAPE}" if what else f"there is no labels file {file}; give {SHAPE}")


def _without_comments(text: str) -> tuple[int, str]:
    """The text without the comments and titles before its first row, and how many lines these are.

    A line that begins with # is the header if it has as many fields as the next; one with a single field is a title before an empty line, and
    before rows of several fields.
    """
    lines = text.splitlines(keepends=True)
    passed = 0
    while passed + 1 < min(len(lines), _TITLES):
        line, following = lines[passed].strip(), lines[passed + 1].strip()
        counts = [max(_fields(part).values(), default=0) for part in (line, following)]
        title = not counts[0] and (_rows_follow(lines[passed + 1 :]) if following else any(map(_fields, lines[passed + 2 :])))
        if (line.startswith("#") and (following.startswith("#") or counts[0] != counts[1])) or not line or title:
            passed += 1
        else:
            break
    rest = "".join(lines[passed:])
    return passed, rest[1:].lstrip(" ") if rest.startswith("#") else rest


def _fields(line: str) -> dict[str, int]:
    """How often each of the SEPARATORS that a line has stands in it."""
    return {mark: line.count(mark) for mark in SEPARATORS if mark in line}


def _rows_follow(lines: list[str]) -> bool:
    """Whether the first two lines with a separator, at most a few lines down, have as many of one kind: then these are rows."""
    rows = [fields for fields in map(_fields, lines[:_TITLES]) if fields]
    return len(rows) > 1 and bool(rows[0].items() & rows[1].items())


def _refuse_what_is_no_table(content: bytes, file: Path) -> None:
    """Raise DataError for a workbook, a JSON, a page: what people have labels in, and what failed downloads leave."""
    for mark, what in _OTHER.items():
        if content.startswith(mark):
            raise DataError(f"{file} is {what}, not text; save the table as CSV in UTF-8")
    begins = content[:400].removeprefix(codecs.BOM_UTF8).lstrip()
    if re.match(rb"[\[{]\s*[\[{\"]", begins) and b"}" in content[-400:] + b"]":
        raise DataError(f"{file} is JSON; make it {SHAPE}")
    if content.startswith(kinds.USUAL):
        raise DataError(f"{file} is an image; give {SHAPE}")
    if reason := kinds.by_head(begins[: kinds.HEAD]):
        raise DataError(
            f"{file} is {reason}" if "pointer" in reason or "page" in reason else f"{file} is {reason.partition(':')[0]}; give {SHAPE}"
        )


def _decoded(content: bytes, file: Path, given: str) -> str:
    _refuse_what_is_no_table(content, file)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    head = content[:400]
    if (
        encoding == "utf-8" and head.count(0) > len(head) // 4
    ):  # without a mark: every other byte of plain letters is zero, or three of four
        wide = "utf-32" if head.count(0) > len(head) * 5 // 8 else "utf-16"
        encoding = f"{wide}-be" if head[::2].count(0) > head[1::2].count(0) else f"{wide}-le"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        try:
            text = content.decode(given) if given else ""
        except (UnicodeDecodeError, LookupError):
            text = ""
        if not text:
            raise DataError(_question(content, error.start, file, given)) from None
    if "\0" in text:
        raise DataError(f"{file} holds zero bytes, so it is no text; save the table as CSV in UTF-8")
    return text.lstrip("\r\n")


def _question(content: bytes, place: int, file: Path, given: str) -> str:
    """Ask for the encoding of a table, and show what its first doubtful line would be in some."""
    if given:
        return f"{file} is not valid {given}; give another --encoding, or save it as CSV in UTF-8"
    line = content[content.rfind(b"\n", 0, place) + 1 :].partition(b"\n")[0].strip()
    readings = member_names.readings(line[:80])
    return f"{file} is not UTF-8 text; save it as CSV in UTF-8, or give --encoding, as which it reads right: {readings}"


def _separator(text: str) -> str:
    """What separates the columns: what gives the first records the same number of fields, the more the better; blanks come last."""
    best, most = "", 1
    for candidate in SEPARATORS:
        widths = set()
        try:
            for number, fields in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=candidate, skipinitialspace=True)):
                if fields:
                    widths.add(len(fields))
                if number == _SEEN:
                    break
        except csv.Error:
            continue
        if len(widths) == 1 and max(widths) > most:
            best, most = candidate, max(widths)
    head = text.splitlines()[0] if text.strip() else ""
    if not best and max(head.count(candidate) for candidate in SEPARATORS):
        best = max(SEPARATORS, key=head.count)  # some row is broken
    return best or (" " if " " in head.strip() else ",")
