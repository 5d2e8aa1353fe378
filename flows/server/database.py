"""The database of Prefect's server, which takes longer to make than the server to start: made once on a machine for each version of Prefect.

The first server that makes one leaves a copy in the user's cache folder, as it is before anybody has used it. Servers of other projects
begin with that.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
import sqlite3
from pathlib import Path

import platformdirs

from headstart.base import outputs

NAME = "prefect.db"  # in PREFECT_HOME


def template() -> Path:
    """Where the copy is kept."""
    return platformdirs.user_cache_path("headstart") / f"prefect-{importlib.metadata.version('prefect')}.db"


def begin(home: Path) -> bool:
    """Give a PREFECT_HOME a database, if it has none and there is a copy. Returns whether its server has to make one."""
    if (home / NAME).exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"file:{template()}?mode=ro&immutable=1", uri=True)) as kept:
            if kept.execute("PRAGMA quick_check").fetchone() != ("ok",) or not kept.execute("SELECT * FROM alembic_version").fetchone():
                return True
        with outputs.whole(home / NAME) as temporary:
            shutil.copyfile(template(), temporary)
    except (OSError, RuntimeError, sqlite3.Error):  # there is none, it is damaged, or nobody has a home
        return True
    return False


def keep(home: Path) -> None:
    """Keep a copy of the database that a server has just made, before it is used. A copy that cannot be kept is no error."""
    with contextlib.suppress(OSError, RuntimeError, sqlite3.Error), outputs.whole(template()) as temporary:
        source = sqlite3.connect(f"file:{home / NAME}?mode=ro", uri=True)
        with contextlib.closing(source), contextlib.closing(sqlite3.connect(temporary)) as copy:
            temporary.chmod(0o600)
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
