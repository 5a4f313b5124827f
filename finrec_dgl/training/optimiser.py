"""Adam that moves only the rows of learned vectors that a step used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from finrec_dgl.kernels.library import find_library


def _plainly(method: Any) -> Any:
    """The method without PyTorch's import of its compiler, which takes two seconds of a processor.

    PyTorch imports it to keep it out of these methods; nothing here is compiled.
    """
    return getattr(method, "__wrapped__", method)


class RowAdam(torch.optim.Optimizer):
    """Adam; a parameter with a sparse gradient moves in the rows that the gradient has, alone.

    Rows without a gradient keep their moments and stay where they are, as in ``SparseAdam``; plain
    Adam moves every row at each step, which at a million products is most of a step's time.
    Corrections of the bias go by the parameter's steps. Its state is that of ``torch.optim.Adam``.

    Parameters
    ----------
    params : iterable
        Parameters, or groups of them.
    lr : float
        The step size.
    betas : tuple of float
        How the two moments fade.
    eps : float
        Added to the root of the second moment.
    """

    add_param_group = _plainly(torch.optim.Optimizer.add_param_group)
    zero_grad = _plainly(torch.optim.Optimizer.zero_grad)
    state_dict = _plainly(torch.optim.Optimizer.state_dict)
    load_state_dict = _plainly(torch.optim.Optimizer.load_state_dict)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the gradients that were sparse are taken away."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.grad.is_sparse:
                    self._move_rows(parameter, group)
                    parameter.grad = None
                else:
                    self._move(parameter, group)
        return loss

    def _next(
        self, parameter: Tensor, group: dict[str, Any]
    ) -> tuple[dict[str, Any], float, float]:
        """The state for one more step, what the second moment is divided by, and the step size."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        steps, (first, second) = float(state["step"]), group["betas"]
        return state, 1 - second**steps, group["lr"] / (1 - first**steps)

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, divide, pace = self._next(parameter, group)
        (first, second), gradient = group["betas"], parameter.grad
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        parameter.addcdiv_(mean, (square / divide).sqrt_().add_(group["eps"]), value=-pace)

    def _move_rows(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, divide, pace = self._next(parameter, group)
        first, second = group["betas"]
        gradient = parameter.grad.coalesce()  # type: ignore[union-attr]
        rows, values = gradient.indices()[0], gradient.values()
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
