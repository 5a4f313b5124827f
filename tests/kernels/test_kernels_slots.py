"""Messages at slots, best items and distinct candidates: by dense matrices and by both kernels."""

import contextlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_relations import needs_native
from peer_queries import ragged, some

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.kernels import slots as slots_module
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.kernels.slots import SparseRows, distinct_slots, slot_sum, slot_top

each_kernel = pytest.mark.parametrize(
    "kernels", [pytest.param("native", marks=needs_native), "torch"]
)


@contextlib.contextmanager
def threads(count):
    """As many threads of PyTorch for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass
class Case:
    """Arguments of ``slot_sum``, and gradients of what it returns."""

    rows: Ragged
    weight: torch.Tensor
    matrix: SparseRows
    slots: torch.Tensor
    seen: Ragged
    to_out: torch.Tensor
    to_total: torch.Tensor

    def sum(self, weight=None, kernels="auto"):
        """What ``slot_sum`` returns, for another weight."""
        weight = self.weight if weight is None else weight
        return slot_sum(self.rows, weight, self.matrix, self.slots, self.seen, kernels)

    def dense(self):
        """The matrix of each head, double [heads, rows, items]."""
        heads, n_rows = len(self.weight), len(self.matrix)
        made = torch.zeros(heads, n_rows, self.matrix.width, dtype=torch.float64)
        row = torch.repeat_interleave(torch.arange(n_rows), self.matrix.indptr.diff())
        values = self.matrix.values
        values = torch.ones(len(row)) if values is None else values
        made[:, row, self.matrix.indices.long()] = values.double()
        return made

    def by_dense(self, weight):
        """The same from an array of all items."""
        n, width = len(self.rows), self.matrix.width
        outs, totals = [], []
        for b in range(n):
            entries = slice(*self.rows.indptr[b : b + 2].tolist())
            row = self.rows.values[entries].long()
            there = row >= 0
            messages = torch.einsum(
                "le,lei->li", weight[:, entries][:, there], self.dense()[:, row[there]]
            )
            slot = self.slots[b].long()
            outs.append(messages[:, slot.clamp(min=0)] * (slot >= 0))
            unseen = torch.ones(width, dtype=torch.bool)
            unseen[self.seen.values[slice(*self.seen.indptr[b : b + 2].tolist())].long()] = False
            totals.append(messages[:, unseen].sum(1))
        heads = len(weight)
        if not n:
            return weight.new_zeros(0, heads, self.slots.shape[1]), weight.new_zeros(0, heads)
        return torch.stack(outs), torch.stack(totals)


def random_case(n, n_rows, width, columns, heads, kind, *, exact=False, seed=0, most=5):
    """Rows of seeds, some empty and some entries -1; slots that repeat; seen items.

    ``kind``: values of the matrix, "ones", "shared" by heads or "apart". ``exact``: numbers whose
    sums are exact in any order, of few values, so that many tie.
    """
    rng = np.random.default_rng(seed)

    def numbers(*shape):
        if exact:
            return torch.from_numpy(rng.choice([-1.0, 0.5, 1.0, 2.0], shape).astype(np.float32))
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32))

    rows = [rng.integers(-1, n_rows, rng.integers(0, most + 1)).tolist() for _ in range(n)]
    matrix = ragged([some(rng, most, width) for _ in range(n_rows)])
    entries = len(matrix.values)
    values = {"ones": None, "shared": numbers(entries), "apart": numbers(heads, entries)}[kind]
    return Case(
        rows=ragged(rows),
        weight=numbers(heads, sum(map(len, rows))),
        matrix=SparseRows(matrix.indptr, matrix.values, values, width),
        slots=torch.from_numpy(rng.integers(-1, width, (n, columns)).astype(np.int32)),
        seen=ragged([some(rng, 4, width) for _ in range(n)]),
        to_out=numbers(n, heads, columns),
        to_total=numbers(n, heads),
    )


kinds = st.sampled_from(["ones", "shared", "apart"])
cases = st.builds(
    random_case,
    n=st.integers(0, 5),
    n_rows=st.integers(1, 7),
    width=st.integers(1, 9),
    columns=st.integers(0, 12),
    heads=st.integers(1, 6),
    kind=kinds,
    seed=st.integers(0, 9_999),
)


@each_kernel
@settings(max_examples=150, deadline=None)
@given(case=cases)
def test_messages_and_gradients_by_dense_matrices(kernels, case):
    """Catches an entry of -1 that sends, a seen item in the total, a slot of another item, head or
    seed, marks left over from the seed before, and a gradient that is not the transpose's."""
    weight = case.weight.clone().requires_grad_()
    found = case.sum(weight, kernels)
    wanted = case.weight.double().requires_grad_()
    expected = case.by_dense(wanted)
    gradients = (case.to_out, case.to_total)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)
    if not len(case.rows):
        return
    (mine,) = torch.autograd.grad(found, weight, gradients)
    (theirs,) = torch.autograd.grad(expected, wanted, tuple(one.double() for one in gradients))
    torch.testing.assert_close(mine.double(), theirs, rtol=1e-5, atol=1e-5)


