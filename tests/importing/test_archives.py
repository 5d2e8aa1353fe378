"""headstart.archives: what other people pack, and what they should not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headstart.importing import archive_kinds, archives
from headstart.machinery.errors import DataError, ParamsError

FILES = {"cat/1.jpg": b"one", 'cat/it\'s "ü" 写真.jpg': b"two", "dog/1.jpg": b"three" * 100_000}


def packed(path: Path, files: dict[str, bytes]) -> Path:
    """An archive of the kind that its name says, with hidden files among the others."""
    files = {**files, "cat/.DS_Store": b"x", "__MACOSX/cat/._1.jpg": b"x"}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("cat")
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        mode: Any = {".tar": "w", ".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}[path.suffix]
        with tarfile.open(path, mode) as tar:
            folder = tarfile.TarInfo("./cat")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            for name, content in files.items():
                add(tar, f"./{name}", content)
    return path


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, target
    tar.addfile(info, io.BytesIO(content))


def unpacked(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(archive: Path, folder: Path) -> str:
    folder.mkdir()
    with pytest.raises(DataError) as caught:
        archives.unpack(archive, folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == sorted({archive.name, folder.name})
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.zip", "A.ZIP".lower(), "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_every_kind(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / name, FILES)
    assert archives.is_archive(archive)
    (tmp_path / "out").mkdir()
    archives.unpack(archive, tmp_path / "out")
    assert unpacked(tmp_path / "out") == FILES


@pytest.mark.parametrize("kind", ["zip", "tar", "gz"])
@pytest.mark.parametrize("name", ["photos", "photos.cbz", "photos.jpg", "photos.zip", "photos.tar.xz"])
def test_what_an_archive_is_goes_by_its_bytes(tmp_path: Path, kind: str, name: str) -> None:
    packed(tmp_path / f"a.{kind}", FILES).rename(tmp_path / name)
    assert archives.is_archive(tmp_path / name)
    (tmp_path / "out").mkdir()
    archives.unpack(tmp_path / name, tmp_path / "out")
    assert unpacked(tmp_path / "out") == FILES


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.rar", b"Rar!\x1a\x07\0" + b"x" * 600, "is a RAR archive, which is not unpacked here: unpack it yourself"),
        ("a.zip", b"7z\xbc\xaf\x27\x1c" + b"x" * 600, "is a 7-Zip archive"),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd" + b"x" * 600, "is packed with Zstandard"),
        ("a.zip.001", b"PK\3\4" + b"x" * 600, "is a part of a file, it seems"),
        ("a.zip", b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
        ("a.tar.gz", b"<!DOCTYPE html><html>404</html>", "is a web page"),
        ("a.zip", b"", "is empty"),
        ("a.tar", b"noise" * 200, "does not begin like an archive"),
        ("labels.csv", b"file,label\na.jpg,cat\n", "--labels labels.csv"),
    ],
)
def test_what_is_no_archive_says_what_it_is(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert what in archive_kinds.instead(tmp_path / name) or what in refusal(tmp_path / name, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_a_gigabyte_is_not_read(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 1 << 30
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(header.tobuf() + bytes(1 << 22))
    tracemalloc.start()
    assert "is damaged or no archive" in refusal(tmp_path / "a.tar.gz", tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_a_member_without_a_name_and_an_offset_that_leads_nowhere(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip", {"cat/1.jpg": b"one"}).read_bytes()
    for number, change in enumerate(
        (lambda raw: raw.replace(b"cat/1.jpg", b"\0at/1.jpg"), lambda raw: raw[:-6] + b"\xff\xff\xff\xff" + raw[-2:])
    ):
        (tmp_path / "a.zip").write_bytes(change(whole))
        assert "is damaged or no archive" in refusal(tmp_path / "a.zip", tmp_path / "out"), number
        shutil.rmtree(tmp_path / "out")


def test_what_is_wrong_is_said_in_a_line_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(os.urandom(2000)))
    said = refusal(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not any(word in said for word in ("\n", "ReadError", "method"))


def test_backslashes_in_a_zip_are_slashes(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("cat\\1.jpg", b"one")
    (tmp_path / "out").mkdir()
    archives.unpack(archive, tmp_path / "out")
    assert unpacked(tmp_path / "out") == {"cat/1.jpg": b"one"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../evil.jpg", "cat/../../evil.jpg", "/tmp/evil.jpg", "C:/evil.jpg", ".hidden/../../evil.jpg"])
def test_members_that_point_outside(tmp_path: Path, kind: str, name: str) -> None:
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("cat/1.jpg", b"fine")
            file.writestr(name, b"evil")
    else:
        with tarfile.open(archive, "w") as tar:
            add(tar, "cat/1.jpg", b"fine")
            add(tar, name, b"evil")
    message = refusal(archive, tmp_path / "out")
    assert f"{archive} is refused: its member {name!r} points outside the archive" in message
    assert not Path("/tmp/evil.jpg").exists()


def test_a_backslash_does_not_lead_out_of_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("cat\\..\\..\\evil.jpg", b"evil")
    assert "points outside the archive" in refusal(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "is a device"),
        (tarfile.FIFOTYPE, "is a device"),
    ],
)
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes, problem: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "cat/1.jpg", b"fine")
        add(tar, "cat/evil", kind=kind, target="/etc/passwd")
    assert f"its member 'cat/evil' {problem}" in refusal(tmp_path / "a.tar", tmp_path / "out")


def test_links_and_secrets_in_a_zip(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cat/evil")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    assert "its member 'cat/evil' is a link" in refusal(tmp_path / "a.zip", tmp_path / "out")
    secret = bytearray(packed(tmp_path / "a.zip", {"cat/1.jpg": b"one"}).read_bytes())
    secret[secret.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(secret)
    shutil.rmtree(tmp_path / "out")
    assert "is encrypted; unpack it yourself" in refusal(tmp_path / "a.zip", tmp_path / "out")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin1") as tar:
        add(tar, "cat/café.jpg", b"one")
    says = refusal(tmp_path / "a.tar", tmp_path / "out")
    assert r"the name cat/caf\xe9.jpg is not valid UTF-8" in says
    assert "give --encoding" in says
    archives.unpack(tmp_path / "a.tar", tmp_path / "out", encoding="cp1252")
    assert unpacked(tmp_path / "out") == {"cat/café.jpg": b"one"}


def unmarked(path: Path, names: dict[bytes, bytes]) -> Path:
    """A zip whose names are bytes in some encoding, without the flag of UTF-8."""
    with zipfile.ZipFile(path, "w") as file:
        for number, content in enumerate(names.values()):
            file.writestr(f"{number:0{len(list(names)[number])}d}", content)
    whole = path.read_bytes()
    for number, name in enumerate(names):
        whole = whole.replace(f"{number:0{len(name)}d}".encode(), name)
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize(("encoding", "text"), [("cp437", "Größe"), ("cp932", "猫の写真"), ("cp866", "кошка"), ("gbk", "狗狗图片")])
def test_names_without_the_flag_of_utf8_are_asked_about(tmp_path: Path, encoding: str, text: str) -> None:
    """Never a guess: a wrong one becomes the name of a class."""
    archive = unmarked(tmp_path / "a.zip", {f"{text}/1.jpg".encode(encoding): b"one", b"plain/2.jpg": b"two"})
    says = refusal(archive, tmp_path / "out")
    assert "is not valid UTF-8 (1 such name(s))" in says
    assert f"{encoding}: {text}/1.jpg" in says
    archives.unpack(archive, tmp_path / "out", encoding=encoding)
    assert unpacked(tmp_path / "out") == {f"{text}/1.jpg": b"one", "plain/2.jpg": b"two"}
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(ParamsError, match="--encoding klingon is unknown"):
        archives.unpack(archive, tmp_path, encoding="klingon")


def test_valid_utf8_without_its_flag_is_taken_as_such(tmp_path: Path) -> None:
    archive = unmarked(tmp_path / "a.zip", {"Größe 写真/1.jpg".encode(): b"one"})
    (tmp_path / "out").mkdir()
    archives.unpack(archive, tmp_path / "out", encoding="cp437")
    assert unpacked(tmp_path / "out") == {"Größe 写真/1.jpg": b"one"}


def test_one_flipped_byte_is_found_wherever_it_is(tmp_path: Path) -> None:
    """Also behind the last file, where nobody needs to read."""
    for name in ("a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.zip"):
        whole = packed(tmp_path / name, {"cat/1.jpg": os.urandom(3000)}).read_bytes()
        ends = len(whole) - (8 if name.endswith("gz") else 12)
        for place in (len(whole) // 2, ends) if name != "a.zip" else (len(whole) // 4,):
            broken = bytearray(whole)
            broken[place] ^= 1
            (tmp_path / name).write_bytes(broken)
            assert "is damaged" in refusal(tmp_path / name, tmp_path / "out"), (name, place)
            shutil.rmtree(tmp_path / "out")
        (tmp_path / name).unlink()


def test_a_tar_that_is_cut_or_broken_between_files_is_refused(tmp_path: Path) -> None:
    """tarfile takes a header that it cannot read for the end of the archive, and says nothing."""
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "cat/1.jpg", b"x" * 512)
        add(tar, "cat/2.jpg", b"y" * 512)
    whole = (tmp_path / "a.tar").read_bytes()
    broken = bytearray(whole)
    broken[1024 + 3] ^= 1
    for content in (whole[:1024], bytes(broken)):
        (tmp_path / "a.tar").write_bytes(content)
        assert "is damaged" in refusal(tmp_path / "a.tar", tmp_path / "out")
        shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_limits_are_said_and_can_be_raised(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL", 1000)
    archive = tmp_path / f"a.{kind}"
    deep = "/".join("abcdefgh" * 5) + "/1.jpg"
    cases = {
        "files": ({f"cat/{n}.jpg": b"x" for n in range(9)}, {"files": 5}, {"files": 50}, "holds more than 5 files and folders"),
        "depth": ({deep: b"x"}, {}, {"depth": 60}, "has a member 41 folders deep"),
        "name": ({"cat/" + "n" * 300 + ".jpg": b"x"}, {}, {"name": 400}, "has a member whose name takes 304 bytes"),
        "ratio": ({"cat/1.jpg": bytes(3_000_000)}, {}, {"ratio": 100_000}, "100 times its size, as photos never do"),
    }
    for name, (files, limits, raised, says) in cases.items():
        packed(archive, files)
        with pytest.raises(DataError) as caught:
            archives.unpack(archive, tmp_path, limits=limits)
        assert says in str(caught.value)
        assert f"allow more with --limit {name}=NUMBER" in str(caught.value)
        out = tmp_path / name
        out.mkdir()
        archives.unpack(archive, out, limits=raised)
        assert sorted(unpacked(out).values()) == sorted(files.values())


def test_limits_are_names_and_numbers() -> None:
    assert archives.parse_limits(["files=5000000", "ratio=1000"]) == {"files": 5_000_000, "ratio": 1000}
    for text in ("files", "files=many", "size=3", "depth=0", "files=-1", "files=" + "9" * 5000, "files=٣"):
        with pytest.raises(ParamsError, match="is unknown; give NAME=NUMBER, where NAME is files, depth, name, ratio"):
            archives.parse_limits([text])


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_more_than_the_disk_holds(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / name, {"cat/1.jpg": b"\0" * 3_000_000})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=archives.KEEP_FREE + 2_500_000))
    assert f"{archive} unpacks to more than the 2 MiB that the disk can take" in refusal(archive, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) < 2_500_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=archives.KEEP_FREE + 3_500_000))
    archives.unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_damaged(tmp_path: Path, name: str) -> None:
    whole = packed(tmp_path / name, {"cat/1.jpg": os.urandom(50_000), "dog/1.jpg": os.urandom(50_000)}).read_bytes()
    for number, content in enumerate((whole[: len(whole) // 2], whole[:100])):
        (tmp_path / name).write_bytes(content)
        assert "damaged or no" in refusal(tmp_path / name, tmp_path / "out"), number
        shutil.rmtree(tmp_path / "out")


def test_a_zip_whose_bytes_were_changed(tmp_path: Path) -> None:
    whole = bytearray(packed(tmp_path / "a.zip", {"cat/1.jpg": bytes(range(256)) * 100}).read_bytes())
    whole[len(whole) // 3] ^= 255
    (tmp_path / "a.zip").write_bytes(whole)
    assert "is damaged" in refusal(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice(tmp_path: Path, kind: str) -> None:
    for second in ("cat/1.jpg", "cat/1.jpg/2.jpg"):
        if kind == "zip":
            with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
                file.writestr("cat/1.jpg", b"one")
                file.writestr(second, b"two")
        else:
            with tarfile.open(tmp_path / "a.tar", "w") as tar:
                add(tar, "cat/1.jpg", b"one")
                add(tar, second, b"two")
        assert f"the member {second!r} occurs twice" in refusal(tmp_path / f"a.{kind}", tmp_path / "out")
        shutil.rmtree(tmp_path / "out")


def test_short_names_that_are_utf8_by_chance_are_read_in_the_encoding_of_the_others(tmp_path: Path) -> None:
    """In GBK, the two bytes of a letter may be those of another one in UTF-8."""
    archive = unmarked(tmp_path / "a.zip", {"狗狗图片/2.jpg".encode("gbk"): b"two", "猫猫/1.jpg".encode("gbk"): b"one"})
    assert "猫猫/1.jpg".encode("gbk").decode() == "èè/1.jpg"
    assert "is not valid UTF-8 (1 such name(s))" in refusal(archive, tmp_path / "out")
    archives.unpack(archive, tmp_path / "out", encoding="gbk")
    assert unpacked(tmp_path / "out") == {"猫猫/1.jpg": b"one", "狗狗图片/2.jpg": b"two"}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_encoding_that_is_given_harms_no_name_of_a_tar_that_is_utf8(tmp_path: Path, form: int) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
        add(tar, "Käse/1.jpg", b"one")
    (tmp_path / "out").mkdir()
    archives.unpack(tmp_path / "a.tar", tmp_path / "out", encoding="cp1252")
    assert unpacked(tmp_path / "out") == {"Käse/1.jpg": b"one"}


@pytest.mark.parametrize(
    ("name", "pack", "tool"),
    [("cat.jpg.gz", gzip.compress, "gzip"), ("photos.zip.bz2", bz2.compress, "bzip2"), ("a.csv.xz", lzma.compress, "xz")],
)
def test_one_compressed_file_is_no_damaged_archive(tmp_path: Path, name: str, pack: Callable[[bytes], bytes], tool: str) -> None:
    (tmp_path / name).write_bytes(pack(b"not a tar"))
    assert f"is one file packed with {tool}, and no .tar of many: unpack it" in refusal(tmp_path / name, tmp_path / "out")
