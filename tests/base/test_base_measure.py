"""Seconds and peak memory of a block of work."""

import numpy as np

from finrec_dgl.base.measure import measured


def test_the_peak_is_that_of_the_work():
    """Catches a peak in the wrong unit, or one that leaves out what was freed by the end."""
    with measured() as small:
        pass
    with measured() as large:
        np.ones(8 << 20).sum()  # 64 MiB
    assert 10 < small.peak_mib < 100_000
    assert large.peak_mib > small.peak_mib + 50
    assert large.seconds > small.seconds >= 0
    assert large.to_mapping()["peak_mib"] == round(large.peak_mib, 1)


def test_the_peak_of_earlier_work_is_forgotten():
    """Catches a peak of the process's whole life where the system can tell better."""
    with measured() as large:
        np.ones(32 << 20).sum()  # 256 MiB
    with measured() as small:
        pass
    try:
        open("/proc/self/clear_refs", "w").close()
    except OSError:
        return
    assert small.peak_mib < large.peak_mib - 100
