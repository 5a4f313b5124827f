"""The native library under AddressSanitizer and UndefinedBehaviorSanitizer, at random shapes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from finrec_dgl.kernels.build import compile_library, find_compiler

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g1")
DRIVER = Path(__file__).with_name("sanitize.cpp")


@pytest.mark.slow
def test_no_kernel_reads_or_writes_past_its_arrays(tmp_path):
    """Catches an index out of bounds or undefined arithmetic that happens to give right numbers."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler was found")
    trial = tmp_path / "trial.cpp"
    trial.write_text("int main() { return 0; }\n")
    command = [*compiler, "-std=c++17", *FLAGS, "-o", str(tmp_path / "trial")]
    if subprocess.run([*command, str(trial)], capture_output=True, check=False).returncode:
        pytest.skip("the C++ compiler has no sanitizers")
    library = tmp_path / "libkernels.so"
    compile_library(library, FLAGS)
    command[-1] = str(tmp_path / "driver")
    command += [str(DRIVER), str(library), f"-Wl,-rpath,{tmp_path}"]
    subprocess.run(command, check=True)
    # a library loaded before the sanitizer's own would make it refuse to start
    environment = {name: text for name, text in os.environ.items() if name != "LD_PRELOAD"}
    said = subprocess.run(
        [str(tmp_path / "driver")], capture_output=True, text=True, check=False, env=environment
    )
    assert said.returncode == 0, said.stderr[-4000:]
    by_level = 3 * (8 * 7 * 5 + 5 * 7 + 2 * 7 + 4 * 3)
    assert int(said.stdout) == by_level + 6 + 5 * 5 + 4 * 3 * 3 + 4 * 3 * 6 * 3 + 3 * 3 * 5
