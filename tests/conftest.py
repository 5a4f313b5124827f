"""What every test stands on: one thread, no network, a vector cache of its own, the real data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# before torch, NumPy or a tokenizer is imported: workers of pytest-xdist share the cores already
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from hypothesis import settings  # noqa: E402

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def vector_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A vector cache that no other run has written to, shared by the tests of this one."""
    place = tmp_path_factory.mktemp("vectors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINREC_DGL_CACHE", str(place))
        yield place


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the public data sets; skips where they are not on this machine."""
    place = Path(os.environ.get("FINREC_DGL_DATA") or ROOT.parent / "shared" / "data")
    if not place.is_dir():
        pytest.skip(f"no public data sets in {place}; set FINREC_DGL_DATA to their folder")
    return place
