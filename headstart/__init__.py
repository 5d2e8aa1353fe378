"""Headstart: transfer learning on a folder of labelled images.

The library; it knows neither DVC nor Prefect.

The steps of the pipeline as functions, a model that predicts, and a classifier in scikit-learn's manner; docs/library.md shows them.
Importing this
package imports nothing else: each name is looked up when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.library.classifier import TransferClassifier as TransferClassifier
    from headstart.library.models import Model as Model
    from headstart.library.models import load as load
    from headstart.library.steps import Images as Images
    from headstart.library.steps import check as check
    from headstart.library.steps import evaluate as evaluate
    from headstart.library.steps import fine_tune as fine_tune
    from headstart.library.steps import fit_head as fit_head
    from headstart.library.steps import index as index
    from headstart.library.steps import prove as prove
    from headstart.library.steps import rank as rank

_PLACES = {
    "TransferClassifier": "classifier",
    **dict.fromkeys(("Model", "load"), "models"),
    **dict.fromkeys(("Images", "index", "check", "rank", "fit_head", "fine_tune", "prove", "evaluate"), "steps"),
}

__all__ = ["Images", "Model", "TransferClassifier", "check", "evaluate", "fine_tune", "fit_head", "index", "load", "prove", "rank"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"headstart.library.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
