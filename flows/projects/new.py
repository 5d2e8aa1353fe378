"""`headstart new`: make a project, a folder of its own that the installed package serves."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from flows.projects import generate, names, upgrade
from flows.repository import dvc, git
from headstart import params
from headstart.base import outputs
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.params import project_code

README = Path(__file__).parent / "project.md"
DVC = "[core]\n    analytics = false\n    check_update = false\n"  # .dvc/config
_DVC_GITIGNORE = "/config.local\n/tmp\n/cache\n"  # as `dvc init` writes it
_GITIGNORE = "/.headstart/\n/inbox/\n/.venv/\n__pycache__/\n/registry/**/*.safetensors\n/registry/history/\n"


def new(folder: Path, name: str | None = None) -> str:
    """Make a project in `folder`, whole or not at all, and return what to tell the user.

    Git and DVC are set up. A folder in a git repository becomes a part of that; else it becomes a repository of its own, with all in
    a first
    commit. Raises ParamsError for a name that cannot be used, and HeadstartError for a folder that holds something or if there is no git.
    """
    name = project_name(folder, name)
    dvc.check_place(folder)
    _refuse_filled(folder)
    git.call("--version")
    repository = _repository(folder)
    with _whole(folder) as place:
        _fill(place, name)
        if repository is None:
            _git(place, "init", "--quiet")
    return "\n".join(
        [
            f"made the project {name} in {folder}",
            _committed(folder)
            if repository in (None, folder.resolve())
            else f"it is a part of the git repository {repository}: commit it there",
            f"next: cd {_typed(folder)} && headstart import PATH && headstart run",
        ]
    )


def _typed(folder: Path) -> str:
    """A folder as a person types it in a shell."""
    return shlex.quote(f"./{folder}" if str(folder).startswith("-") else str(folder))


def project_name(folder: Path, name: str | None) -> str:
    """The name of a project: as given, or that of its folder.

    Raises ParamsError for one that Prefect does not take.
    """
    name = names.check(names.of_path(str(folder)) if name is None else name, "a project")
    if name.lower().startswith("prefect"):
        raise ParamsError(
            f"{name!r} is no name for a project: Prefect keeps names that begin with prefect to itself; give another with --name"
        )
    return name


def _refuse_filled(folder: Path) -> None:
    """Raise HeadstartError if something but an empty git repository lies in a folder, and name it."""
    if folder.exists() and not folder.is_dir():
        raise HeadstartError(f"{folder} is a file; name a folder that is empty or not there yet")
    there = sorted(path.name for path in folder.iterdir() if path.name != ".git") if folder.exists() else []
    if there:
        shown = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
        raise HeadstartError(f"{folder} is not empty ({shown}); name a folder that is empty or not there yet")


def _repository(folder: Path) -> Path | None:
    """The git repository that a folder lies in and that does not ignore it; None if there is none."""
    inner = folder.resolve()
    ancestor = next(path for path in (inner, *inner.parents) if path.is_dir())
    try:
        root = Path(_git(ancestor, "rev-parse", "--show-toplevel").rstrip("\n"))
    except git.GitError:
        return None
    with contextlib.suppress(git.GitError):
        _git(ancestor, "check-ignore", "--quiet", f"{inner}/")
        return None  # it is ignored there
    return root


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A place to fill; what is in it comes into the folder if the block ends well, and goes if not."""
    if not folder.exists():
        with outputs.folder(folder) as place:
            yield place
        return
    place, moved = folder / f".new.{os.getpid()}", []
    try:
        place.mkdir()
        yield place
        for entry in sorted(place.iterdir()):
            moved.append(entry.rename(folder / entry.name))
    except BaseException:
        for entry in moved:
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _fill(place: Path, name: str) -> None:
    """Write all files of a new project."""
    files = upgrade.contents(name)
    code = upgrade.code_of(files)
    files |= {
        str(project_code.PATH): project_code.text(code),
        "README.md": README.read_text(encoding="utf-8").replace("NAME", name),
        ".gitignore": _GITIGNORE,
        ".dvc/config": DVC,
        ".dvc/.gitignore": _DVC_GITIGNORE,
    }
    for path in (str(params.PATH), "data/README.md", ".dvcignore"):
        files[path] = generate.source(path).read_text(encoding="utf-8")
    for path, text in files.items():
        (place / path).parent.mkdir(exist_ok=True)
        (place / path).write_text(text, encoding="utf-8")


def _committed(folder: Path) -> str:
    """Commit all of a project, and say so; or why not, as runs are kept only on a commit."""
    try:
        _git(folder, "add", "--all", ".")
        _git(folder, "commit", "--quiet", "--message", "Start the project")
    except git.GitError as error:
        reason = str(error).partition("failed: ")[2] or str(error)
        return (
            f"git and DVC are set up, but nothing is committed ({reason}), and a run is kept only if something is: "
            f"`git config --global user.name NAME`, the same with user.email, then `git commit --message Start` in {folder}"
        )
    return "git and DVC are set up, and all files are in a first commit"


def _git(folder: Path, *arguments: str) -> str:
    with contextlib.chdir(folder):
        return git.call(*arguments)
