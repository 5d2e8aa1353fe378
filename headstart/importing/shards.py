"""Tar shards: a few hundred archives instead of millions of files, in the form of WebDataset.

A shard holds samples, each of them a picture and its label in files of the same name: `000012.jpg` with `000012.json` ({"label": ..., and, if known,
"split", "group", "origin"}), `000012.cls` or `000012.txt` (the label as text). `headstart shard` writes such shards, with .json and .cls, and
`headstart import` reads them, from a folder or a bucket. A split may also be the name of the shard (train-0001.tar) or of its folder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from headstart.base import outputs
from headstart.data import images
from headstart.importing import archives
from headstart.indexing import split_names
from headstart.machinery.errors import DataError
from headstart.machinery.progress import Progress

TABLE = "shards.csv"  # the labels of unpacked shards, below the folder that holds them
COLUMNS = ("path", "label", "split", "group")
INDEX = "shards.json"  # which shards `pack` wrote; written last
EACH = 1000  # images of a shard
BESIDE = (".json", ".cls", ".txt")  # where the label of a sample stands, the first that there is
_LONGEST = 200  # letters of a label; more is a caption


@dataclass(frozen=True)
class Sample:
    """A picture to be packed: its file, its path in the data set, its label, and its split and group ("" for none)."""

    file: Path
    path: str
    label: str
    split: str = ""
    group: str = ""


def are_shards(paths: Sequence[str]) -> bool:
    """Whether files are tar shards, going by their names: nothing but .tar files, and tables beside them."""
    tars = [path for path in paths if path.endswith(".tar")]
    return bool(tars) and all(path.endswith((".tar", ".json", ".txt", ".csv", ".md", ".idx")) for path in paths)


def holds_shards(folder: Path) -> bool:
    """Whether a folder holds tar shards and nothing else."""
    return folder.is_dir() and are_shards([path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")])


def listed(paths: Sequence[str], index: bytes) -> list[str]:
    """The shards among `paths`: those that the index names, if there is one, else all. Raises DataError for an index that names others."""
    tars = [path for path in paths if path.endswith(".tar")]
    if not index:
        return tars
    try:
        names = [str(name) for name in json.loads(index)["shards"]]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{INDEX} is not what `headstart shard` writes; remove it, and all shards beside it are read") from None
    if gone := sorted(set(names) - set(tars)):
        raise DataError(f"{len(gone)} of the shards that {INDEX} names are not there, {gone[0]} for example; write them again")
    return names


def is_shard(path: Path) -> bool:
    """Whether a file is a shard, going by its first two members: a picture and its label, of one name."""
    try:
        with tarfile.open(path, "r:") as tar:
            names = [PurePosixPath(member.name) for member in islice(tar, 2)]
    except (tarfile.TarError, OSError):
        return False
    suffixes = {name.suffix.lower() for name in names}
    return len({name.parent / name.name.partition(".")[0] for name in names}) == 1 and bool(suffixes & {*BESIDE}) and len(names) == 2


def folder_of(path: str) -> str:
    """The name of the folder into which a shard is unpacked."""
    return path.removesuffix(".tar").replace("/", "--")


def unpack(tar: Path, folder: Path, *, shown: str) -> None:
    """Unpack a shard, whole or not at all. Raises DataError, which calls it `shown`, for one that is damaged or tries to write elsewhere."""
    with outputs.folder(folder) as fresh:
        try:
            archives.unpack(tar, fresh, quiet=True)
        except DataError as error:
            raise DataError(str(error).replace(str(tar), shown), error.rows) from None


def unpack_all(source: Path, folder: Path) -> None:
    """Unpack a shard, or all in a folder, into the fresh `folder`, with the table of their labels. Raises DataError."""
    if source.is_file():
        unpack(source, folder / folder_of(source.name), shown=str(source))
        return write_table(folder)
    index = outputs.read_bytes(source / INDEX) or b""
    names = listed(sorted(path.relative_to(source).as_posix() for path in source.rglob("*.tar")), index)
    with Progress(len(names), "unpacking shards") as progress:
        for name in names:
            unpack(source / name, folder / folder_of(name), shown=str(source / name))
            progress.step()
    write_table(folder)


def write_table(folder: Path) -> None:
    """Write the labels of all samples of the unpacked shards in `folder` as a table. Raises DataError for a sample without a label."""
    with outputs.whole(folder / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        shards = sorted(path for path in folder.iterdir() if path.is_dir())
        splits = split_names.meanings({_split_word(shard.name) for shard in shards})
        for shard in shards:
            for picture, label, split, group in _samples(shard):
                rows.writerow([picture.relative_to(folder).as_posix(), label, split or splits.get(_split_word(shard.name), ""), group])


def _split_word(shard: str) -> str:
    """What names the split in the name of a shard: train of imagenet-train-000012 and of train--000012; the whole name if nothing does."""
    words = [word for word in shard.replace("--", "-").replace("_", "-").split("-") if split_names.of(word)]
    return words[0] if words else shard


def _samples(shard: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Each picture of an unpacked shard with its label, split and group."""
    together: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(shard.rglob("*")):
        if path.is_file():
            together[path.with_name(path.name.partition(".")[0])].append(path)
    for key, files in together.items():
        pictures = [path for path in files if path.suffix.lower() in images.SUFFIXES]
        if not pictures:
            continue
        told = _told(key.relative_to(shard), {path.suffix.lower(): path for path in files})
        for picture in pictures:
            yield picture, *told


