"""Messages as logarithms of shares, by row and among some columns, by native code or PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.library import find_library

LEAST = 1e-9
"""Messages that add up to less are none."""


def log_shares(
    message: Tensor, free: Tensor, floor: Tensor | float, *, kernels: str = "auto"
) -> Tensor:
    """Return log( x / sum of x over free columns * number of free columns + floor ).

    With x = max(message, 0). A row whose free messages add up to less than 1e-9 has no gradient
    through that sum.

    Parameters
    ----------
    message : Tensor
        float [R, K], or [heads, R, K].
    free : Tensor
        bool [R, K].
    floor : Tensor or float
        A scalar, or of heads float [heads].
    kernels : str
        See ``finrec_dgl.kernels.choose``; ``dgl`` is plain PyTorch here.

    Returns
    -------
    Tensor
        float [R, K], or [heads, R, K].

    Raises
    ------
    UsageError
        If the shapes do not match or ``free`` is not bool.
    """
    if message.dim() not in (2, 3) or free.shape != message.shape[-2:] or free.dtype != torch.bool:
        raise UsageError(
            f"messages are {list(message.shape)}, free is {free.dtype} {list(free.shape)}",
            expected="[R, K] or [heads, R, K], and bool [R, K]",
        )
    if message.numel() > 0 and choose(kernels, message) == "native":
        given = floor if torch.is_tensor(floor) else message.new_tensor(floor)
        found: Tensor = _Native.apply(message, free, given)
        return found
    if torch.is_tensor(floor) and floor.dim():
        floor = floor.view(-1, 1, 1)
    share = message.clamp(min=0)
    total = torch.where(free, share, 0.0).sum(-1, keepdim=True)
    return torch.log(share * (free.sum(-1, keepdim=True) / total.clamp(min=LEAST)) + floor)


class _Native(torch.autograd.Function):
    """The same by native code; the gradient is in closed form, see ``native/shares.cpp``."""

    @staticmethod
    def forward(ctx: Any, message: Tensor, free: Tensor, floor: Tensor) -> Tensor:
        message = message if message.stride(-1) == 1 else message.contiguous()
        free = free.contiguous()
        out = torch.empty_like(message, memory_format=torch.contiguous_format)
        heads, into = (one.view(-1, *one.shape[-2:]) for one in (message, out))
        sums = message.new_empty(len(heads), 2, heads.shape[1])
        ctx.save_for_backward(message, free, floor, sums)
        for head, by in enumerate(floor.detach().expand(len(heads)).tolist()):
            given = (*heads.shape[1:], heads.stride(1), heads[head], free, by)
            find_library().compute("finrec_log_shares", message, *given, *sums[head], into[head])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        message, free, floor, sums = ctx.saved_tensors
        grad = grad.contiguous()
        to_message = torch.empty_like(grad)
        heads, given, into = (one.view(-1, *one.shape[-2:]) for one in (message, grad, to_message))
        to_floor = message.new_empty(heads.shape[:2])
        for head, by in enumerate(floor.detach().expand(len(heads)).tolist()):
            about = (*heads.shape[1:], heads.stride(1), heads[head], free, by, *sums[head])
            out = (given[head], into[head], to_floor[head])
            find_library().compute("finrec_log_shares_grad", message, *about, *out)
        return to_message, None, to_floor.sum(1).sum_to_size(floor.shape)
