"""Polynomials of a graph's Laplacian by Chebyshev's recurrence, and ChebyCF's plateau."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

A = TypeVar("A")


def plateau(x: np.ndarray, flatness: float) -> np.ndarray:
    """Evaluate the target response of ChebyCF.

    Parameters
    ----------
    x : ndarray of float64
        Eigenvalues of the scaled Laplacian, from -1 to 1.
    flatness
        The power of the plateau.

    Returns
    -------
    ndarray of float64
        From 1 at -1 to 0 at 1, near 1/2 between them.
    """
    return np.asarray(0.5 * (1 - np.sign(x) * np.abs(x) ** flatness))


def plateau_coefficients(order: int, flatness: float) -> np.ndarray:
    """Interpolate ``plateau`` at the roots of the Chebyshev polynomial of degree ``order`` + 1.

    Parameters
    ----------
    order
        The degree of the interpolating polynomial.
    flatness
        The power of the plateau.

    Returns
    -------
    ndarray of float64, shape [order + 1]
        Its coefficients in Chebyshev polynomials of the first kind.
    """
    count = order + 1
    angles = (np.arange(count) + 0.5) * np.pi / count
    bases = np.cos(np.arange(count)[:, None] * angles)
    coefficients = 2 / count * (bases @ plateau(np.cos(angles), flatness))
    coefficients[0] /= 2
    return np.asarray(coefficients)


def chebyshev_sum(operator: Callable[[A], A], signal: A, coefficients: np.ndarray) -> A:
    """Apply a polynomial of a linear operator by the three-term recurrence.

    Parameters
    ----------
    operator : callable
        Maps an array like ``signal`` to another; its eigenvalues are from -1 to 1.
    signal : ndarray or Tensor of float32, shape [n, B]
        What the polynomial is applied to; left as it is.
    coefficients : ndarray of float64, shape [K + 1]
        In Chebyshev polynomials of the first kind; K at least 1.

    Returns
    -------
    ndarray or Tensor of float32, shape [n, B]
        The sum of ``coefficients[k]`` T_k(operator) ``signal``.
    """
    weights = coefficients.tolist()  # Python numbers leave float32 as it is
    before: Any = signal
    current: Any = operator(signal)
    total: Any = weights[0] * before + weights[1] * current
    for weight in weights[2:]:
        after: Any = operator(current)
        before, current = current, 2 * after - before
        total += weight * current
    found: A = total
    return found
