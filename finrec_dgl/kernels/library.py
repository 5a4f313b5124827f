"""Finds and loads the native library, and calls it on the memory of tensors."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.base.errors import FinrecError
from finrec_dgl.kernels.build import NAME

LEVELS = ("plain", "AVX2", "AVX-512")
MOST_HEADS = 128
MOST_COLUMNS = 4096
_INTERFACE = 14
_KINDS = {"float32": "f32", "float64": "f64", "bfloat16": "bf16"}
_MEND = "install again where a C++ compiler is found, or set kernels to auto, torch or dgl"


Argument: TypeAlias = "int | float | Tensor | np.ndarray | None"


@dataclass(frozen=True)
class Library:
    """The native library: ``handle`` None where it cannot be used, and ``told`` says why.

    ``level``: the instruction set, as an index into LEVELS.
    """

    handle: ctypes.CDLL | None
    told: str
    level: int = 0

    def call(self, name: str, *arguments: Argument) -> None:
        """Call a function that returns nothing: integers as int64, arrays by their memory.

        Tensors and arrays must be contiguous; they are alive for as long as the call lasts. Raises
        FinrecError where there is no library.
        """
        if self.handle is None:
            raise FinrecError("the native kernels cannot be used", where=self.told, mend=_MEND)
        getattr(self.handle, name)(*map(_argument, arguments))

    def compute(self, name: str, like: Tensor | np.ndarray, *arguments: Argument) -> None:
        """Call the function for the type of ``like``, with as many threads as PyTorch has."""
        kind = _KINDS[str(like.dtype).rpartition(".")[2]]
        self.call(f"{name}_{kind}", self.level, torch.get_num_threads(), *arguments)


def _argument(one: Argument) -> object:
    if isinstance(one, Tensor):
        return ctypes.c_void_p(one.data_ptr())
    if isinstance(one, np.ndarray):
        return ctypes.c_void_p(one.ctypes.data)
    if isinstance(one, float):
        return ctypes.c_double(one)
    return one if one is None else ctypes.c_int64(one)


@lru_cache(maxsize=1)
def find_library() -> Library:
    """The library that was built with this package."""
    return load_library(Path(__file__).resolve().parent / NAME)


def native_for(*tensors: Tensor) -> bool:
    """Whether native code can take ``tensors``: it was built, and all of them are on the CPU."""
    return find_library().handle is not None and all(one.is_cpu for one in tensors)


def load_library(path: Path) -> Library:
    """The library at ``path``; one without a handle where it is absent or cannot be used."""
    if not path.exists():
        return Library(None, "not built: no C++ compiler when this package was installed")
    try:
        handle = ctypes.CDLL(str(path))
        for name in ("interface", "level", "openmp", "bert_room"):
            getattr(handle, f"finrec_{name}").restype = ctypes.c_int64
        interface = handle.finrec_interface()
    except (OSError, AttributeError) as error:
        return Library(None, " ".join(str(error).split()))
    if interface != _INTERFACE:
        return Library(None, f"built for interface {interface}, expected {_INTERFACE}")
    level = int(handle.finrec_level())
    threads = "OpenMP" if handle.finrec_openmp() else "one thread: the compiler had no OpenMP"
    return Library(handle, f"{LEVELS[level]}, {threads}", level)
