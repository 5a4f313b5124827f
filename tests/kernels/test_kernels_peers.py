"""Users two hops away, what they share and sums of their items: by loops, and by both kernels."""

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_relations import needs_native
from peer_queries import neighbourhoods, ragged, random_neighbourhood, some

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.kernels import peers
from finrec_dgl.kernels.peers import near_users, pair_dots, peer_sum, shared_items

each_kernel = pytest.mark.parametrize(
    "kernels", [pytest.param("native", marks=needs_native), "torch"]
)
LEAST = 1e-20


@contextlib.contextmanager
def threads(count):
    """As many threads of PyTorch for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ---- near users


def weights_by_loop(near, row):
    """user -> weight, for all who are peers of the seed ``row``; single precision."""
    found: dict = {}
    for item in near.histories[row]:
        each = max(near.item_weight[item] * near.seed_scale[row], np.float32(LEAST))
        for user in near.drawn[item]:
            found[user] = found.get(user, np.float32(0)) + each
    found = {user: weight * near.user_scale[user] for user, weight in found.items()}
    for user in near.tied[row]:
        found[user] = found.get(user, np.float32(0)) + np.float32(1)
    return {u: w for u, w in found.items() if near.known[u] and u != near.seeds[row]}


@each_kernel
@settings(max_examples=150, deadline=None)
@given(near=neighbourhoods, k=st.integers(1, 14))
def test_near_users_by_loops(kernels, near, k):
    """Catches a seed that is its own peer, one without an interaction, a connection or an item
    left out, and a wrong factor of a weight."""
    found = near_users(near.query(), k, kernels)
    assert found.dtype == torch.int32
    assert found.shape == (len(near.seeds), min(k, near.users))
    for row in range(len(near.seeds)):
        weight = weights_by_loop(near, row)
        present = [user for user in found[row].tolist() if user >= 0]
        assert present == sorted(set(present))
        assert found[row].tolist() == present + [-1] * (found.shape[1] - len(present))
        assert set(present) <= set(weight)
        assert len(present) == min(k, len(weight))
        best = sorted(weight.values(), reverse=True)[: len(present)]
        mine = sorted((weight[user] for user in present), reverse=True)
        np.testing.assert_allclose(mine, best, rtol=1e-5)


@needs_native
@settings(max_examples=150, deadline=None)
@given(
    users=st.integers(1, 12),
    items=st.integers(1, 8),
    seeds=st.integers(0, 6),
    seed=st.integers(0, 9_999),
    k=st.integers(1, 14),
)
def test_near_users_are_the_same_by_both_kernels(users, items, seeds, seed, k):
    """Catches ties that are broken otherwise: of equal weights the smaller number."""
    near = random_neighbourhood(users, items, seeds, exact=True, seed=seed)
    query = near.query()
    native, plain = (near_users(query, k, one) for one in ("native", "torch"))
    assert torch.equal(native, plain)
    for row in range(seeds):
        weight = weights_by_loop(near, row)
        order = sorted(weight, key=lambda user: (-weight[user], user))
        assert native[row, : len(order)].tolist() == sorted(order[:k])


@each_kernel
def test_an_item_of_everybody_still_makes_peers(kernels):
    """Catches users who are lost because all that they share weighs nothing."""
    near = random_neighbourhood(5, 2, 1, seed=0)
    near.item_weight[:] = 0.0
    near.histories, near.seeds, near.tied = [[1]], [0], [[]]
    near.drawn, near.known = {1: [0, 2, 3]}, [True] * 5
    assert near_users(near.query(), 4, kernels).tolist() == [[2, 3, -1, -1]]


@each_kernel
def test_a_seed_that_is_not_in_the_graph_has_peers(kernels):
    """Catches -1 that is taken for the last user, or for user 0."""
    near = random_neighbourhood(4, 2, 2, seed=0)
    near.histories, near.seeds, near.tied = [[0], []], [-1, -1], [[], [3]]
    near.drawn, near.known = {0: [0, 1, 2, 3]}, [True] * 4
    assert near_users(near.query(), 4, kernels).tolist() == [[0, 1, 2, 3], [3, -1, -1, -1]]


@each_kernel
def test_connections_come_first(kernels):
    """Catches a connection that counts less than what a user shares at most."""
    near = random_neighbourhood(6, 2, 1, seed=0)
    near.histories, near.seeds, near.tied = [[0]], [5], [[4]]
    near.drawn, near.known = {0: [0, 1, 2]}, [True] * 6
    near.item_weight[:], near.seed_scale[:], near.user_scale[:] = 0.9, 1.0, 1.0
    assert near_users(near.query(), 1, kernels).tolist() == [[4]]


# ---- what is shared


@each_kernel
@settings(max_examples=100, deadline=None)
@given(near=neighbourhoods, k=st.integers(1, 9), seed=st.integers(0, 99))
def test_shared_items_by_loops(kernels, near, k, seed):
    """Catches an absent peer who shares, the items of another user, and the wrong weight."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(-1, near.users, (len(near.seeds), k)).astype(np.int32)
    weight = torch.from_numpy(near.item_weight)
    given_rows = (ragged(near.histories), torch.from_numpy(chosen), ragged(near.held), weight)
    found = shared_items(*given_rows, kernels)
    assert found.shape == (*chosen.shape, 2)
    for row, column in np.ndindex(*chosen.shape):
        user = chosen[row, column]
        both = set(near.histories[row]) & set(near.held[user]) if user >= 0 else set()
        assert found[row, column, 1] == len(both)
        total = sum(float(near.item_weight[item]) for item in both)
        assert float(found[row, column, 0]) == pytest.approx(total, rel=1e-5)