def _told(key: Path, files: Mapping[str, Path]) -> tuple[str, str, str]:
    """The label, split and group that the files of a sample tell, by their suffixes. Raises DataError if none tells a label."""
    content: dict[str, object] = {}
    if ".json" in files:
        try:
            read = json.loads(files[".json"].read_text(encoding="utf-8"))
        except ValueError:
            raise DataError(f"the sample {key} has a .json that is none; make the shard again") from None
        content = read if isinstance(read, dict) else {"label": read}
    label = content.get("label", content.get("class_name", content.get("cls")))
    for suffix in (".cls", ".txt"):
        if label is None and suffix in files:
            label = files[suffix].read_text(encoding="utf-8", errors="replace").strip()
    if label is None:
        raise DataError(f'the sample {key} has no label: a file of its name in {", ".join(BESIDE)}, the .json with "label"')
    if len(str(label)) > _LONGEST:
        raise DataError(f"the sample {key} has a text of {len(str(label)):,} letters where its label is expected: a caption is no class")
    return str(label), str(content.get("split") or ""), str(content.get("group") or "")


def pack(samples: Sequence[Sample], out: str, each: int = EACH) -> list[str]:
    """Write shards of `each` samples to `out`, a folder or an address (s3://...); returns their names.

    Samples lie in an order drawn from their paths, so that every shard holds all classes. A shard is written whole or not at all and named
    for what it holds, so that what was stopped goes on; the same samples give the same bytes. The index comes last.
    """
    import fsspec

    system, root = fsspec.core.url_to_fs(out)
    system.makedirs(root, exist_ok=True)
    classes = sorted({sample.label for sample in samples})
    ordered = sorted(samples, key=lambda sample: hashlib.sha256(sample.path.encode()).digest())
    names = []
    with Progress(len(samples), f"writing shards to {out}") as progress:
        for number, start in enumerate(range(0, len(ordered), each)):
            some = ordered[start : start + each]
            names.append(f"images-{number:06d}-{_mark(some)}.tar")
            place = f"{root}/{names[-1]}"
            if not system.exists(place):
                temporary = f"{root}/.{names[-1]}.unfinished"
                with system.open(temporary, "wb") as file:
                    _write(some, start, {label: index for index, label in enumerate(classes)}, file)
                system.mv(temporary, place)
            progress.step(len(some))
    index = {"shards": names, "images": len(samples), "classes": classes}
    with system.open(f"{root}/{INDEX}", "wb") as file:
        file.write((json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode())
    return names


def _mark(samples: Sequence[Sample]) -> str:
    """What tells a shard from one with other samples."""
    digest = hashlib.sha256()
    for one in samples:
        digest.update(f"{one.path}\0{one.label}\0{one.split}\0{one.group}\0{one.file.stat().st_size}\n".encode())
    return digest.hexdigest()[:8]


def _write(samples: Sequence[Sample], start: int, classes: Mapping[str, int], file: io.IOBase) -> None:
    """Write one shard to an open file."""
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for number, one in enumerate(samples, start):
            told = {"label": one.label, "split": one.split, "group": one.group, "origin": one.path}
            note = json.dumps({key: value for key, value in told.items() if value}, ensure_ascii=False).encode()
            suffix = PurePosixPath(one.path).suffix.lower()
            for name, content in ((suffix, one.file.read_bytes()), (".json", note), (".cls", str(classes[one.label]).encode())):
                member = tarfile.TarInfo(f"{number:09d}{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
