"""headstart.machinery.failure: what a stage notes of the error that ended it."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
from pathlib import Path

import pytest

from headstart.machinery import failure
from headstart.machinery.errors import BusyError, DataError, HeadstartError, ParamsError


class OutOfMemoryError(RuntimeError):
    """As PyTorch calls it."""


class ReadTimeout(Exception):
    """As several libraries call it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA"),
        RuntimeError("CUDA error: out of memory"),
        HeadstartError("the device is out of memory"),
        ConnectionError("gone"),
        ConnectionResetError("peer"),
        ReadTimeout("the hub"),
        TimeoutError(),
        urllib.error.URLError("away"),
        ssl.SSLError("broken"),
        socket.gaierror("unknown"),
    ],
)
def test_what_may_be_over_after_a_while(error: Exception) -> None:
    assert failure.may_pass(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("failed with MemoryError"),
        FileNotFoundError("weights"),
        HeadstartError("Timeout"),
        DataError("out of memory of man"),
        ParamsError("out of memory"),
        BusyError("out of memory"),
    ],
)
def test_what_stays_wrong(error: Exception) -> None:
    assert not failure.may_pass(error)


def test_a_note_is_read_as_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    for error in (DataError("caf\udce9.png is broken"), KeyError("x"), ConnectionResetError("peer")):
        noted = failure.of("fine_tune", error)
        path.write_text(json.dumps(noted))
        assert failure.read(path) == noted
    assert noted["message"] == "stage fine_tune failed with ConnectionResetError: peer"
    assert (noted["exit_code"], noted["error"], noted["may_pass"]) == (1, "ConnectionResetError", True)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"stage": "report", "exit_code": 1, "message": "from an earlier version"}'])
def test_what_is_no_note(content: str, tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    assert failure.read(path) is None
    path.write_text(content)
    assert failure.read(path) is None
