"""Runs commands in this process and keeps what they said apart: exit code, stdout, stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from finrec_dgl.cli import main


@dataclass(frozen=True)
class Said:
    """What one command line led to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; fails where there is anything else beside it."""
        return json.loads(self.out)


Finrec = Callable[..., Said]


@pytest.fixture
def finrec(capsys: pytest.CaptureFixture[str]) -> Finrec:
    """``finrec("train", "data", "run")`` runs that command line through the real ``main``."""

    def call(*argv: object) -> Said:
        capsys.readouterr()
        code = main([str(one) for one in argv])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call
