"""Dropout by native code and by plain PyTorch drops the same, and its gradient does."""

import pytest
import torch
from kernel_relations import needs_native

from finrec_dgl.kernels import dropped
from finrec_dgl.kernels.library import find_library

KERNELS = [pytest.param("native", marks=needs_native), "torch"]


def run(x, share, kernels, seed=0):
    torch.manual_seed(seed)
    out = dropped(x, share, kernels=kernels)
    return out, *torch.autograd.grad(out, x, torch.ones_like(out))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_falls_and_the_mean_stays(kernels, share):
    """Catches another share, rows or columns that fall together, and another scale."""
    x = torch.ones(400, 63, dtype=torch.float64, requires_grad=True)
    out, grad = run(x, share, kernels)
    fell = out == 0
    assert abs(float(fell.double().mean()) - share) < 0.02
    for by in (0, 1):
        spread = fell.double().mean(by).std()
        expected = (share * (1 - share) / fell.shape[by]) ** 0.5
        assert 0.6 * expected < float(spread) < 1.5 * expected
    torch.testing.assert_close(out[~fell], torch.full_like(out[~fell], 1 / (1 - share)))
    assert torch.equal(grad, out)


@pytest.mark.parametrize("kernels", KERNELS)
def test_draws_follow_from_the_generator(kernels):
    """Catches draws that are the same in every step, or that a seed does not fix."""
    x = torch.ones(50, 16, requires_grad=True)
    assert torch.equal(run(x, 0.5, kernels)[0], run(x, 0.5, kernels)[0])
    assert not torch.equal(run(x, 0.5, kernels)[0], run(x, 0.5, kernels, seed=1)[0])
    torch.manual_seed(0)
    assert not torch.equal(*(dropped(x, 0.5, kernels=kernels) for _ in range(2)))
    assert dropped(x, 0.0, kernels=kernels) is x


@needs_native
@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (3, 5), (7, 16), (100, 33)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_agree(shape, dtype):
    """Catches another hash, the end of an array left out, and rows that are not contiguous."""
    x = torch.randn(*shape, dtype=dtype).T.requires_grad_()
    for one, other in zip(run(x, 0.3, "native"), run(x, 0.3, "torch"), strict=True):
        torch.testing.assert_close(one, other)


@needs_native
def test_levels_and_threads_change_no_bit(monkeypatch):
    """Catches draws by place within a thread's part, or by lane."""
    library = find_library()
    x = torch.randn(300, 64, requires_grad=True)
    expected = run(x, 0.3, "native")
    before = torch.get_num_threads()
    try:
        for level in range(library.level + 1):
            monkeypatch.setattr(
                "finrec_dgl.kernels.dropout.find_library",
                lambda level=level: type(library)(library.handle, "", level),
            )
            for threads in (1, 3):
                torch.set_num_threads(threads)
                assert all(map(torch.equal, run(x, 0.3, "native"), expected))
    finally:
        torch.set_num_threads(before)
