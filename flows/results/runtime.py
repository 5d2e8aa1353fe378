"""The runtime that a page of `headstart export web` needs, from the npm registry, once."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from headstart.exporting.web_folder import PACKAGE, VERSION, read
from headstart.machinery.errors import HeadstartError
from tasks import stage

FOLDER = stage.STATE / "runtime"  # deleting it costs only a download


def package(given: Path | None) -> Path:
    """The .tgz of the runtime: the file that is given, that of an earlier export, or what npm fetches.

    npm is asked as the person has set it up. Raises HeadstartError if it is another file, and with what to do if it cannot be fetched.
    """
    if given is not None:
        read(given)
        return given
    kept = FOLDER / f"{PACKAGE}-{VERSION}.tgz"
    if kept.exists():
        try:
            read(kept)
            return kept
        except HeadstartError:
            kept.unlink()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as place:
        _fetch(Path(place))
        fetched = Path(place) / kept.name
        read(fetched)
        fetched.replace(kept)
    return kept


def _fetch(folder: Path) -> None:
    """Have npm put the package into a folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise HeadstartError(_told("npm, which comes with Node.js, is not installed"))
    done = subprocess.run([npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.removeprefix("npm error").strip() for line in done.stderr.splitlines() if line.strip()]
        raise HeadstartError(_told(f"npm could not fetch it ({lines[0] if lines else f'exit code {done.returncode}'})"))


def _told(why: str) -> str:
    return f"the page needs {PACKAGE} {VERSION} once, and {why}; where there is npm and a network, `npm pack {PACKAGE}@{VERSION}` writes a file of 33 MB: give that with --runtime FILE"
