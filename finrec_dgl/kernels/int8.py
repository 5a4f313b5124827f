"""Linear layers in 8-bit integers: native code where the processor has VNNI, plain PyTorch else.

And layers in bfloat16 that stand beside them.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from finrec_dgl.kernels.library import find_library

GROUP = 64  # inputs that share a scale; the same in int8.cpp
_PANEL = 64


def has_int8() -> bool:
    """Whether native code computes in 8-bit integers here (built, and AVX-512 with VNNI)."""
    handle = find_library().handle
    return handle is not None and bool(handle.finrec_int8())


class Int8Linear(torch.nn.Module):
    """y = x W^T + b for x float32 [..., inputs] on the CPU, with W and x rounded to 8 bits.

    For each output and group of 64 inputs w = s q with q in -127..127 and s = max |w| / 127; for
    each row and group, at each call, x = low + step u with u in 0..255, low = min x and
    step = (max x - min x) / 255. The sum of u q is exact; the rest is float32. No gradient.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        """Round the weights of ``linear`` (float32, on the CPU)."""
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        outputs = -(-self.out_features // _PANEL) * _PANEL
        groups = -(-self.in_features // GROUP)
        padded = torch.zeros(outputs, groups * GROUP)
        padded[: self.out_features, : self.in_features] = linear.weight.detach()
        grouped = padded.view(outputs, groups, GROUP)
        scale = grouped.abs().amax(dim=2) / 127
        integers = (grouped / scale.clamp_min(1e-30).unsqueeze(2)).round()
        self.bias = None if linear.bias is None else linear.bias.detach().clone()
        self.integers = integers.to(torch.int8).view(outputs, -1)
        self.integers = self.integers[: self.out_features, : self.in_features].contiguous()
        self.scale, self.lean = (
            one.view(-1, _PANEL, groups).transpose(1, 2).contiguous()
            for one in (scale, integers.sum(dim=2) * scale)
        )
        self.packed: Tensor | None = None
        if has_int8():
            handle: Any = find_library().handle
            self._room = int(handle.finrec_int8_room(ctypes.c_int64(self.in_features)))
            fours = -(-self.in_features // 4)
            self.packed = torch.empty(outputs * fours * 4, dtype=torch.int8)
            find_library().call(
                "finrec_int8_pack",
                *(self.out_features, self.in_features, self.integers, self.packed),
            )

    @property
    def weight(self) -> Tensor:
        """The rounded weights, float32 [outputs, inputs]."""
        scale = self.scale.transpose(1, 2).reshape(-1, self.scale.shape[1])[: self.out_features]
        spread = scale.repeat_interleave(GROUP, dim=1)[:, : self.in_features]
        return self.integers.float() * spread

    def forward(self, x: Tensor) -> Tensor:
        """y float32 [..., outputs]."""
        if self.packed is None:
            return functional.linear(rounded(x.float()), self.weight, self.bias)
        rows = x.reshape(-1, self.in_features).float().contiguous()
        y = torch.empty(len(rows), self.out_features)
        threads = torch.get_num_threads()
        find_library().call(
            "finrec_int8_linear",
            *(threads, self.out_features, self.in_features, len(rows)),
            *(self.packed, self.scale, self.lean, self.bias, rows, y),
            torch.empty(threads * self._room, dtype=torch.uint8),
        )
        return y.view(*x.shape[:-1], self.out_features)


class Bfloat16Linear(torch.nn.Module):
    """y = x W^T + b for x float32 [..., inputs], with W and x rounded to bfloat16; no gradient.

    Sums and y are float32. Stands beside Int8Linear in the native pass over a BERT; by itself it is
    plain PyTorch.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        """Round the weights of ``linear`` (float32, on the CPU)."""
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        self.weight = linear.weight.detach().bfloat16().contiguous()
        self.bias = None if linear.bias is None else linear.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """y float32 [..., outputs]."""
        return functional.linear(x.bfloat16().float(), self.weight.float(), self.bias)


def rounded(x: Tensor) -> Tensor:
    """``x`` float32 [..., inputs] as 8 bits for each group of 64 inputs can hold it."""
    parts = []
    for part in x.split(GROUP, dim=-1):
        low = part.amin(dim=-1, keepdim=True)
        span = part.amax(dim=-1, keepdim=True) - low
        # not 255 / span, which PyTorch takes for a product with 1 / span
        inverse = torch.where(span > 0, torch.full_like(span, 255).div(span), 0.0)
        parts.append(low + span / 255 * ((part - low) * inverse).round())
    return torch.cat(parts, dim=-1)
