"""The fingerprint of code: a hash of its syntax trees. Comments, docstrings and layout do not count.

What the code makes (features, exported networks, checkpoints, the stages of a project) is known by it: other code, another fingerprint.
Files that are no Python, such as a table or a style sheet, count byte by byte.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from headstart.base import outputs

PACKAGES = ("torch", "torchvision", "timm", "onnxruntime", "numpy", "pillow", "scipy")  # what results are computed with
KEPT = Path(importlib.util.cache_from_source(__file__)).with_suffix(".json")  # beside what this version of Python keeps of this module
MOST = 2_000  # digests that are kept
_new: list[str] = []  # of which files a digest was taken and is not kept yet


@cache
def fingerprint(*names: str) -> str:
    """SHA-256 (hex) of modules and packages by their dotted names; none of it is imported.

    A package counts with all that lies below it. Raises ModuleNotFoundError for a name that is none.
    """
    total = hashlib.sha256()
    for name in names:
        place = _place(name)
        for path in sorted(_files(place)):
            inside = path.relative_to(place).as_posix() if place.is_dir() else ""
            total.update(f"{name}/{inside}\0{digest(path)}\n".encode())
    keep()
    return total.hexdigest()


def versions() -> dict[str, str]:
    """The installed version of each of PACKAGES."""
    return {name: version(name) for name in PACKAGES}


def _place(name: str) -> Path:
    """The file of a module, or the folder of a package."""
    outermost, _, rest = name.partition(".")
    spec = importlib.util.find_spec(outermost)  # finding a deeper one would import those above it
    if spec is None or not spec.has_location or spec.origin is None:
        raise ModuleNotFoundError(f"there is no package {outermost}", name=name)
    if spec.submodule_search_locations is None and not rest:
        return Path(spec.origin)
    place = Path(spec.origin).parent.joinpath(*rest.split(".")) if rest else Path(spec.origin).parent
    module = place.with_name(f"{place.name}.py")
    if spec.submodule_search_locations is None or not (place.is_dir() or module.is_file()):
        raise ModuleNotFoundError(f"there is no module {name}", name=name)
    return place if place.is_dir() else module


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return [path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def files(name: str) -> list[Path]:
    """The files of a module or package by its dotted name. Raises ModuleNotFoundError for a name that is none."""
    return sorted(_files(_place(name)))


@cache
def digest(path: Path) -> str:
    """SHA-256 (hex) of what counts of a file: of Python its syntax tree without docstrings."""
    content, kept = path.read_bytes(), _kept()
    found = hashlib.sha256(content).hexdigest()
    if path.suffix != ".py":
        return found
    if found not in kept:  # to parse all of the package takes a second
        kept[found] = hashlib.sha256(_shape(_bare(ast.parse(content))).encode()).hexdigest()
        _new.append(found)
    return kept[found]


def keep() -> None:
    """Keep the digests that this process has taken for the next one, if this user may write beside the package."""
    if _new and not sys.dont_write_bytecode:
        with contextlib.suppress(OSError):
            outputs.write_json(KEPT, {"code": _own(), "digests": dict(list(_kept().items())[-MOST:])})
    _new.clear()


@cache
def _kept() -> dict[str, str]:
    """Digests of Python files by the SHA-256 of their bytes, among them those that this code has kept earlier."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # what is missing or damaged is taken anew
        found = json.loads(KEPT.read_text(encoding="utf-8"))
        if found["code"] == _own():
            return dict(found["digests"])
    return {}


def _own() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings, and without the empty texts that Python 3.12.1 adds to formats."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            node.values = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        elif (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _shape(node: object) -> str:
    """A syntax tree as text: each node's class, and its fields that are not empty."""
    # Neither ast.dump nor ast.unparse: from Python 3.11 to 3.13 they give the same code three and two texts. This costs what they do.
    if isinstance(node, list):
        return f"[{','.join(map(_shape, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, getattr(node, name, None)) for name in node._fields)
    return f"{type(node).__name__}({','.join(f'{name}={_shape(value)}' for name, value in fields if value is not None and value != [])})"
