"""Sums over channels with a weight for each row, by native code or PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.library import find_library


def weighted_sum(channels: Tensor, weight: Tensor, *, kernels: str = "auto") -> Tensor:
    """Return sum over c of weight[b, c] channels[b, i, c].

    Parameters
    ----------
    channels : Tensor
        float [B, C, channels]; native code reads those whose memory is [channels, B, C] as they
        lie, and others after a copy.
    weight : Tensor
        float [B, channels].
    kernels : str
        See ``finrec_dgl.kernels.choose``; ``dgl`` is plain PyTorch here.

    Returns
    -------
    Tensor
        float [B, C].

    Raises
    ------
    UsageError
        If the shapes do not match.
    """
    if channels.dim() != 3 or weight.shape != (channels.shape[0], channels.shape[2]):
        raise UsageError(
            f"channels are {list(channels.shape)}, weights are {list(weight.shape)}",
            expected="[B, C, channels] and [B, channels]",
        )
    there = channels.numel() > 0 and choose(kernels, channels, weight) == "native"
    found: Tensor = _Native.apply(channels, weight) if there else _plain(channels, weight)
    return found


def _plain(channels: Tensor, weight: Tensor) -> Tensor:
    """One pass over memory for each channel, where a batched product takes several."""
    total = channels.new_zeros(channels.shape[:-1])
    for number in range(channels.shape[-1]):
        total = total + channels[..., number] * weight[:, number : number + 1]
    return total


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, channels: Tensor, weight: Tensor) -> Tensor:
        by_channel = channels.movedim(-1, 0)
        by_channel = by_channel if by_channel.stride(2) == 1 else by_channel.contiguous()
        ctx.strides = by_channel.stride()[:2]
        ctx.save_for_backward(by_channel, weight)
        out = weight.new_empty(by_channel.shape[1:])
        given = (*by_channel.shape, *ctx.strides, by_channel, weight.contiguous(), out)
        find_library().compute("finrec_weighted_sum", weight, *given)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        by_channel, weight = ctx.saved_tensors
        to_channels = to_weight = None
        if ctx.needs_input_grad[0]:
            to_channels = (weight.T.contiguous().unsqueeze(2) * grad).movedim(0, -1)
        if ctx.needs_input_grad[1]:
            to_weight = torch.empty_like(weight, memory_format=torch.contiguous_format)
            given = (*by_channel.shape, *ctx.strides, by_channel, grad.contiguous(), to_weight)
            find_library().compute("finrec_weighted_sum_grad", weight, *given)
        return to_channels, to_weight
