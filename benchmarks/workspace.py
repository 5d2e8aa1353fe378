"""A throw-away checkout of this project, for benchmarks and tests that run the whole pipeline without touching the data of this one."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


class Workspace:
    """A checkout in `folder`; `run` runs a command of this environment in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("headstart", "tasks", "flows"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        self.run("git", "init", "--quiet")
        self.run("dvc", "init", "--quiet")
        shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
        for word in (("add", "--all"), ("-c", "user.name=benchmark", "-c", "user.email=none", "commit", "--quiet", "--message", "Start")):
            self.run("git", *word)

    def run(self, *command: str) -> float:
        """Run a command in the checkout, its output to standard error; returns seconds. Raises CalledProcessError."""
        return run(*command, folder=self.folder, code=self.folder)

    def set(self, *assignments: str) -> None:
        """Change parameters in the checkout's params.yaml."""
        from headstart import params

        params.write(params.parse(list(assignments)), self.folder / "params.yaml")

    def read(self, path: str) -> Any:
        """A JSON file of the checkout."""
        return json.loads((self.folder / path).read_text())


def run(*command: str, folder: Path, code: Path = ROOT) -> float:
    """Run a command of this environment in `folder`, with the code of the checkout `code`, its output to standard error; returns seconds.

    Raises CalledProcessError.
    """
    started = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment(code), check=True, stdout=sys.stderr)
    return time.monotonic() - started


def environment(folder: Path) -> dict[str, str]:
    """An environment in which the commands of this one run the code of a checkout, as those of its own would."""
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(path)}


def peak_mib() -> float:
    """The largest memory (MiB) that any finished child process of this one has used."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def report(row: dict[str, Any]) -> None:
    """End a benchmark with its line of JSON."""
    print(json.dumps(row))
