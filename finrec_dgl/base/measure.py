"""What a piece of work cost: seconds, and the most memory that this process held meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROCESS = Path("/proc/self")
_MIB = 1 << 20


@dataclass
class Cost:
    """``seconds``; ``peak_mib``: of resident memory; ``gpu_peak_mib``: None without a GPU.

    ``peak_mib`` is the process's whole, with all that it held before the work. Where the system
    does not let the peak be set back (others than Linux) it is that of the process so far.
    """

    seconds: float = 0.0
    peak_mib: float = 0.0
    gpu_peak_mib: float | None = None

    def to_mapping(self) -> dict[str, float]:
        """Rounded, for JSON."""
        found = {"seconds": round(self.seconds, 3), "peak_mib": round(self.peak_mib, 1)}
        if self.gpu_peak_mib is not None:
            found["gpu_peak_mib"] = round(self.gpu_peak_mib, 1)
        return found


@contextmanager
def measured() -> Iterator[Cost]:
    """Yield a Cost that is filled in when the block ends."""
    cost = Cost()
    cuda = _cuda()
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    _forget_peak()
    start = time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - start
    cost.peak_mib = _peak_bytes() / _MIB
    if cuda is not None:
        cost.gpu_peak_mib = cuda.max_memory_allocated() / _MIB


def _cuda() -> Any:
    """PyTorch's CUDA where the work may use it: PyTorch is loaded and sees a device."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def _forget_peak() -> None:
    try:
        # 5: set the peak of resident memory back to what is held now (proc(5))
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return


def _peak_bytes() -> int:
    try:
        for line in (_PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
