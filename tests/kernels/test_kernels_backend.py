"""Who does the arithmetic: what is asked for, what there is, and what is said where it is not."""

import pytest
import torch
from kernel_relations import needs_native, random_edges, random_inputs

from finrec_dgl.base.config import from_mapping
from finrec_dgl.base.errors import ConfigError, FinrecError, UsageError
from finrec_dgl.cli.doctor import native_kernels
from finrec_dgl.kernels import attend, backend, choose, edges, library
from finrec_dgl.kernels.library import Library, load_library
from finrec_dgl.nn import HybridConfig

ABSENT = Library(None, "not built: no C++ compiler when this package was installed")


@pytest.fixture
def no_library(monkeypatch):
    """As it is where the package was installed without a compiler."""
    for module in (backend, edges, library):
        monkeypatch.setattr(module, "find_library", lambda: ABSENT)


@needs_native
def test_native_code_is_taken_where_it_can_be():
    """Catches a setting that is not heeded, or types that native code has nothing for."""
    for dtype in (torch.float32, torch.float64):
        one = torch.zeros(2, dtype=dtype)
        assert choose("auto", one) == choose("native", one) == "native"
        assert choose("torch", one) == "torch"
        assert choose("dgl", one) == "dgl"
    assert choose("auto", torch.zeros(2, dtype=torch.bfloat16)) == "torch"
    assert choose("native", torch.zeros(2, device="meta")) == "torch"
    brief = torch.zeros(2, dtype=torch.bfloat16)
    assert choose("auto", torch.zeros(2), rows=brief) == choose("auto", rows=brief) == "native"
    assert choose("auto", torch.zeros(2).double(), rows=brief) == "torch"
    assert choose("auto", brief, rows=brief) == "torch"
    assert choose("auto", torch.zeros(2), torch.zeros(2).double()) == "torch"


def test_without_the_library_all_works_but_asking_for_it(no_library):
    """Catches an installation without a compiler that cannot run the model."""
    relation = random_edges(6, 4, 20)
    inputs, _ = random_inputs(relation, 2, 3)
    assert choose("auto", *inputs) == "dgl"
    found = attend(relation, *inputs)
    torch.testing.assert_close(found, attend(relation, *inputs, kernels="torch"))
    with pytest.raises(UsageError, match="no C\\+\\+ compiler"):
        attend(relation, *inputs, kernels="native")
    with pytest.raises(FinrecError, match="cannot be used"):
        library.find_library().call("finrec_sum_f32")


def test_an_unknown_name_is_refused_and_a_missing_one_is_auto():
    """Catches a typing error that is passed over, and saved configurations that no longer load."""
    with pytest.raises(ConfigError, match="did you mean 'native'"):
        choose("nativ", torch.zeros(2))
    with pytest.raises(ConfigError, match="kernels is 'cuda'"):
        HybridConfig(kernels="cuda")
    assert from_mapping(HybridConfig, {}).kernels == "auto"


def test_a_library_that_cannot_be_used_is_told_of(tmp_path):
    """Catches a crash where the file is absent, broken, or not ours."""
    assert "not built" in load_library(tmp_path / "absent.so").told
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF no more")
    found = load_library(broken)
    assert found.handle is None
    assert "broken.so" in found.told


@needs_native
def test_a_library_of_another_interface_is_not_called(monkeypatch):
    """Catches arguments read as what they are not, after an update without a new build."""
    path = library.find_library().handle._name
    monkeypatch.setattr(library, "_INTERFACE", 0)
    found = load_library(library.Path(path))
    assert found.handle is None
    assert "expected 0" in found.told


def test_the_doctor_tells_who_computes_and_why(monkeypatch):
    """Catches a slow installation that nobody is told of."""
    monkeypatch.setattr(library, "find_library", lambda: ABSENT)
    (check,) = native_kernels()
    assert check.status == "warning"
    assert "no C++ compiler" in check.found
    assert "g++" in str(check.mend)
    monkeypatch.setattr(library, "find_library", lambda: Library(object(), "AVX2, OpenMP", 1))
    (check,) = native_kernels()
    assert (check.status, check.found) == ("ok", "native: AVX2, OpenMP")
