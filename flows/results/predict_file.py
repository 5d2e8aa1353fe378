"""Label images into a file, for `headstart predict --out`: CSV, lines of JSON or Parquet, and on from where an earlier command stopped."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.results import predict
from headstart.base import outputs
from headstart.features.answered import Answer
from headstart.machinery import terminal
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.words import spreadsheet

if TYPE_CHECKING:
    from headstart.features.predict import Prior

ROWS = 1024  # that are held in memory, and in a row group of Parquet
_LINES: dict[str, Callable[[io.TextIOWrapper, int], Callable[[Answer], object]]] = {
    ".csv": predict.csv_lines,
    ".jsonl": predict.WRITERS["jsonl"],
}


def kind(out: Path) -> str:
    """What a file is by the end of its name, in small letters."""
    return out.suffix.lower()


def check(out: Path, *, resume: bool) -> None:
    """Raise ParamsError for an ending that is not known, or cannot be gone on with; HeadstartError if the file is there already."""
    known = (*_LINES, ".parquet")
    if kind(out) not in known:
        raise ParamsError(f"--out {out}: end the name in {', '.join(known)}, which says what is written")
    if resume and kind(out) not in _LINES:
        raise ParamsError("--resume goes on with a file of .csv or .jsonl; Parquet is written whole")
    if out.is_dir() or (out.exists() and not out.is_file()):
        raise HeadstartError(f"--out {out} is no ordinary file; name another one")
    if out.exists() and not resume:
        wanted = "--resume adds the images that it lacks, or " if kind(out) in _LINES else ""
        raise HeadstartError(f"{out} is there already; {wanted}name another file")


def write(paths: list[Path], model: Path, out: Path, *, top: int = 1, resume: bool = False, prior: Prior = None) -> Iterator[Answer]:
    """Write the answer for every image below `paths` to `out`, and yield each.

    Parquet is written whole or not at all, with the columns of CSV and `top`, a list of label and probability; memory does not grow with the number of images. With `resume`, images
    that have a line in `out` are passed over; a line that was cut off is written again. Raises as `check` and `predict.write` do, and HeadstartError for an `out` with other columns.
    """
    check(out, resume=resume)
    if kind(out) == ".parquet":
        yield from _parquet(paths, model, out, top, prior)
        return
    from headstart.features.predict import walk

    if there := _there(out, top) if out.exists() else set():
        paths = [path for path in walk(paths) if _key(out, str(path)) not in there]
        if not paths:
            return
    predict.check(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:

        def begin() -> Callable[[Answer], object]:
            if kind(out) == ".csv" and not file.tell():
                csv.writer(file, lineterminator="\n").writerow(predict.header(top))
            return _LINES[kind(out)](file, top)

        yield from predict.answers(paths, model, begin, some=not there, prior=prior)


def _key(out: Path, path: str) -> str:
    """How a path is written to a file of this kind."""
    return str(spreadsheet.cell(terminal.name(path))) if kind(out) == ".csv" else path


def _there(out: Path, top: int) -> set[str]:
    """The paths that have a line in a file; a last line that was cut off is cut away. Raises HeadstartError, and changes nothing, for another file."""
    content = out.read_bytes()
    size = content.rfind(b"\n") + 1
    try:
        text = content[:size].decode("utf-8-sig")  # a spreadsheet that saved it puts a mark there
        found = _json_paths(text) if kind(out) == ".jsonl" else _csv_paths(out, text, top)
    except (ValueError, KeyError, TypeError, csv.Error):
        raise _foreign(out) from None
    begins = b'{"path": ' if kind(out) == ".jsonl" else b"" if size else f"{','.join(predict.header(top))}\n".encode()
    if not (content[size:].startswith(begins) or begins.startswith(content[size:])):
        raise _foreign(out)
    if size < len(content):
        with out.open("r+b") as file:
            file.truncate(size)
    return found


def _json_paths(text: str) -> set[str]:
    return {str(json.loads(line)["path"]) for line in text.split("\n") if line.strip()}


def _csv_paths(out: Path, text: str, top: int) -> set[str]:
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if rows and rows[0] != predict.header(top):
        raise HeadstartError(
            f"{out} has the columns {', '.join(rows[0])[:200]}, and these would be {', '.join(predict.header(top))}; name another file"
        )
    return {row[0] for row in rows[1:]}


def _foreign(out: Path) -> HeadstartError:
    return HeadstartError(f"{out} is no file that `headstart predict` wrote, and stays as it is; name another one")


def _parquet(paths: list[Path], model: Path, out: Path, top: int, prior: Prior) -> Iterator[Answer]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    likeliest = pa.list_(pa.struct([("label", pa.string()), ("probability", pa.float64())]))
    kinds = {"probability": pa.float64(), "unsure": pa.bool_(), "unlike": pa.bool_()}
    schema = pa.schema([*((name, kinds.get(name, pa.string())) for name in predict.COLUMNS), ("top", likeliest)])
    rows: list[dict[str, Any]] = []
    with outputs.whole(out) as temporary, pq.ParquetWriter(temporary, schema) as file:

        def line(answer: Answer) -> None:
            texts = {name: terminal.name(getattr(answer, name)) for name in ("path", "label", "error")}
            ranked = [{"label": terminal.name(name), "probability": share} for name, share in answer.ranked[:top]]
            rows.append({**texts, "probability": answer.probability, "unsure": answer.unsure, "unlike": answer.unlike, "top": ranked})
            if len(rows) == ROWS:
                flush()

        def flush() -> None:
            if rows:
                file.write_table(pa.Table.from_pylist(rows, schema))
                rows.clear()

        yield from predict.answers(paths, model, lambda: line, prior=prior)
        flush()
