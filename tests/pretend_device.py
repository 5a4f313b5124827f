"""A device that is not there: its tensors are on the CPU, but mix with none of the CPU's."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
"""What tensors of the pretended device say that they are on; PyTorch knows it everywhere."""


class Elsewhere(torch.Tensor):
    """A tensor on the pretended device; ``inner`` has its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )

    def __init__(self, inner):
        self.inner = inner

    def __repr__(self):
        return f"Elsewhere({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class PretendDevice(TorchDispatchMode):
    """Where it is on, ``DEVICE`` has tensors, and an operation that mixes devices fails."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _run(func, args, kwargs):
    given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
    there = [one for one in given if isinstance(one, Elsewhere)]
    # a number may come from the CPU, as everywhere in PyTorch
    here = [one for one in given if not isinstance(one, Elsewhere) and one.dim()]
    copies = func.overloadpacket is torch.ops.aten.copy_ or "_copy_from" in str(func)
    if there and here and not copies:
        raise RuntimeError(f"{func} mixes devices: {[tuple(one.shape) for one in here]} are here")
    if any(one.device == DEVICE for one in here):
        raise RuntimeError(f"{func} is given a tensor that is nowhere")
    device = kwargs.get("device")
    away = bool(there) if device is None else torch.device(device) == DEVICE
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    inner = tree_map(lambda one: one.inner if isinstance(one, Elsewhere) else one, (args, kwargs))
    found = func(*inner[0], **inner[1])
    written = func._schema.is_mutable and len(given) and func._schema.name.endswith("_")
    if written:
        return args[0]
    if not away:
        return found
    return tree_map(lambda one: Elsewhere(one) if isinstance(one, torch.Tensor) else one, found)


def numbers(tensor):
    """The numbers of ``tensor``, wherever it is."""
    return tensor.inner if isinstance(tensor, Elsewhere) else tensor
