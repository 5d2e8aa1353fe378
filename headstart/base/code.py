"""The fingerprint of code: a hash of its syntax trees, so that comments, docstrings and layout do not count.

What the code makes (features, exported networks, checkpoints, the stages of a project) is known by it: other code, another fingerprint.
Files that are no Python, such as a table or a style sheet, count byte by byte.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path


@cache
def fingerprint(*names: str) -> str:
    """SHA-256 (hex) of modules and packages by their dotted names, packages with all that lies below them; none of it is imported.

    Raises ModuleNotFoundError for a name that is none.
    """
    total = hashlib.sha256()
    for name in names:
        place = _place(name)
        for path in sorted(_files(place)):
            total.update(f"{name}/{path.relative_to(place).as_posix() if path != place else ''}\0".encode())
            total.update(_content(path))
    return total.hexdigest()


def _place(name: str) -> Path:
    """The file of a module, or the folder of a package."""
    package, _, rest = name.partition(".")
    spec = importlib.util.find_spec(package)  # of the outermost package: finding a deeper one would import those above it
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"there is no package {package}", name=name)
    place = Path(spec.origin).parent.joinpath(*rest.split(".")) if rest else Path(spec.origin).parent
    module = place.with_name(f"{place.name}.py")
    if not place.is_dir() and not module.is_file():
        raise ModuleNotFoundError(f"there is no module {name}", name=name)
    return place if place.is_dir() else module


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return [path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def _content(path: Path) -> bytes:
    """What counts of a file: of Python its syntax tree without docstrings."""
    if path.suffix != ".py":
        return path.read_bytes()
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return _shape(tree).encode()


def _shape(node: object) -> str:
    """A syntax tree as text, the same in every version of Python: newer ones add fields that are empty for what older ones can read."""
    if isinstance(node, list):
        return f"[{','.join(map(_shape, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, getattr(node, name, None)) for name in node._fields)
    return f"{type(node).__name__}({','.join(f'{name}={_shape(value)}' for name, value in fields if value is not None and value != [])})"
