"""What a BERT does between its linear layers, in native code, over texts laid end to end."""

from __future__ import annotations

import torch
from torch import Tensor

from finrec_dgl.kernels.library import find_library

MOST_TOKENS = 512
MOST_WIDTH = 64


def attend_texts(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(width)) v for each text and head, [tokens, heads * width].

    All float32 on the CPU; ``starts`` int64 [texts + 1]: text i is the rows starts[i] to
    starts[i + 1]. At most 512 tokens a text; a head's width is a multiple of 16 up to 64.
    """
    width = query.shape[1] // heads
    out = torch.empty_like(query)
    find_library().call(
        "finrec_text_attend",
        *(torch.get_num_threads(), len(starts) - 1, heads, width, width**-0.5),
        *(starts, query, key, value, out),
    )
    return out


def add_norm(x: Tensor, y: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    """LayerNorm(x + y), float32 [rows, width]."""
    out = torch.empty_like(x)
    find_library().call(
        "finrec_text_add_norm",
        *(torch.get_num_threads(), len(x), x.shape[1], float(norm.eps)),
        *(x, y, norm.weight, norm.bias, out),
    )
    return out