@each_kernel
def test_a_gradient_of_one_of_both_alone(kernels):
    """Catches an output without a gradient whose gradient is then whatever is in memory."""
    case = random_case(4, 6, 9, 7, 3, "shared", seed=2)
    for number, gradient in enumerate((case.to_out, case.to_total)):
        found = []
        for weight in (case.weight.clone(), case.weight.double()):
            weight.requires_grad_()
            made = case.sum(weight, kernels) if len(found) == 0 else case.by_dense(weight)
            (one,) = torch.autograd.grad(made[number], weight, gradient.to(weight.dtype))
            found.append(one.double())
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_the_gradient_is_that_of_the_formula():
    """Catches a gradient that only looks right: by differences in double precision."""
    for kind in ("ones", "shared", "apart"):
        case = random_case(3, 5, 6, 5, 2, kind, seed=4)
        assert torch.autograd.gradcheck(case.sum, case.weight.double().requires_grad_())


@needs_native
@settings(max_examples=100, deadline=None)
@given(case=cases)
def test_both_kernels_give_the_same_numbers(case):
    """Catches a difference beyond rounding, of values and gradients in single precision."""
    outs, grads = [], []
    for kernels in ("native", "torch"):
        weight = case.weight.clone().requires_grad_()
        outs.append(case.sum(weight, kernels))
        grads += torch.autograd.grad(outs[-1], weight, (case.to_out, case.to_total))
    torch.testing.assert_close(*outs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-5)


@each_kernel
def test_seen_items_keep_their_messages_in_slots(kernels):
    """Catches a seen item whose message is lost, or counted once for each time it is named."""
    case = Case(
        rows=ragged([[0, -1, 1]]),
        weight=torch.tensor([[2.0, 100.0, 3.0]], requires_grad=True),
        matrix=SparseRows(
            torch.tensor([0, 2, 4]), torch.tensor([0, 1, 1, 3], dtype=torch.int32), None, 4
        ),
        slots=torch.tensor([[1, 0, -1, 1, 2]], dtype=torch.int32),
        seen=ragged([[1, 1]]),
        to_out=torch.empty(0),
        to_total=torch.empty(0),
    )
    out, total = case.sum(case.weight, kernels)
    assert out.tolist() == [[[5.0, 2.0, 0.0, 5.0, 0.0]]]
    assert total.tolist() == [[5.0]]
    given = (torch.tensor([[[1.0, 10.0, 100.0, 1000.0, 5.0]]]), torch.tensor([[0.5]]))
    (found,) = torch.autograd.grad((out, total), case.weight, given)
    assert found.tolist() == [[1011.5, 0.0, 1001.5]]


@needs_native
@pytest.mark.parametrize("kind", ["ones", "shared", "apart"])
def test_tensors_that_are_not_contiguous(kind):
    """Catches native code that reads a transposed or cut tensor as it lies in memory."""
    case = random_case(4, 6, 9, 7, 2, kind, seed=5)
    weight = case.weight.clone().requires_grad_()
    expected = case.sum(weight, "torch")
    (to_weight,) = torch.autograd.grad(expected, weight, (case.to_out, case.to_total))

    def odd(one):
        return torch.stack([one, one], dim=-1)[..., 0]

    values = case.matrix.values
    if values is not None:
        values = odd(values)
    case.matrix = SparseRows(case.matrix.indptr, case.matrix.indices, values, 9)
    case.slots = odd(case.slots)
    assert not case.slots.is_contiguous()
    weight = odd(case.weight).requires_grad_()
    found = case.sum(weight, "native")
    torch.testing.assert_close(found, expected)
    (mine,) = torch.autograd.grad(found, weight, (odd(case.to_out), odd(case.to_total)))
    torch.testing.assert_close(mine, to_weight)


@each_kernel
def test_one_row_of_values_is_that_of_every_head(kernels):
    """Catches native code that reads the values of later heads past the end of the array."""
    case = random_case(4, 6, 9, 7, 3, "shared", seed=5)
    expected = case.sum(kernels=kernels)
    matrix = case.matrix
    case.matrix = SparseRows(matrix.indptr, matrix.indices, matrix.values.unsqueeze(0), 9)
    torch.testing.assert_close(case.sum(kernels=kernels), expected)


def test_other_types_are_summed_by_pytorch(monkeypatch):
    """Catches native code that reads doubles as floats."""
    case = random_case(4, 6, 9, 7, 2, "shared", seed=5)
    expected = case.sum(kernels="torch")
    top = slot_top(case.rows, case.weight[0], case.matrix, case.seen, 3, "torch")

    def refuse():
        raise AssertionError("native code was called")

    monkeypatch.setattr(slots_module, "find_library", refuse)
    found = case.sum(case.weight.double())
    assert found[0].dtype == torch.float64
    torch.testing.assert_close([one.float() for one in found], list(expected))
    assert torch.equal(slot_top(case.rows, case.weight[0].double(), case.matrix, case.seen, 3), top)
    with pytest.raises(ConfigError, match="did you mean 'native'"):
        case.sum(kernels="nativ")


