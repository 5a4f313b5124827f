"""Memory that is kept from one step to the next."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from finrec_dgl.base import memory
from finrec_dgl.base.memory import reused_memory

ROOM = 64 * 2**20


def cleared():
    """Pages that the system had to clear for making 64 MiB again."""
    np.ones(ROOM, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(ROOM, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(memory._glibc() is None, reason="the C library is not GNU's")
def test_memory_is_kept_within_and_given_back_after():
    """Catches settings that glibc does not take, and those that stay when the work is done."""
    with reused_memory():
        assert cleared() < 100
    assert cleared() > 10


def test_without_glibc_the_work_is_done(monkeypatch):
    """Catches a C library without these settings that stops training."""
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    done = []
    with reused_memory():
        done.append(1)
    assert done
