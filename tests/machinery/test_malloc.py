"""headstart.machinery.malloc: what a stage frees is there for what it allocates next."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from typing import Any

import pytest

from headstart.machinery import malloc

FAULTS = """
import resource, threading
{first}
import torch

def work():
    for _ in range(10):
        torch.empty(10_000_000).fill_(1.0)

def in_a_thread():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):  # what is kept grows for a while
    before = in_a_thread()
print(in_a_thread() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_freed_memory_is_kept_in_stages() -> None:
    """10 times 40 MB are some 100,000 page faults where they come from the system each time, and nearly none where they are kept."""

    def faults(first: str) -> int:
        done = subprocess.run([sys.executable, "-c", FAULTS.format(first=first)], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("import tasks") < 0.5 * faults("")


@pytest.mark.parametrize("library", [object(), None])
def test_another_c_library_is_left_alone(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: None) -> Any:
        if library is None:
            raise OSError("no such library")
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    malloc.keep_freed()
