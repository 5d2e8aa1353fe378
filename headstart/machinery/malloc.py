"""Memory that a process frees is kept for what it allocates next."""

from __future__ import annotations

import ctypes

MALLOC = {
    -8: 1,
    -3: 2**28,
    -1: 2**31 - 1,
}  # M_ARENA_MAX: 1; M_MMAP_THRESHOLD: 256 MiB; M_TRIM_THRESHOLD: 2 GiB; numbers as in glibc's malloc.h


def keep_freed() -> None:
    """Have glibc keep what is freed, in one heap for all threads.

    Blocks of some megabytes, which is what activations are, otherwise go back to the system and come anew, page by page, with every
    layer: a quarter of a training
    step. To be called before any thread is started, and so before NumPy is imported: each has a heap of its own otherwise. Other C
    libraries are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in MALLOC.items():
        mallopt(option, value)
