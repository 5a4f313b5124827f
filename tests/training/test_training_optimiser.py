"""Adam by rows: against PyTorch's own, dense and sparse, and clipping against PyTorch's."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from finrec_dgl.kernels.library import Library, find_library
from finrec_dgl.training import optimiser as moving
from finrec_dgl.training.optimiser import RowAdam, clip_gradients

native = pytest.mark.skipif(find_library().handle is None, reason=find_library().told)


def trained(optimiser: type[torch.optim.Optimizer], *, sparse: bool, rows: int) -> torch.Tensor:
    torch.manual_seed(0)
    table = torch.nn.Parameter(torch.randn(12, 5, dtype=torch.float64))
    moved = optimiser([table], lr=0.03)
    for step in range(7):
        generator = torch.Generator().manual_seed(step)
        ids = torch.randperm(12, generator=generator)[:rows]
        ids = torch.cat([ids, ids[:2]])  # some twice
        moved.zero_grad()
        functional.embedding(ids, table, sparse=sparse).pow(3).sum().backward()
        moved.step()
    return table.detach()


def test_every_row_in_every_step_is_plain_adam():
    """Catches a moment, a correction or a step that differs from Adam's."""
    torch.testing.assert_close(
        trained(RowAdam, sparse=True, rows=12), trained(torch.optim.Adam, sparse=False, rows=12)
    )
    torch.testing.assert_close(
        trained(RowAdam, sparse=False, rows=4), trained(torch.optim.Adam, sparse=False, rows=4)
    )


def test_a_step_imports_no_compiler():
    """Catches the two seconds that PyTorch's own optimisers add to the start of each training."""
    code = (
        "import sys, torch; from finrec_dgl.training.optimiser import RowAdam\n"
        "one = torch.nn.Parameter(torch.zeros(3)); moved = RowAdam([one], lr=0.1)\n"
        "one.sum().backward(); moved.step(); moved.zero_grad()\n"
        "moved.load_state_dict(moved.state_dict()); assert one.abs().sum() > 0\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_its_state_is_that_of_adam():
    """Catches a checkpoint that cannot be gone on with, or a state without a moment."""
    one = torch.nn.Parameter(torch.ones(3))
    mine, theirs = RowAdam([one], lr=0.1), torch.optim.Adam([one], lr=0.1)
    one.pow(2).sum().backward()
    mine.step()
    theirs.step()
    found, expected = (other.state_dict()["state"][0] for other in (mine, theirs))
    assert found.keys() == expected.keys()
    again = RowAdam([one], lr=0.1)
    again.load_state_dict(mine.state_dict())
    assert again.state_dict()["state"][0].keys() == found.keys()


def test_some_rows_are_moved_as_sparse_adam_moves_them():
    """Catches rows that move without a gradient, and repeated rows that count once."""
    # SparseAdam has its epsilon before the correction, and so differs by a little
    torch.testing.assert_close(
        trained(RowAdam, sparse=True, rows=4),
        trained(torch.optim.SparseAdam, sparse=True, rows=4),
        rtol=1e-3,
        atol=1e-4,
    )


@native
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("size", "width"), [(1, 1), (40, 3), (40, 16), (300, 37), (300, 128)])
def test_native_code_moves_rows_as_pytorch_does(size, width, threads, monkeypatch):
    """Catches a row left out, moved twice or by another's gradient, at odd widths too."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    found = []
    for library in (find_library(), Library(None, "not to be used")):
        monkeypatch.setattr(moving, "find_library", lambda library=library: library)
        torch.manual_seed(0)
        table = torch.nn.Parameter(torch.randn(size, width))
        optimiser = RowAdam([table], lr=0.03)
        for rows in (size, 0, 1, size // 2):
            optimiser.zero_grad()
            ids = torch.randint(size, (rows,))
            functional.embedding(ids, table, sparse=True).pow(3).sum().backward()
            optimiser.step()
        state = optimiser.state[table]
        found.append((table.detach(), state["exp_avg"], state["exp_avg_sq"]))
    torch.set_num_threads(before)
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_its_state_can_be_stored_and_goes_on():
    """Catches moments of rows that a checkpoint does not hold."""
    table = torch.nn.Parameter(torch.ones(4, 2))
    optimiser = RowAdam([table], lr=0.1)
    functional.embedding(torch.tensor([1, 3]), table, sparse=True).sum().backward()
    optimiser.step()
    state = optimiser.state_dict()["state"][0]
    assert set(state) == {"step", "exp_avg", "exp_avg_sq"}
    assert state["exp_avg"].count_nonzero() == 4
    assert table[0, 0] == 1.0
    assert table[1, 0] < 1.0


@pytest.mark.parametrize("most", [0.01, 1e6])
def test_clipping_counts_sparse_gradients(most):
    """Catches a norm that leaves out sparse gradients, or counts a repeated row twice."""
    found = []
    for sparse in (False, True):
        torch.manual_seed(1)
        table = torch.nn.Parameter(torch.randn(9, 3))
        other = torch.nn.Parameter(torch.randn(4))
        rows = functional.embedding(torch.tensor([2, 5, 2]), table, sparse=sparse)
        (rows.square().sum() + other.square().sum()).backward()
        if sparse:
            clip_gradients([table, other], most)
        else:
            torch.nn.utils.clip_grad_norm_([table, other], most)
        grad = table.grad.to_dense() if sparse else table.grad
        found.append((grad, other.grad))
    for dense, by_rows in zip(*found, strict=True):
        torch.testing.assert_close(dense, by_rows)