# ---- sums over peers


def random_sum(near, k, heads, seed):
    """Shares, peers and fades, and a gradient of the sum."""
    rng = np.random.default_rng(seed)
    n, edges = len(near.seeds), sum(map(len, near.held))
    chosen = torch.from_numpy(rng.integers(-1, near.users, (n, k)).astype(np.int32))
    shapes = ((heads, n, k), (heads, edges), (heads, n, near.items))
    share, fade, grad = (
        torch.from_numpy(rng.normal(size=one).astype(np.float32)) for one in shapes
    )
    return share, chosen, fade, grad


@each_kernel
@settings(max_examples=100, deadline=None)
@given(near=neighbourhoods, k=st.integers(1, 9), heads=st.integers(1, 4), seed=st.integers(0, 999))
def test_peer_sums_and_gradients_by_loops(kernels, near, k, heads, seed):
    """Catches a message of another head, edge or seed, absent peers who send, and a gradient that
    is not the transpose's."""
    share, chosen, fade, grad = random_sum(near, k, heads, seed)
    share.requires_grad_()
    user_items = ragged(near.held)
    out = peer_sum(share, chosen, user_items, fade, near.items, kernels)
    (found,) = torch.autograd.grad(out, share, grad)
    expected, to_share = np.zeros(out.shape), np.zeros(share.shape)
    begin = user_items.indptr.tolist()
    for b, j in np.ndindex(*chosen.shape):
        user = int(chosen[b, j])
        for place, item in enumerate(near.held[user] if user >= 0 else [], begin[user]):
            for h in range(heads):
                expected[h, b, item] += float(share[h, b, j].detach()) * float(fade[h, place])
                to_share[h, b, j] += float(fade[h, place]) * float(grad[h, b, item])
    np.testing.assert_allclose(out.detach(), expected, atol=1e-4)
    np.testing.assert_allclose(found, to_share, atol=1e-4)


@needs_native
@settings(max_examples=100, deadline=None)
@given(near=neighbourhoods, k=st.integers(1, 9), heads=st.integers(1, 4), seed=st.integers(0, 999))
def test_both_kernels_give_the_same_numbers(near, k, heads, seed):
    """Catches a difference beyond rounding, of values and gradients in single precision."""
    share, chosen, fade, grad = random_sum(near, k, heads, seed)
    share.requires_grad_()
    user_items, weight = ragged(near.held), torch.from_numpy(near.item_weight)
    shared = [
        shared_items(ragged(near.histories), chosen, user_items, weight, one)
        for one in ("native", "torch")
    ]
    torch.testing.assert_close(*shared)
    outs, grads = [], []
    for one in ("native", "torch"):
        outs.append(peer_sum(share, chosen, user_items, fade, near.items, one))
        grads += torch.autograd.grad(outs[-1], share, grad)
    torch.testing.assert_close(*outs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-5)


def test_the_gradient_is_that_of_the_formula():
    """Catches a gradient that only looks right: by differences in double precision."""
    near = random_neighbourhood(6, 5, 3, seed=3)
    share, chosen, fade, _ = random_sum(near, 4, 2, 0)
    share = share.double().requires_grad_()
    user_items = ragged(near.held)
    assert torch.autograd.gradcheck(
        lambda one: peer_sum(one, chosen, user_items, fade.double(), near.items), share
    )


@needs_native
def test_rows_of_a_part_that_are_not_contiguous():
    """Catches native code that reads a transposed or cut tensor as it lies in memory."""
    near = random_neighbourhood(8, 6, 4, seed=5)
    share, chosen, fade, grad = random_sum(near, 5, 2, 1)
    user_items = ragged(near.held)
    expected = peer_sum(share, chosen, user_items, fade, near.items, "torch")
    odd_share = torch.stack([share, share], dim=-1)[..., 0].requires_grad_()
    odd_fade = fade.T.contiguous().T
    odd_grad = torch.stack([grad, grad], dim=-1)[..., 1]
    assert not odd_share.is_contiguous()
    assert not odd_grad.is_contiguous()
    odd_chosen = torch.stack([chosen, chosen * 0], dim=-1)[..., 0]
    out = peer_sum(odd_share, odd_chosen, user_items, odd_fade, near.items, "native")
    torch.testing.assert_close(out, expected)
    (found,) = torch.autograd.grad(out, odd_share, odd_grad)
    plain = share.clone().requires_grad_()
    out = peer_sum(plain, chosen, user_items, fade, near.items, "torch")
    torch.testing.assert_close(found, *torch.autograd.grad(out, plain, grad))


