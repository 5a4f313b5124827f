"""The one place where DGL is imported, so that it works on PyTorch releases it has no library for.

DGL 2.1 loads a GraphBolt library named after the exact PyTorch release, and ships one for 2.0.0 to
2.2.1 only; it also reads ``setuptools.extern``, which newer setuptools no longer have. Nothing else
in it depends on PyTorch's version. Where the matching library is absent, a stand-in takes the place
of ``dgl.graphbolt`` before DGL is imported; a DGL made for the installed PyTorch is left alone.

Every other module writes ``from finrec_dgl.graph.backend import dgl``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import types
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from finrec_dgl.base.errors import FinrecError

_STAND_IN_MARK = "__finrec_dgl_stand_in__"


@dataclass(frozen=True)
class GraphBackend:
    """Which DGL is in use: its version, PyTorch's, and whether GraphBolt is DGL's own."""

    dgl: str
    torch: str
    graphbolt: str  # "own": DGL's library matches PyTorch; "stand-in": it has none for this PyTorch


def graphbolt_library(folder: Path, torch_version: str, platform: str = sys.platform) -> Path:
    """Where a DGL in ``folder`` keeps the GraphBolt library for ``torch_version``."""
    release = torch_version.split("+", maxsplit=1)[0]
    if platform.startswith("win"):
        name = f"graphbolt_pytorch_{release}.dll"
    elif platform.startswith("darwin"):
        name = f"libgraphbolt_pytorch_{release}.dylib"
    else:
        name = f"libgraphbolt_pytorch_{release}.so"
    return folder / "graphbolt" / name


def stand_in(torch_version: str) -> types.ModuleType:
    """A module for ``dgl.graphbolt``: a dummy for DGL's isinstance checks, errors for the rest."""
    module = types.ModuleType("dgl.graphbolt")
    module.__doc__ = "Stands in for dgl.graphbolt, which has no library for this PyTorch."
    setattr(module, _STAND_IN_MARK, True)
    # dgl.distributed asks isinstance(graph, FusedCSCSamplingGraph)
    module.FusedCSCSamplingGraph = type("FusedCSCSamplingGraph", (), {})  # type: ignore[attr-defined]

    def refuse(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(
            f"dgl.graphbolt.{name} needs DGL's GraphBolt library, which this DGL does not have for "
            f"PyTorch {torch_version}; use dgl.dataloading, or install a DGL made for this PyTorch"
        )

    module.__getattr__ = refuse  # type: ignore[method-assign]
    return module


def _alias_setuptools_packaging() -> None:
    try:
        importlib.import_module("setuptools.extern.packaging")
    except ImportError:
        extern = types.ModuleType("setuptools.extern")
        packaging = importlib.import_module("packaging")
        extern.packaging = packaging  # type: ignore[attr-defined]
        sys.modules.setdefault("setuptools.extern", extern)
        sys.modules.setdefault("setuptools.extern.packaging", packaging)
        importlib.import_module("packaging.version")


@lru_cache(maxsize=1)
def _import_dgl() -> tuple[Any, GraphBackend]:
    import torch

    spec = importlib.util.find_spec("dgl")
    if spec is None or not spec.submodule_search_locations:
        raise FinrecError(
            "DGL is not installed, and this needs it", mend='pip install "dgl>=2.1,<2.5"'
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    version = str(torch.__version__)
    own = graphbolt_library(folder, version).exists()
    if "dgl" not in sys.modules and not own:
        sys.modules["dgl.graphbolt"] = stand_in(version)
        _alias_setuptools_packaging()
    # else DGL writes its choice of backend to the user's home and says so on stdout
    os.environ.setdefault("DGLBACKEND", "pytorch")
    with warnings.catch_warnings():
        # DGL registers its autograd functions under PyTorch's former name of the decorator, and
        # its docstrings hold backslashes that newer Pythons warn of
        warnings.simplefilter("ignore")
        module = importlib.import_module("dgl")
    in_use = sys.modules.get("dgl.graphbolt")
    kind = "stand-in" if getattr(in_use, _STAND_IN_MARK, False) else "own"
    if kind == "stand-in":
        # what an import of the submodule would have done
        vars(module)["graphbolt"] = in_use
    return module, GraphBackend(str(module.__version__), version, kind)


class _WhenNeeded:
    """DGL, imported when something of it is first asked for.

    The import takes a second, most of it for data sets that DGL could download; a command that
    passes no message by DGL should not wait for it.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(_import_dgl()[0], name)


dgl: Any = _WhenNeeded()


@lru_cache(maxsize=1)
def dgl_version() -> str | None:
    """Which DGL is installed, without importing it; None where there is none."""
    if importlib.util.find_spec("dgl") is None:
        return None
    try:
        return importlib.metadata.version("dgl")
    except importlib.metadata.PackageNotFoundError:  # a folder on the path, not a package
        return str(describe_backend().dgl)


def describe_backend() -> GraphBackend:
    """Which DGL this process uses. Raises FinrecError where it is not installed."""
    return _import_dgl()[1]
