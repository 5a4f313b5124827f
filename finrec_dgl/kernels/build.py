"""Compiles the native library: kernels once for every instruction set, then one library."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "native"
# each compiled for every instruction set
KERNELS = ("kernels", "losses", "messages", "nodes", "ranking", "shares")
NAME = "finrec_kernels.dll" if sys.platform == "win32" else "libfinrec_kernels.so"

_X86 = ("x86_64", "amd64", "i686")
_AVX512 = ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mprefer-vector-width=512")
# instruction set -> flags of the compiler and the width of a vector in bytes
VARIANTS: dict[str, tuple[tuple[str, ...], int]] = {
    "finrec_plain": ((), 16),
    "finrec_avx2": (("-mavx2", "-mfma"), 32),
    "finrec_avx512": (("-mavx2", "-mfma", *_AVX512), 64),
}
VNNI = (*_AVX512, "-mavx512vnni")
_FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-fno-exceptions", "-fno-rtti", "-fvisibility=hidden"),
    "-fno-math-errno",  # else a square root is a call, and no loop with one takes several at once
)


def find_compiler() -> list[str] | None:
    """The words of a C++ compiler that takes GCC's options: of CXX, else the first on the PATH."""
    named = (os.environ.get("CXX"), "g++", "clang++", "c++", sysconfig.get_config_var("CXX"))
    for one in named:
        words = shlex.split(one) if one else []
        if words and shutil.which(words[0]):
            return words
    return None


def compile_library(target: Path, extra: Sequence[str] = ()) -> None:
    """Compile the library to ``target``, with OpenMP where the compiler has it.

    ``extra``: more flags. Raises RuntimeError with what the compiler said, or where there is none.
    """
    compiler = find_compiler()
    if compiler is None:
        raise RuntimeError("no C++ compiler was found: set CXX, or install g++ or clang++")
    try:
        _compile(compiler, target, ("-fopenmp", *extra))
    except RuntimeError:
        _compile(compiler, target, tuple(extra))


def _compile(compiler: Sequence[str], target: Path, extra: Sequence[str]) -> None:
    x86 = platform.machine().lower() in _X86
    common = (*compiler, *_FLAGS, *(("-DFINREC_X86",) if x86 else ()), *extra)
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for name in ("ids", "library", "peers", "rows", "sampling", "slots"):
            objects.append(str(Path(folder) / f"{name}.o"))
            _run([*common, "-c", str(SOURCES / f"{name}.cpp"), "-o", objects[-1]])
        for name, (flags, width) in VARIANTS.items():
            if not x86 and flags:
                continue
            defines = (f"-DFINREC_VARIANT={name}", f"-DFINREC_BYTES={width}")
            for kernel in KERNELS:
                objects.append(str(Path(folder) / f"{kernel}_{name}.o"))
                source = str(SOURCES / f"{kernel}.cpp")
                _run([*common, *flags, *defines, "-c", source, "-o", objects[-1]])
        for name in ("bert", "int8", "texts") if x86 else ():
            objects.append(str(Path(folder) / f"{name}.o"))
            words = [*common, *VNNI, "-c", str(SOURCES / f"{name}.cpp"), "-o", objects[-1]]
            try:
                _run(words)
            except RuntimeError:  # an assembler of before 2019
                _run([*words, "-DFINREC_NO_BF16"])
        made = Path(folder) / target.name
        _run([*common, "-shared", *objects, "-o", str(made)])
        target.parent.mkdir(parents=True, exist_ok=True)
        # whole or absent, even where another process has the old one loaded
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(made, beside)
        os.replace(beside, target)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RuntimeError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
