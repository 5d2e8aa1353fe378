"""What dvc and the stages import, in the order in which a run needs it. Importing it starts no thread and computes nothing.

What one stage alone imports is in handing.APART.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from headstart.base import code

# tasks comes first: it sets how memory is kept, which must be before NumPy.
DVC = ("tasks", "dvc.cli", "networkx", "every:dvc", "every:dvc_data")
STAGES = (
    "tasks.index_images",
    "pyarrow.parquet",
    "torch",
    "headstart.networks.libraries:torchvision",
    "headstart.networks.libraries:timm",
    "onnxruntime",
    "headstart.networks.libraries:flop_counter",
    "sklearn.linear_model",
    "every:headstart",
    "every:tasks",
    "sklearn.manifold",
    "code:headstart",
    "code:tasks",
    "headstart.base.code:keep",
)
_UNUSED = ("testing", "__main__", "__pyinstaller", "benchmark")


def one(name: str) -> list[str]:
    """Import a module, or what a function of a module (`MODULE:FUNCTION`) imports. Raises what importing raises.

    `every:PACKAGE` imports nothing: its modules come back as what is to be imported in its place. So do its files for `code:PACKAGE`, of
    each of which (`file:PATH`) the fingerprint is taken.
    """
    module, _, what = name.partition(":")
    if module == "every":
        return list(_modules(what))
    if module == "code":
        return [f"file:{path}" for path in code.files(what)]
    if module == "file":
        code.digest(Path(what))
    elif what:
        getattr(importlib.import_module(module), what)()
    else:
        importlib.import_module(module)
    return []


def _modules(package: str) -> Iterator[str]:
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}.", onerror=lambda _: None):
        if not any(word in module.name for word in _UNUSED):
            yield module.name
