"""code.yaml of a project: fingerprints of the code that its results are made with.

The stages of its dvc.yaml depend on them.

A checkout has no such file: its stages depend on the folders of code themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from headstart.base import outputs
from headstart.base.code import fingerprint
from headstart.machinery.errors import HeadstartError

PATH = Path("code.yaml")
LENGTH = 16  # hexadecimal digits of a fingerprint: 64 bits
_HEAD = """\
# The code that makes the results of this project, as fingerprints of its syntax: comments and layout do not count. The stages of dvc.yaml
# depend on them. Made by headstart; `headstart upgrade` brings it up to date after the package was updated.
"""
_FILES = "# SHA-256 of what headstart wrote here: `headstart upgrade` leaves alone what you changed since."


@dataclass(frozen=True)
class ProjectCode:
    """What code.yaml holds."""

    version: str  # of the package
    fingerprints: Mapping[str, str]  # by dotted name of a room or a stage: headstart.features, tasks.fine_tune
    written: Mapping[str, str]  # SHA-256 (hex) of the files that the package wrote, by file name


def installed(names: Iterable[str], written: Mapping[str, str]) -> ProjectCode:
    """The code of the installed package, of these rooms and stages.

    Raises ModuleNotFoundError for a name that it does not have.
    """
    return ProjectCode(version(), {name: fingerprint(name)[:LENGTH] for name in sorted(names)}, written)


def changed(recorded: ProjectCode) -> list[str]:
    """The rooms and stages whose code in the installed package is not the recorded one, or is gone."""
    return sorted(name for name, known in recorded.fingerprints.items() if now(name) != known)


def check(path: Path = PATH) -> None:
    """Raise HeadstartError if this is a project whose record is not that of the installed package.

    Its results would be recorded as made by code that did not make them, for good.
    """
    if path.exists() and (other := changed(read(path))):
        shown = ", ".join(other[:3]) + (", ..." if len(other) > 3 else "")
        raise HeadstartError(
            f"the installed headstart {version()} has other code than {path} names ({shown}), and results would be recorded "
            "as made by code that did not make them: `headstart upgrade` brings it up to date (--dry-run says what would run again)"
        )


def read(path: Path = PATH) -> ProjectCode:
    """What a code.yaml holds. Raises HeadstartError if it is none."""
    from ruamel.yaml import YAML, YAMLError

    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        fingerprints = {
            f"{package}.{name}": str(value) for package in ("headstart", "tasks") for name, value in (content[package] or {}).items()
        }
        return ProjectCode(
            str(content["version"]), fingerprints, {str(name): str(value) for name, value in (content["written"] or {}).items()}
        )
    except (OSError, YAMLError, UnicodeDecodeError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise HeadstartError(f"{path} is not what headstart writes ({reason}); `headstart upgrade` writes it anew") from None


def write(code: ProjectCode, path: Path = PATH) -> None:
    """Write a code.yaml whole or not at all."""
    with outputs.whole(path) as temporary:
        temporary.write_text(text(code), encoding="utf-8")


def text(code: ProjectCode) -> str:
    """A code.yaml. The same code gives the same bytes."""
    lines = [f'version: "{code.version}"']
    for package in ("headstart", "tasks"):
        lines.append(f"{package}:")
        lines += [f'  {name.partition(".")[2]}: "{value}"' for name, value in code.fingerprints.items() if name.startswith(f"{package}.")]
    lines += [_FILES, "written:", *(f'  {name}: "{value}"' for name, value in code.written.items())]
    return _HEAD + "\n".join(lines) + "\n"


def version() -> str:
    """The version of the package."""
    try:
        return metadata.version("headstart")
    except metadata.PackageNotFoundError:  # a checkout on PYTHONPATH, as in runners/Dockerfile
        return "from a checkout"


def now(name: str) -> str:
    """The fingerprint of a room or a stage in the installed package; "" if it has none of this name."""
    try:
        return fingerprint(name)[:LENGTH]
    except ModuleNotFoundError:
        return ""
