"""What tests of training share: processes that start quickly."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from headstart.training import checkpoints

HEAVY = ["torch", "torch.distributed", "timm", "headstart.training.fine_tuning"]


@pytest.fixture(scope="session")
def _server() -> Any:
    """A server of its own, as other tests may have theirs with other modules. It starts with the first process and ends with the tests."""
    server = forkserver.ForkServer()
    server.set_forkserver_preload(HEAVY)
    return server


@pytest.fixture
def forked(_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have multiprocessing fork processes from one that has imported PyTorch and timm and has computed nothing.

    They get their arguments and end as those do that are spawned, which would import all that first.
    """
    context = multiprocessing.get_context("forkserver")
    monkeypatch.setattr(multiprocessing, "get_context", lambda *_: context)
    monkeypatch.setattr(forkserver, "connect_to_new_process", _server.connect_to_new_process)


@pytest.fixture
def checkpoints_always(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and a checkpoint after every epoch, however short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))
