"""A BERT's forward pass in native code, over texts laid end to end: its arrays, and the call."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.kernels.library import find_library

if TYPE_CHECKING:
    from finrec_dgl.kernels.int8 import Bfloat16Linear, Int8Linear

MOST_TOKENS = 512
MOST_WIDTH = 64
_PRECISIONS = {"float32": 0, "bfloat16": 1, "int8": 2, "mixed": 3}


def has_bfloat16() -> bool:
    """Whether native code computes in bfloat16 here (built, and AVX-512 with VNNI and BF16)."""
    handle = find_library().handle
    return handle is not None and bool(handle.finrec_bf16())


@dataclass(frozen=True)
class BertWeights:
    """What the pass reads, on the CPU.

    ``place`` float32 [positions, d] is added to the embedded words; ``norm`` is the norm after
    that. Of each layer, in the order of its steps: query, key, value, output of attention [d, d],
    then the two that widen to f columns and narrow [f, d], [d, f]; and the norms after the fourth
    and the sixth. ``precision`` is of the linear layers: float32, bfloat16, int8, or mixed, where
    each is an Int8Linear or a Bfloat16Linear.
    """

    precision: str
    heads: int
    place: Tensor
    norm: torch.nn.LayerNorm
    linears: Sequence[Sequence[torch.nn.Linear | Int8Linear | Bfloat16Linear]]
    norms: Sequence[Sequence[torch.nn.LayerNorm]]


def bert_forward(weights: BertWeights, words: Tensor, starts: np.ndarray) -> Tensor:
    """The last layer's states, float32 [tokens, d], without gradient, in the memory of ``words``.

    ``words`` float32 [tokens, d], embedded and contiguous; ``starts`` int64 [texts + 1]: text i is
    the rows starts[i] to starts[i + 1], 1 to 512 of them and no more than there are places. A head
    is 16, 32, 48 or 64 wide. The norms are computed in float32, and so is attention.
    """
    library, threads = find_library(), torch.get_num_threads()
    code, hidden = _PRECISIONS[weights.precision], words.shape[1]
    wide = weights.linears[0][4].out_features
    longest = int(np.diff(starts).max(initial=0))
    kept: list[Tensor] = []
    addresses = np.array(_addresses(weights, kept), dtype=np.int64)
    handle: Any = library.handle
    room = handle.finrec_bert_room(*map(ctypes.c_int64, (code, hidden, wide, longest)))
    library.call(
        "finrec_bert",
        *(threads, code, hidden, wide, weights.heads, len(weights.linears)),
        float(weights.norm.eps),
        *(weights.place, *_norm(weights.norm, kept)),
        addresses,
        *(len(starts) - 1, longest),
        starts,
        words,
        torch.empty(threads * room, dtype=torch.uint8),
    )
    return words


def _addresses(weights: BertWeights, kept: list[Tensor]) -> list[int]:
    """The addresses that bert.h asks for; tensors made for it are put into ``kept``."""
    found: list[int] = []
    for linears, (attended, done) in zip(weights.linears, weights.norms, strict=True):
        for linear in linears[:4]:
            found += _linear(linear, kept)
        found += [one.data_ptr() for one in _norm(attended, kept)]
        for linear in linears[4:]:
            found += _linear(linear, kept)
        found += [one.data_ptr() for one in _norm(done, kept)]
    return found


def _linear(linear: Any, kept: list[Tensor]) -> list[int]:
    packed = getattr(linear, "packed", None)
    parts = [linear.weight, None, None] if packed is None else [packed, linear.scale, linear.lean]
    kept.append(parts[0])
    bias = None if linear.bias is None else _single(linear.bias, kept)
    return [0 if one is None else one.data_ptr() for one in (*parts, bias)]


def _norm(norm: torch.nn.LayerNorm, kept: list[Tensor]) -> list[Tensor]:
    return [_single(norm.weight, kept), _single(norm.bias, kept)]


def _single(one: Tensor, kept: list[Tensor]) -> Tensor:
    kept.append(one.detach().float().contiguous())
    return kept[-1]
