"""The library is built by whatever compiler there is, without what it does not know."""

import platform

import pytest

from finrec_dgl.kernels.build import compile_library, find_compiler
from finrec_dgl.kernels.library import load_library

# refuses instructions for bfloat16 as an old assembler does
OLD = """#!/bin/sh
case "$*" in
    *FINREC_NO_BF16*) ;;
    *bert.cpp*) echo "no such instruction: vdpbf16ps" >&2; exit 1 ;;
esac
exec {compiler} "$@"
"""


@pytest.mark.slow
@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler was found")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="bfloat16 is compiled for x86-64 alone")
def test_without_bfloat16_all_else_is_built(tmp_path, monkeypatch):
    """Catches one old tool that costs a user the whole library."""
    compiler = tmp_path / "old"
    compiler.write_text(OLD.format(compiler=" ".join(find_compiler())))
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    compile_library(tmp_path / "library.so")
    library = load_library(tmp_path / "library.so")
    assert library.handle is not None, library.told
    assert library.handle.finrec_bf16() == 0
