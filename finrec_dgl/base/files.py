"""Files that are complete or absent: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from finrec_dgl.base.errors import DataError, FinrecError, UsageError


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_failure(path: Path, error: OSError) -> FinrecError:
    return FinrecError(
        f"could not write {path.name}: {error.strerror or error}",
        expected="a folder that can be written to, with room on its disk",
        where=str(path),
        mend="free some space or choose another place; nothing was changed",
    )


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary sibling of ``path``, then move it into place.

    Raises FinrecError where the disk refuses; ``path`` is then as it was before.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        os.chmod(temporary, 0o644)
        _fsync(temporary)
        os.replace(temporary, path)
        _fsync(path.parent)
    except OSError as error:
        raise _write_failure(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def folder_atomically(path: Path, *, marker: str, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes ``path`` when the block ends without error.

    A folder already at ``path`` is replaced only with ``overwrite`` and only where it holds the
    file ``marker`` (one of ours); an empty folder is always fair. Raises UsageError otherwise.
    """
    path = Path(path)
    check_writable_folder(path, marker=marker, overwrite=overwrite)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        os.chmod(temporary, 0o755)
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _fsync(file)
        _fsync(temporary)
        if path.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            os.rename(path, retired / path.name)
            os.rename(temporary, path)
            shutil.rmtree(retired)
        else:
            os.rename(temporary, path)
        _fsync(path.parent)
    except OSError as error:
        raise _write_failure(path, error) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def check_writable_folder(path: Path, *, marker: str, overwrite: bool) -> None:
    """Raise UsageError where ``path`` is something that must not be replaced."""
    path = Path(path)
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise UsageError(
            "the output is a file, not a folder",
            expected="a folder that does not exist yet",
            where=str(path),
            mend="choose another place",
        )
    if not any(path.iterdir()):
        return
    if not (path / marker).is_file():
        raise UsageError(
            f"the output folder holds other files and no {marker}",
            expected="a new or an empty folder",
            where=str(path),
            mend="choose another place",
        )
    if not overwrite:
        raise UsageError(
            "the output folder is already there",
            expected="a new or an empty folder",
            where=str(path),
            mend="choose another place, or pass --overwrite to replace it",
        )


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. NaN and infinity are refused."""
    text = json.dumps(value, indent=2, sort_keys=False, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))


def read_json(path: Path, *, what: str = "file") -> Any:
    """Read a JSON file. Raises DataError where it is absent or not JSON."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"the {what} does not exist", where=str(path)) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"the {what} is not valid JSON: {error}",
            where=str(path),
            mend="make it again; it was changed or cut short since it was written",
        ) from error
    except OSError as error:
        raise DataError(f"the {what} cannot be read: {error.strerror}", where=str(path)) from error


def save_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays as one safetensors file, atomically."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    def write(target: Path) -> None:
        try:
            save_file(contiguous, target, metadata=dict(metadata or {}) or None)
        except SafetensorError as error:  # such as a full disk, which it wraps
            raise OSError(str(error)) from error

    write_atomically(path, write)


def load_arrays(path: Path, *, what: str = "file") -> dict[str, np.ndarray]:
    """Read a safetensors file into named arrays. Raises DataError where it cannot be read."""
    from safetensors.numpy import load_file

    return _readable(path, what, load_file)


def map_arrays(path: Path, *, what: str = "file") -> dict[str, np.ndarray]:
    """The same without reading: parts of the file come into memory as they are looked at.

    What is written into the arrays stays in memory and does not reach the file.
    """
    return _readable(path, what, _mapped)


def _readable(
    path: Path, what: str, load: Callable[[Path], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError

    try:
        return load(path)
    except FileNotFoundError as error:
        raise DataError(f"the {what} does not exist", where=str(path)) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"the {what} is not a readable safetensors file: {error}",
            where=str(path),
            mend="make it again; it was changed or cut short since it was written",
        ) from error


_DTYPES = {
    **{"BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"},
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8"},
}


def _mapped(path: Path) -> dict[str, np.ndarray]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())  # opened, so its header is sound
    content = np.memmap(path, np.uint8, "c")
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8:start].tobytes())
    arrays = {}
    for name in names:
        first, last = header[name]["data_offsets"]
        kind = header[name]["dtype"]
        if kind not in _DTYPES:
            raise ValueError(f"the array {name} is of type {kind}")
        values = np.asarray(content[start + first : start + last]).view(_DTYPES[kind])
        arrays[name] = np.require(values.reshape(header[name]["shape"]), requirements="A")
    return arrays


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
