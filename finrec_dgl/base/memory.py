"""Lets work that repeats itself use the memory that it set free a moment ago."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# mallopt(3)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_MOST = 2**31 - 1
_AT_ONCE = 32 * 2**20  # the most that glibc's own rule would take from the heap


@contextmanager
def reused_memory() -> Iterator[None]:
    """Memory set free meanwhile is kept for what comes next; after it the system has it back.

    By itself glibc gives every large piece back at once, and the system clears each page of the
    next one anew: steps that make and drop the same gigabyte spend a third of their time on it.
    For the whole process; without glibc nothing happens.
    """
    system = _glibc()
    if system is None:
        yield
        return
    system.mallopt(_MMAP_MAX, 0)
    system.mallopt(_TRIM_THRESHOLD, _MOST)
    try:
        yield
    finally:
        system.mallopt(_MMAP_MAX, 65_536)
        system.mallopt(_MMAP_THRESHOLD, _AT_ONCE)
        system.mallopt(_TRIM_THRESHOLD, 2 * _AT_ONCE)
        system.malloc_trim(0)


def _glibc() -> Any:
    """The C library of this process, None where it is another than GNU's."""
    try:
        system = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    return system if hasattr(system, "gnu_get_libc_version") else None
