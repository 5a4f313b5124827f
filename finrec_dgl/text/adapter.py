"""Low-rank adapters (LoRA) on a text encoder, by peft: put on, saved as safetensors, loaded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.files import folder_atomically, load_arrays, read_json
from finrec_dgl.text import hub, minilm
from finrec_dgl.text.encoder import Encoder

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def require_peft() -> Any:
    """The module ``peft``. Raises UsageError where it is not installed."""
    try:
        with _quiet():
            import peft
    except ImportError as error:
        raise UsageError(
            "fine-tuning the text encoder needs the package peft, which is not installed",
            mend="pip install finrec-dgl[finetune]",
        ) from error
    return peft


def add_lora(encoder: Encoder, rank: int, alpha: int, seed: int) -> list[torch.nn.Parameter]:
    """Put a new adapter on every linear layer of ``encoder``; the parameters to train.

    W x becomes W x + (alpha / rank) B A x with A [rank, in] drawn from ``seed`` and B [out, rank]
    zero, so that the vectors are at first the same; W is frozen. Of the pooler, which is not used,
    nothing is adapted. Source: LoRA, Hu et al., 2021.
    """
    import torch

    peft = require_peft()
    config = peft.LoraConfig(
        task_type=peft.TaskType.FEATURE_EXTRACTION,
        revision=encoder.model.identity,
        r=rank,
        lora_alpha=alpha,
        target_modules="all-linear",
        exclude_modules=r".*pooler.*",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _wrap(encoder, config)
    return [weight for weight in encoder.network.parameters() if weight.requires_grad]


def save_adapter(encoder: Encoder, folder: Path) -> None:
    """Write the adapter of ``encoder`` as the folder ``folder``, in peft's own format.

    The folder is complete or absent; one that is there is replaced.
    """
    for config in encoder.network.peft_config.values():
        # peft puts the path of the model's folder here, which is nobody's business elsewhere
        config.base_model_name_or_path = _name(encoder)
    with folder_atomically(folder, marker=CONFIG, overwrite=True) as target, _quiet():
        encoder.network.save_pretrained(
            target, safe_serialization=True, save_embedding_layers=False
        )
        (target / "README.md").unlink(missing_ok=True)  # a form for the hub, not filled in
        (target / WEIGHTS).chmod(0o644)  # as all other files of a run


def merge_adapter(encoder: Encoder) -> None:
    """Make the adapter a part of the encoder's own weights: it then encodes as fast as frozen.

    In bfloat16 the sum is rounded. The adapter can no longer be saved, so save it before.
    """
    with _quiet():
        encoder.network = encoder.network.merge_and_unload().eval()


def load_adapter(encoder: Encoder, folder: Path) -> None:
    """Put the adapter in ``folder`` on ``encoder``.

    Raises DataError where it is absent, broken, not of this encoder, or not in safetensors.
    """
    config, weights = _read(encoder, folder)
    peft = require_peft()
    try:
        _wrap(encoder, config)
        expected = peft.get_peft_model_state_dict(encoder.network, save_embedding_layers=False)
    except Exception as error:
        raise _unusable(folder, f"does not fit the text encoder: {hub.reason(error)}") from error
    shapes = {name: tuple(weight.shape) for name, weight in expected.items()}
    if shapes != {name: weight.shape for name, weight in weights.items()}:
        raise _unusable(folder, "holds other weights than its configuration calls for")
    import torch

    with _quiet():
        tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
        peft.set_peft_model_state_dict(encoder.network, tensors)
    encoder.network.eval().requires_grad_(False)


def _read(encoder: Encoder, folder: Path) -> tuple[Any, dict[str, np.ndarray]]:
    peft = require_peft()
    if not (folder / WEIGHTS).is_file():
        others = [one.name for one in folder.glob("adapter_model.*")]
        found = f"has weights in {others[0]} only" if others else f"has no {WEIGHTS}"
        raise _unusable(folder, found)
    mapping = read_json(folder / CONFIG, what="configuration of the adapter")
    kind = mapping.get("peft_type") if isinstance(mapping, dict) else None
    if kind != "LORA":
        raise _unusable(folder, f"is of the kind {kind!r}")
    weights = load_arrays(folder / WEIGHTS, what="adapter")
    broken = [name for name, weight in weights.items() if not np.isfinite(weight).all()]
    if broken:
        raise _unusable(folder, f"holds weights that are not finite: {broken[0]}")
    try:
        with _quiet():
            config = peft.LoraConfig.from_pretrained(str(folder))
    except Exception as error:
        raise _unusable(folder, f"has a wrong {CONFIG}: {hub.reason(error)}") from error
    if config.revision != encoder.model.identity:
        raise _unusable(folder, "was made for another text encoder")
    return config, weights


def _wrap(encoder: Encoder, config: Any) -> None:
    with _quiet():
        encoder.network = require_peft().get_peft_model(encoder.network, config).eval()


def _name(encoder: Encoder) -> str:
    """What others call the model: its id on the hub, or the name of its folder."""
    name = encoder.model.spec.name
    if name == minilm.NAME:
        return minilm.REPOSITORY
    return Path(name).name if Path(name).expanduser().is_dir() else name


def _unusable(folder: Path, found: str) -> DataError:
    return DataError(
        f"the adapter {found}",
        expected=f"a LoRA adapter of the data set's text encoder: {CONFIG} and {WEIGHTS}",
        where=str(folder),
        mend="fine-tune again: the files were changed since they were written",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hush what peft and transformers say to those who maintain them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