# ---- the best items


@each_kernel
@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 5),
    width=st.integers(1, 12),
    kind=st.sampled_from(["ones", "shared"]),
    k=st.integers(0, 14),
    seed=st.integers(0, 9_999),
)
def test_best_items_by_dense_sorting(kernels, n, width, kind, k, seed):
    """Catches a seen item, one without a message or with one below 0, ties that are broken
    otherwise, and an order that is not that of the messages."""
    case = random_case(n, 6, width, 0, 1, kind, exact=True, seed=seed)
    found = slot_top(case.rows, case.weight[0], case.matrix, case.seen, k, kernels)
    assert (found.dtype, found.shape) == (torch.int32, (n, k))
    case.slots = torch.arange(width, dtype=torch.int32).expand(n, -1)
    messages = case.by_dense(case.weight.double())[0][:, 0].numpy()
    for b in range(n):
        seen = case.seen.values[slice(*case.seen.indptr[b : b + 2].tolist())].long().numpy()
        messages[b, seen] = 0.0
        order = np.argsort(-messages[b], kind="stable")
        expected = [item for item in order.tolist() if messages[b, item] > 0][:k]
        assert found[b].tolist() == expected + [-1] * (k - len(expected))


# ---- distinct candidates


@each_kernel
@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 4),
    widths=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    shared=st.integers(0, 9),
    largest=st.sampled_from([3, 20, 2**31 - 2]),
    seed=st.integers(0, 9_999),
)
def test_distinct_candidates_by_loops(kernels, n, widths, shared, largest, seed):
    """Catches a first place that is lost, a repeat in another part that stays, -1 taken for an
    item, and a part of all rows that is given to one."""
    rng = np.random.default_rng(seed)

    def candidates(*shape):
        return torch.from_numpy(rng.integers(-1, largest, shape, endpoint=True).astype(np.int32))

    parts = [candidates(n, width) for width in widths]
    parts.insert(1, candidates(shared))
    before = [one.clone() for one in parts]
    found = distinct_slots(parts, kernels)
    assert (found.dtype, found.shape) == (torch.int32, (n, sum(widths) + shared))
    for b in range(n):
        row = [i for one in parts for i in (one[b] if one.dim() == 2 else one).tolist()]
        expected = [-1 if item in row[:c] else item for c, item in enumerate(row)]
        assert found[b].tolist() == expected
    assert all(map(torch.equal, parts, before))


@each_kernel
def test_a_lone_list_is_not_written_to(kernels):
    """Catches repeats that are taken out of the caller's own tensor."""
    given = torch.tensor([[4, 4, -1, 4], [1, 2, 1, 3]], dtype=torch.int32)
    found = distinct_slots([given], kernels)
    assert given.tolist() == [[4, 4, -1, 4], [1, 2, 1, 3]]
    assert found.tolist() == [[4, -1, -1, -1], [1, 2, -1, 3]]


# ---- all of them


@needs_native
@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("kind", ["ones", "shared", "apart"])
def test_the_number_of_threads_changes_no_bit(n, kind):
    """Catches sums whose order hangs on who computes them, and rows that no thread takes."""
    case = random_case(n, 60, 90, 40, 5, kind, seed=n, most=30)
    matrix = case.matrix
    if kind == "apart":
        matrix = SparseRows(matrix.indptr, matrix.indices, matrix.values[0], matrix.width)

    def results():
        weight = case.weight.clone().requires_grad_()
        out, total = case.sum(weight, "native")
        return (
            out.detach(),
            total.detach(),
            *torch.autograd.grad((out, total), weight, (case.to_out, case.to_total)),
            slot_top(case.rows, case.weight[0], matrix, case.seen, 20, "native"),
            distinct_slots([case.slots, torch.arange(9, dtype=torch.int32)], "native"),
        )

    found = []
    for count in (1, 2, 3):
        with threads(count):
            found.append(results())
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert torch.equal(one, two)


@each_kernel
@pytest.mark.parametrize("n", [0, 2])
def test_nothing_to_read_is_no_error(kernels, n):
    """Catches a matrix without entries, or seeds without any, that are read all the same."""
    nothing = ragged([[]] * n)
    matrix = SparseRows(
        torch.zeros(1, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), None, 3
    )
    slots = torch.full((n, 4), 2, dtype=torch.int32)
    weight = torch.zeros(2, 0, requires_grad=True)
    out, total = slot_sum(nothing, weight, matrix, slots, nothing, kernels)
    assert (out.shape, total.shape) == ((n, 2, 4), (n, 2))
    assert not out.any()
    assert not total.any()
    (out.sum() + total.sum()).backward()
    assert weight.grad.shape == (2, 0)
    top = slot_top(nothing, weight[0], matrix, nothing, 2, kernels)
    assert top.tolist() == [[-1, -1]] * n