# ---- all of them


@needs_native
@pytest.mark.parametrize("seeds", [1, 2, 7, 64])
def test_the_number_of_threads_changes_no_bit(seeds):
    """Catches sums whose order hangs on who computes them, and rows that no thread takes."""
    rng = np.random.default_rng(seeds)
    near = random_neighbourhood(60, 30, seeds, seed=seeds)
    near.held = [some(rng, 20, 30) for _ in range(60)]
    near.histories = [some(rng, 20, 30) for _ in range(seeds)]
    near.drawn = {i: [u for u in range(60) if i in near.held[u]] for i in range(30)}
    near.known = [bool(one) for one in near.held]
    share, chosen, fade, grad = random_sum(near, 9, 3, 0)
    share.requires_grad_()
    query, user_items = near.query(), ragged(near.held)

    def results():
        out = peer_sum(share, chosen, user_items, fade, near.items, "native")
        return (
            near_users(query, 9, "native"),
            shared_items(query.seed_items, chosen, user_items, query.item_weight, "native"),
            out.detach(),
            *torch.autograd.grad(out, share, grad),
        )

    found = []
    for count in (1, 2, 3, 5):
        with threads(count):
            found.append(results())
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert torch.equal(one, two)


@each_kernel
@pytest.mark.parametrize("seeds", [0, 2])
def test_nothing_to_read_is_no_error(kernels, seeds):
    """Catches a graph without users, items or seeds that is divided by."""
    near = random_neighbourhood(3, 2, seeds, seed=0)
    near.held, near.histories = [[], [], []], [[]] * seeds
    near.drawn, near.tied, near.known = {}, [[]] * seeds, [False] * 3
    found = near_users(near.query(), 5, kernels)
    assert found.tolist() == [[-1, -1, -1]] * seeds
    user_items = ragged(near.held)
    shared = shared_items(
        ragged(near.histories), found, user_items, torch.from_numpy(near.item_weight), kernels
    )
    assert not shared.any()
    share = torch.ones(2, seeds, 3, requires_grad=True)
    out = peer_sum(share, found, user_items, torch.zeros(2, 0), 2, kernels)
    assert not out.any()
    out.sum().backward()
    assert not share.grad.any()


@each_kernel
def test_a_graph_without_users(kernels):
    """Catches a division by the number of users."""
    near = random_neighbourhood(1, 2, 1, seed=0)
    near.users, near.held, near.histories = 0, [], [[]]
    near.drawn, near.tied, near.known, near.seeds = {}, [[]], [], [-1]
    near.user_scale = near.user_scale[:0]
    assert near_users(near.query(), 5, kernels).shape == (1, 0)


def test_other_types_are_summed_by_pytorch(monkeypatch):
    """Catches native code that reads doubles as floats."""
    near = random_neighbourhood(6, 5, 3, seed=3)
    share, chosen, fade, _ = random_sum(near, 4, 2, 0)
    user_items = ragged(near.held)
    expected = peer_sum(share, chosen, user_items, fade, near.items, "torch")

    def refuse():
        raise AssertionError("native code was called")

    monkeypatch.setattr(peers, "find_library", refuse)
    found = peer_sum(share.double(), chosen, user_items, fade.double(), near.items)
    torch.testing.assert_close(found.float(), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="did you mean 'native'"):
        near_users(near.query(), 3, "nativ")


# ---- inner products


@pytest.mark.parametrize(("few", "at_once"), [(0, 1), (0, 13), (0, 2**22), (6, 2**22)])
@pytest.mark.parametrize(("n", "k", "width"), [(5, 3, 4), (0, 3, 4), (4, 0, 3), (3, 2, 0)])
def test_inner_products_with_peers(monkeypatch, few, at_once, n, k, width):
    """Catches a part of the seeds that is left out, and products with another user's row."""
    monkeypatch.setattr(peers, "_FEW_USERS", few)
    monkeypatch.setattr(peers, "_AT_ONCE", at_once)
    made = torch.Generator().manual_seed(0)
    left = torch.randn(n, width, generator=made)
    right = torch.randn(6, width, generator=made)
    chosen = torch.randint(6, (n, k), generator=made)
    found = pair_dots(left, right, chosen)
    expected = torch.einsum("bw,bkw->bk", left, right[chosen])
    torch.testing.assert_close(found, expected)
