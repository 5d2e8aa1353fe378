"""timm, torchvision and PyTorch's counter of operations, imported without PyTorch's compiler, which takes longer than all of them together.

They import it for things that matter only where it compiles: torchvision asks whether it can, timm and the counter mark functions that it
must not touch. Here nothing is compiled by it. It is imported in full as soon as anything else of it is asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo.utils"  # what torchvision.ops imports of the compiler
_one = threading.RLock()


def timm() -> Any:
    """The module timm."""
    return _imported("timm")


def torchvision() -> Any:
    """The module torchvision."""
    return _imported("torchvision")


def flop_counter() -> Any:
    """The module torch.utils.flop_counter."""
    import torch

    with _one, _marking_nothing(vars(torch), "_disable_dynamo"):  # it marks when it is first called, and imports the compiler for that
        return importlib.import_module("torch.utils.flop_counter")


def _imported(name: str) -> ModuleType:
    with _one:
        if name in sys.modules or COMPILER in sys.modules:
            return importlib.import_module(name)
        with _without_compiler():
            return importlib.import_module(name)


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Have the two places that ask for PyTorch's compiler get an answer that does not need it."""
    import torch.compiler

    def of_compiler(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is instead:  # another part of it is wanted: then it is imported after all
            del sys.modules[COMPILER]
        return getattr(importlib.import_module(COMPILER), name)

    instead = ModuleType(COMPILER)
    vars(instead).update(__getattr__=of_compiler, is_compile_supported=lambda device: of_compiler("is_compile_supported")(device))
    sys.modules[COMPILER] = instead
    try:
        with _marking_nothing(vars(torch.compiler), "disable"):
            yield
    finally:
        if sys.modules.get(COMPILER) is instead:
            del sys.modules[COMPILER]


@contextlib.contextmanager
def _marking_nothing(module: dict[str, Any], name: str) -> Iterator[None]:
    """Have the function of this name leave every function as it is."""
    before = module[name]
    module[name] = _left_alone
    try:
        yield
    finally:
        module[name] = before


def _left_alone(function: Callable[..., Any] | None = None, *_: object, **__: object) -> Callable[..., Any]:
    """A function as it is; without one, what leaves a function as it is."""
    return _left_alone if function is None else function
