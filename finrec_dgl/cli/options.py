"""Turns the words of options into values: lists of columns, lists of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from finrec_dgl.base.errors import UsageError

Device = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda|cuda:N", help="Where to compute; auto: a GPU if any."),
]


def names(text: str | None) -> tuple[str, ...] | None:
    """``("a", "b")`` of "a, b"; None of None; the empty tuple of the empty string."""
    if text is None:
        return None
    return tuple(one.strip() for one in text.split(",") if one.strip())


def integers(texts: Sequence[str], option: str) -> list[int]:
    """``[10, 20, 50]`` of ``["10,20", "50"]``. Raises UsageError that names ``option``."""
    try:
        return [int(word) for word in ",".join(texts).split(",")]
    except ValueError:
        raise UsageError(
            f"{', '.join(texts)!r} is not a list of whole numbers",
            expected="numbers such as 10 or 10,20",
            where=option,
        ) from None


def numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """``(0.0, 0.5)`` of ``"0,0.5"``; None of None. Raises UsageError that names ``option``."""
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"{text!r} is not a list of numbers",
            expected="numbers such as 0.5 or 0,0.5",
            where=option,
        ) from None
