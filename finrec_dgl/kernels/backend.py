"""Chooses who does the arithmetic over edges: native code, plain PyTorch, or DGL."""

from __future__ import annotations

import torch
from torch import Tensor

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph.backend import dgl_version
from finrec_dgl.kernels.library import find_library, native_for

KERNELS = ("auto", "native", "torch", "dgl")


def choose(kernels: str, *tensors: Tensor, rows: Tensor | None = None) -> str:
    """``native``, ``torch`` or ``dgl``, for work on ``tensors`` and on ``rows``.

    ``auto``: native code for float32 and float64 on the CPU, else ``torch``; where the library was
    not built, ``dgl`` if it is installed. ``rows`` may be bfloat16 where the others are float32, or
    there are none. ``native`` likewise takes ``torch`` for other types and devices, and raises
    UsageError where there is no library. Raises ConfigError for an unknown name.
    """
    refuse(choice("kernels", kernels, KERNELS), where="model.kernels")
    if kernels in ("torch", "dgl"):
        return kernels
    library = find_library()
    if kernels == "native" and library.handle is None:
        raise UsageError(
            f"kernels is native, but the native library cannot be used: {library.told}",
            where="model.kernels",
            mend="set model.kernels=auto, or install again where a C++ compiler is found",
        )
    types = {one.dtype for one in tensors} | ({wide(rows)} if rows is not None else set())
    every = (*tensors, *([] if rows is None else [rows]))
    if types not in ({torch.float32}, {torch.float64}):
        return "torch"
    if native_for(*every):
        return "native"
    # DGL takes the place of native code that was not built, on the CPU
    replaced = library.handle is None and all(one.is_cpu for one in every)
    return "dgl" if replaced and dgl_version() is not None else "torch"


def wide(one: Tensor) -> torch.dtype:
    """What sums of ``one`` are computed in: float32 for bfloat16, else its own type."""
    return torch.float32 if one.dtype == torch.bfloat16 else one.dtype
