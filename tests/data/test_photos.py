"""headstart.data.photos: which files are meant to be photos, by their names and by what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.data import photos
from tests import toy


@pytest.mark.parametrize(
    ("name", "content", "sidecar"),
    [
        ("a.xml", b"<x/>", True),
        ("song.mp3", b"ID3\3\0 no picture", True),
        ("page.html", b"<html></html>", False),  # an ending that a failed download has
        ("code.ts", b"export const x = 1", True),
        ("LICENSE", b"free", True),
        ("empty", b"", True),
        ("project.lrcat", b"SQLite format 3\0", True),
        ("old.rar", b"Rar!\x1a\7\0", False),
        ("scan.dcm", b"noise", False),
        ("scan", b"\0" * 128 + b"DICM" + b"\0" * 99, False),
        ("clip.mp4", b"noise", False),
        ("clip", b"\0\0\0\x20ftypisom" + b"\0" * 99, False),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", False),
        ("broken.jpg", b"noise", False),
        ("empty.png", b"", False),
    ],
)
def test_what_is_no_photo_goes_by_the_name_then_by_the_bytes(tmp_path: Path, name: str, content: bytes, sidecar: bool) -> None:
    (tmp_path / name).write_bytes(content)
    assert photos.is_sidecar(tmp_path / name) is sidecar
    assert photos.holds_any(tmp_path) is not sidecar


def test_a_picture_without_an_ending_is_a_photo(tmp_path: Path) -> None:
    toy.photo().save(tmp_path / "IMG_0001", "JPEG")
    toy.photo().save(tmp_path / "a.jpg~", "JPEG")
    (tmp_path / "a.jpg:Zone.Identifier").write_text("[ZoneTransfer]")
    assert [path.name for path in photos.walk(tmp_path)] == ["IMG_0001"]
