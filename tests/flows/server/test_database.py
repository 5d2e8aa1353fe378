"""A database for Prefect's server that another project's server has made."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from flows.server import database


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a server that has just made its database; the cache folder is empty."""
    monkeypatch.setattr(database, "template", lambda: tmp_path / "cache/prefect.db")
    home = tmp_path / "made"
    home.mkdir()
    assert database.begin(home), "there is no copy yet"
    with sqlite3.connect(home / database.NAME) as one:
        one.execute("PRAGMA journal_mode=WAL")
        one.execute("CREATE TABLE alembic_version (version_num TEXT)")
        one.execute("INSERT INTO alembic_version VALUES ('abc')")
    return home


def test_the_next_home_begins_with_a_copy(made: Path, tmp_path: Path) -> None:
    database.keep(made)
    assert not database.begin(tmp_path / "next")
    with sqlite3.connect(tmp_path / "next" / database.NAME) as one:
        assert one.execute("SELECT * FROM alembic_version").fetchall() == [("abc",)]
    assert database.template().stat().st_mode & 0o077 == 0, "nobody else reads it"


def test_a_home_that_has_one_keeps_it(made: Path) -> None:
    before = (made / database.NAME).read_bytes()
    database.keep(made)
    assert not database.begin(made)
    assert (made / database.NAME).read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"no database", None])
def test_a_damaged_copy_is_not_used(made: Path, tmp_path: Path, damage: bytes | None) -> None:
    database.keep(made)
    whole = database.template().read_bytes()
    database.template().write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert database.begin(tmp_path / "next")
    assert not (tmp_path / "next" / database.NAME).exists()


def test_a_copy_that_cannot_be_kept_is_no_error(made: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    (tmp_path / "cache").write_text("no folder")
    database.keep(made)
    assert database.begin(tmp_path / "next")
