"""Imports what dvc would import when it is needed. For tests/forked.py."""

import contextlib
import importlib
import pkgutil

import dvc
import dvc_data
import networkx  # noqa: F401

import tests.forked  # noqa: F401

for package in (dvc, dvc_data):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda name: None):
        if not any(word in module.name for word in ("testing", "__main__", "__pyinstaller", "benchmark")):
            with contextlib.suppress(Exception):  # what needs a library that is not there, dvc does not import either
                importlib.import_module(module.name)
