"""Matrices of who holds what, for filters in closed form."""

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st


@st.composite
def matrices(draw, most=9):
    """Sparse [n, m] of ones, empty and full ones among them."""
    n, m = draw(st.integers(1, most)), draw(st.integers(1, most))
    share = draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return sp.csr_array((rng.random((n, m)) < share).astype(np.float32))


def held(seed=0, users=40, items=7):
    rng = np.random.default_rng(seed)
    return sp.csr_array((rng.random((users, items)) < 0.4).astype(np.float32))
