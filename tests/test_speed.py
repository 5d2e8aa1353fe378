"""tests/speed.py: its list names tests that there are, and whoever belongs on it fails."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
import torch

from tests import ROOT, speed


@pytest.mark.parametrize("file", speed.SLOW)
def test_a_slow_test_is_there(file: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    for beginning in speed.SLOW[file]:
        assert any(name.startswith(beginning or "test_") for name in names), f"there is no {beginning}... in tests/{file}"


def test_what_starts_a_process_is_slow() -> None:
    with pytest.raises(pytest.fail.Exception, match="test_what_starts_a_process_is_slow starts a process"):
        subprocess.run([sys.executable, "-c", ""], check=True)


def test_what_trains_is_slow() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight])
    weight.sum().backward()
    with pytest.raises(pytest.fail.Exception, match="test_what_trains_is_slow trains a network"):
        optimizer.step()
