"""Draws of neighbours: native code and NumPy alike, every set as likely as any other."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finrec_dgl.kernels import Compressed, Edges
from finrec_dgl.kernels.library import Library, find_library
from finrec_dgl.sampling import draws
from finrec_dgl.sampling.draws import Marks, Numbers, draw_neighbours

needs_native = pytest.mark.skipif(
    find_library().handle is None, reason=f"no native library: {find_library().told}"
)


@pytest.fixture(params=[pytest.param("native", marks=needs_native), "plain"])
def way(request, monkeypatch):
    """Who draws."""
    if request.param == "plain":
        monkeypatch.setattr(draws, "find_library", lambda: Library(None, "absent"))
    return request.param


def random_rows(seed, rows=9, columns=300, most=150):
    """Rows of up to ``most`` distinct columns that rise, the last one empty."""
    rng = np.random.default_rng(seed)
    degree = rng.integers(0, most + 1, rows)
    degree[-1] = 0
    indices = [np.sort(rng.permutation(columns)[:one]) for one in degree]
    indptr = np.concatenate([[0], np.cumsum(degree)])
    return Compressed(
        torch.from_numpy(indptr).int(), torch.from_numpy(np.concatenate(indices)).int()
    )


def leave_out(rows, places):
    """The edges at ``places`` of ``rows`` marked, some of them twice, in no order."""
    # numbers of edges that are not their places
    order = np.random.default_rng(0).permutation(len(rows.indices))
    source, target = rows.indices[torch.from_numpy(order)], rows.rows[torch.from_numpy(order)]
    edges = Edges(int(rows.indices.max()) + 1, len(rows.indptr) - 1, source, target)
    # by receiver the edges stand in the order of ``rows`` where its columns rise
    ids = np.flatnonzero(np.isin(order, places))
    marks = Marks(len(rows.indptr) - 1)
    return marks.mark(edges, torch.from_numpy(np.concatenate([ids[::-1], ids[:2]])))


def some(rows, share, seed):
    """Places of ``rows``, about a ``share`` of them."""
    return np.flatnonzero(np.random.default_rng(seed).random(len(rows.indices)) < share)


def plainly(*given):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "find_library", lambda: Library(None, "absent"))
        return draw_neighbours(*given)


@needs_native
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    most=st.sampled_from([3, 12, 150]),
    fanout=st.sampled_from([-1, 1, 2, 10, 64, 70, 149]),
    share=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    threads=st.integers(1, 3),
)
def test_native_code_draws_what_numpy_draws(seed, most, fanout, share, threads):
    """Catches any error of either: a wrong edge, an order that depends on threads."""
    rows = random_rows(seed, most=most)
    nodes = torch.from_numpy(np.random.default_rng(seed).permutation(9)).int()
    gone = leave_out(rows, some(rows, share, seed)) if share and len(rows.indices) else None
    key = seed * 0x123456789ABCDEF
    found = draw_neighbours(rows, nodes, fanout, key, gone, threads)
    expected = plainly(rows, nodes, fanout, key, gone)
    assert torch.equal(found.indptr, expected.indptr)
    assert torch.equal(found.indices, expected.indices)


@pytest.mark.parametrize("fanout", [-1, 1, 5, 100])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_neighbours_are_distinct_and_none_is_left_out(way, fanout, share):
    """Catches repeats, an edge that must not be drawn, and rows that get less than there is."""
    rows = random_rows(3)
    gone = leave_out(rows, some(rows, share, 4))
    found = draw_neighbours(rows, torch.arange(9).int(), fanout, 5, gone)
    for i in range(9):
        begin, end = rows.indptr[i : i + 2].tolist()
        kept = set(range(begin, end)) - set(gone.places.tolist())
        open_to = {int(rows.indices[one]) for one in kept}
        mine = found.indices[found.indptr[i] : found.indptr[i + 1]].tolist()
        assert len(mine) == len(set(mine)) == (len(kept) if fanout < 0 else min(fanout, len(kept)))
        assert set(mine) <= open_to


@pytest.mark.parametrize(("degree", "fanout"), [(5, 2), (6, 3), (7, 6), (130, 1), (90, 70)])
def test_every_set_is_as_likely_as_any_other(way, degree, fanout):
    """Catches a draw that favours some neighbours or pairs of them, with a level of 1 in 10,000.

    Two of the edges are left out on top of ``degree``.
    """
    total = degree + 2
    rows = Compressed(torch.tensor([0, total]).int(), torch.arange(total).int())
    gone = leave_out(rows, [0, 3])
    kept = [one for one in range(total) if one not in (0, 3)]
    sets = list(itertools.combinations(kept, fanout)) if degree < 10 else None
    counts: dict = dict.fromkeys(sets or kept, 0)
    times = 4000
    node = torch.tensor([0]).int()
    for key in range(times):
        mine = draw_neighbours(rows, node, fanout, key * 0x9E3779B9, gone).indices.tolist()
        for one in [tuple(sorted(mine))] if sets else mine:
            counts[one] += 1
    found = np.array(list(counts.values()), float)
    # single neighbours of one draw are not independent: their counts vary less
    spread = 1.0 if sets else 1 - fanout / degree
    expected = times * (1 if sets else fanout) / len(found)
    statistic = ((found - expected) ** 2).sum() / expected / spread
    freedom = len(found) - 1
    # without replacement the counts' covariance leaves k / (k - 1) of the variance
    scale = 1.0 if sets else len(found) / freedom
    assert scipy.stats.chi2.sf(statistic / scale, freedom) > 1e-4


@needs_native
def test_marks_are_taken_back():
    """Catches edges of one batch that are left out of the next."""
    rows = random_rows(6)
    edges = Edges(300, 9, rows.indices, rows.rows)
    marks = Marks(9)
    for ids in ([0, 5, 0], [7]):
        found = marks.mark(edges, torch.tensor(ids))
        assert found.places.tolist() == sorted(set(ids))
        assert marks.marked.any()
        marks.forget()
        assert not marks.marked.any()


def test_nodes_draw_apart(way):
    """Catches the same ranks for all nodes, or the same for neighbouring keys."""
    rows = Compressed((torch.arange(201) * 50).int(), torch.arange(50).int().repeat(200))
    nodes = torch.arange(200).int()
    drawn = [draw_neighbours(rows, nodes, 1, key).indices.numpy() for key in (1, 2)]
    for one in drawn:
        assert len(set(one.tolist())) > 40
    assert (drawn[0] == drawn[1]).mean() < 0.1


def test_numbers_come_in_the_order_of_nodes(way):
    """Catches numbers given twice, and those of one call that are left for the next."""
    numbers = Numbers(10)
    for _ in range(2):
        nodes = torch.tensor([7, 2, 7, 9]).int()
        numbers.give(nodes)
        assert nodes.tolist() == [0, 1, 0, 2]
        nodes = torch.tensor([3, 9, 3, 0]).int()
        numbers.give(nodes)
        assert nodes.tolist() == [3, 2, 3, 4]
        assert numbers.seen().tolist() == [7, 2, 9, 3, 0]
        numbers.forget()
        assert numbers.seen().tolist() == []
