"""Names of devices, and which of them this machine has."""

from __future__ import annotations

import re

import torch

from finrec_dgl.base.config import refuse, suggest
from finrec_dgl.base.errors import UsageError

DEVICES = "auto, cpu, cuda or cuda:N"


def device_problems(name: str) -> list[str]:
    """Return what is wrong with ``name`` as a device; an empty list for a name that can be one."""
    if name in ("auto", "cpu", "cuda") or re.fullmatch(r"cuda:\d+", name):
        return []
    return [f"device is {name!r}, expected {DEVICES}{suggest(name, ('auto', 'cpu', 'cuda'))}"]


def find_device(name: str) -> torch.device:
    """Return the device called ``name``.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a GPU where PyTorch finds one, else the CPU.

    Raises
    ------
    ConfigError
        If ``name`` is no name of a device.
    UsageError
        If the GPU is not on this machine.
    """
    refuse(device_problems(name), where="--device")
    count = torch.cuda.device_count() if name != "cpu" else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    if name != "cpu" and int(name.partition(":")[2] or 0) >= count:
        raise UsageError(
            f"there is no device {name} here",
            expected=f"one of {count} GPUs" if count else "cpu: PyTorch finds no GPU",
            where="--device",
            mend="leave --device out, or check `nvidia-smi` and the build of PyTorch",
        )
    return torch.device(name)
