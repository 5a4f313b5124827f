"""Arrays of a file: mapped ones are those that reading gives, and never reach the file."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import load_arrays, map_arrays, sha256

KINDS = (np.bool_, np.int8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64)


def test_mapped_arrays_are_those_that_are_read(tmp_path):
    """Catches a wrong type, shape or place in the file, and memory that PyTorch warns of."""
    rng = np.random.default_rng(0)
    arrays = {
        f"{kind.__name__} {shape}": rng.integers(0, 2, shape).astype(kind)
        for kind in KINDS
        for shape in ((0,), (7,), (3, 5), (2, 0))
    }
    path = tmp_path / "arrays.safetensors"
    save_file(arrays, path)
    before = sha256(path)
    mapped, loaded = map_arrays(path), load_arrays(path)
    assert set(mapped) == set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert mapped[name].dtype == array.dtype
        np.testing.assert_array_equal(mapped[name], array)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            torch.from_numpy(mapped[name])
        mapped[name][...] = 0
    assert sha256(path) == before


def test_what_cannot_be_mapped_is_told(tmp_path):
    """Catches a file that is absent, cut short or no safetensors at all and ends in a traceback."""
    path = tmp_path / "arrays.safetensors"
    with pytest.raises(DataError, match="does not exist"):
        map_arrays(path, what="data set's file")
    save_file({"one": np.arange(9)}, path)
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:20], b"", b"no header at all"):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="not a readable safetensors file"):
            map_arrays(path)
