"""What a run leaves on disk while it trains, so that it can go on after being cut off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import write_atomically


def save_weights(path: Path, weights: Mapping[str, Tensor], note: Mapping[str, str]) -> None:
    """Write named tensors, with ``note`` in the header, as safetensors, atomically."""
    tensors: dict[str, Tensor] = {}
    stored: set[int] = set()
    for name, tensor in weights.items():
        whole = tensor.detach().contiguous()
        memory = whole.untyped_storage()
        # the format takes no tensors that share memory; other ones need no copy
        shared = memory.data_ptr() in stored or memory.nbytes() != whole.nbytes
        tensors[name] = whole.clone() if shared else whole
        stored.add(memory.data_ptr())

    def write(target: Path) -> None:
        try:
            save_file(tensors, target, metadata=dict(note))
        except SafetensorError as error:  # such as a full disk, which it wraps
            raise OSError(str(error)) from error

    write_atomically(path, write)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read named tensors. Raises DataError where the file is absent, broken or not finite."""
    try:
        weights = load_file(path)
    except FileNotFoundError as error:
        raise DataError(
            f"the run has no {path.name}",
            where=str(path.parent),
            mend="train again, or finish it with --resume",
        ) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"{path.name} is not a readable safetensors file",
            where=str(path),
            mend="train again: the file was changed or cut short since it was written",
        ) from error
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise DataError(
            f"{path.name} holds weights that are not finite: {broken[0]}",
            where=str(path),
            mend="train again: the file was changed since it was written",
        )
    return weights


def put_weights(model: torch.nn.Module, weights: Mapping[str, Tensor], where: Path) -> None:
    """Put ``weights`` into ``model``. Raises DataError where names or shapes differ."""
    try:
        model.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        raise DataError(
            "the weights do not fit the model of this run's configuration",
            where=str(where),
            mend="train again: one of the files was changed since it was written",
        ) from error


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state as named tensors: ``<parameter number>.<name>``."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
    }


def put_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The reverse of ``optimiser_tensors``."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
