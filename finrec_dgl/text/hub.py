"""Snapshots of models from the Hugging Face hub or its cache, without noise or traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finrec_dgl.base.errors import DataError

_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.jinja")
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "tokenizer.model")
_NO_NETWORK = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def offline() -> bool:
    """Whether the environment forbids calls to the hub (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE)."""
    from huggingface_hub import constants

    said = any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in _NO_NETWORK
    )
    return said or bool(constants.HF_HUB_OFFLINE)


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a model's configuration, tokenizer and all safetensors weights."""
    if not (folder / "config.json").is_file():
        return False
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return False
    if (folder / "model.safetensors").is_file():
        return True
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return False
    from finrec_dgl.base.files import read_json

    shards = set(read_json(index, what="index of the weights").get("weight_map", {}).values())
    return bool(shards) and all((folder / shard).is_file() for shard in shards)


def cached_snapshot(repository: str, revision: str | None, *, code: bool = False) -> Path | None:
    """The snapshot in the hub's cache on this machine, or None; never a network call."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                repository,
                revision=revision,
                local_files_only=True,
                allow_patterns=[*_FILES, "*.py"] if code else list(_FILES),
            )
        )
    except Exception as error:
        # Every way of not being there; a snapshot that lacks only files of no use here is named.
        folder = Path(getattr(error, "snapshot_path", "") or os.devnull)
    return folder if folder.is_dir() and is_complete(folder) else None


def download_snapshot(repository: str, revision: str | None, *, code: bool = False) -> Path:
    """Fetch a snapshot from the hub. Raises DataError, with the reason, where it cannot be had."""
    from huggingface_hub import snapshot_download

    where = repository if revision is None else f"{repository} at revision {revision}"
    mend = "check the name and the network, or give the folder of a model on this machine"
    if offline():
        raise DataError(
            f"the text encoder {repository!r} is not on this machine and the hub is switched off",
            expected="a folder, or a model in the Hugging Face cache",
            where=where,
            mend="unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, or give a folder",
        )
    try:
        with quiet():
            folder = Path(
                snapshot_download(
                    repository,
                    revision=revision,
                    allow_patterns=[*_FILES, "*.py"] if code else list(_FILES),
                )
            )
    except Exception as error:
        raise DataError(
            f"the text encoder {repository!r} cannot be had from the Hugging Face hub: "
            f"{reason(error)}",
            expected="the id of a model on the hub, or a folder with config.json",
            where=where,
            mend=mend,
        ) from error
    if not is_complete(folder):
        raise DataError(
            f"the text encoder {repository!r} is incomplete or has no weights in safetensors",
            expected="config.json, a tokenizer, and model.safetensors or its index and shards",
            where=where,
            mend="choose a model or a revision that has them",
        )
    return folder


def reason(error: BaseException) -> str:
    """The first line of what a library said, for a message of ours."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Hush transformers' and the hub's own bars and log lines; both are put back afterwards."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_bars = not are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()
