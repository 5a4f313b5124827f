"""Adam that moves only the rows of learned vectors that a step used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from finrec_dgl.kernels.library import find_library


class RowAdam(torch.optim.Adam):
    """Adam; a parameter with a sparse gradient moves in the rows that the gradient has, alone.

    Rows without a gradient keep their moments and stay where they are, as in ``SparseAdam``; plain
    Adam moves every row at each step, which at a million products is most of a step's time.
    Corrections of the bias go by the parameter's steps.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the gradients that were sparse are taken away."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._move_rows(parameter, group)
                    parameter.grad = None
        return super().step(closure)

    def _move_rows(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        steps, (first, second) = float(state["step"]), group["betas"]
        gradient = parameter.grad.coalesce()  # type: ignore[union-attr]
        rows, values = gradient.indices()[0], gradient.values()
        divide, pace = 1 - second**steps, group["lr"] / (1 - first**steps)
        given = (values, parameter, state["exp_avg"], state["exp_avg_sq"])
        if find_library().handle is not None and len(rows) and all(map(_plain, given)):
            sizes = len(rows), values.numel() // len(rows)
            find_library().call(
                "finrec_move_rows",
                *(torch.get_num_threads(), *sizes, rows.contiguous(), values),
                *(first, second, divide, float(group["eps"]), pace, *given[1:]),
            )
            return
        mean = state["exp_avg"][rows].lerp_(values, 1 - first)
        square = state["exp_avg_sq"][rows].mul_(second).addcmul_(values, values, value=1 - second)
        state["exp_avg"][rows] = mean
        state["exp_avg_sq"][rows] = square
        scale = square.div_(divide).sqrt_().add_(group["eps"])
        parameter.index_add_(0, rows, mean / scale, alpha=-pace)


def _plain(values: Tensor) -> bool:
    """Whether native code can move ``values``: float32, a row after the other."""
    there = values.dtype == torch.float32 and values.device.type == "cpu"
    return there and values.is_contiguous()


def clip_gradients(parameters: Iterable[Tensor], most: float) -> None:
    """Scale all gradients, sparse ones too, so that their common norm is ``most`` or less."""
    values = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            # rows that occur several times are added up first, for the norm is that of their sum
            parameter.grad = parameter.grad.coalesce()
            values.append(parameter.grad.values())
        else:
            values.append(parameter.grad)
    scale = most / (torch.nn.utils.get_total_norm(values) + 1e-6)
    torch._foreach_mul_(values, scale.clamp(max=1.0))
