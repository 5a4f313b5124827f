"""Dropout whose draws are a hash of their place: no mask is made or kept, and kernels agree."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.kernels.attention import mix_words, seeded_words
from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.library import find_library


def dropped(x: Tensor, share: float, *, kernels: str = "auto") -> Tensor:
    """``x`` [...] with a ``share`` of its numbers zero and the others times 1 / (1 - share).

    Which, follows from PyTorch's generator: from one draw of it and a number's place in ``x``.
    ``kernels``: see ``finrec_dgl.kernels.choose``; ``dgl`` is plain PyTorch here.
    """
    if not share:
        return x
    seed = int(torch.randint(1 << 62, ()))
    if choose(kernels, x) == "native":
        out: Tensor = _Native.apply(x, share, seed)
        return out
    place = torch.arange(x.numel(), device=x.device).view(x.shape)
    code = mix_words(seeded_words(place, seed))
    return x * ((code >= int(share * 2**32)).to(x.dtype) * (1 / (1 - share)))


class _Native(torch.autograd.Function):
    """The gradient falls where the number did: the same function of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float, seed: int) -> Tensor:
        ctx.drawn = share, seed
        return _drop(x, share, seed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _drop(gradient, *ctx.drawn), None, None


def _drop(x: Tensor, share: float, seed: int) -> Tensor:
    x = x.detach().contiguous()
    out = torch.empty_like(x)
    find_library().compute("finrec_drop", x, x.numel(), share, seed, x, out)
    return out
