"""Rows of different lengths: gathered, numbered and counted as lists are."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_queries import ragged

from finrec_dgl.kernels.ragged import row_numbers, row_places

rows_of_numbers = st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=6)


@settings(max_examples=100, deadline=None)
@given(rows=rows_of_numbers)
def test_rows_are_counted_and_numbered(rows):
    """Catches an empty row that takes the number of its neighbour."""
    made = ragged(rows)
    assert len(made) == len(rows)
    assert made.counts.tolist() == [len(one) for one in rows]
    expected = [number for number, one in enumerate(rows) for _ in one]
    assert made.row.tolist() == expected
    assert row_numbers(made.indptr, len(expected)).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(rows=rows_of_numbers, data=st.data())
def test_rows_are_gathered_in_any_order_and_several_times(rows, data):
    """Catches entries of another row, and places that are not where the entries came from."""
    most = len(rows) - 1
    index = data.draw(st.lists(st.integers(0, most), max_size=8)) if rows else []
    made = ragged(rows)
    found, places = made.rows(torch.tensor(index, dtype=torch.long))
    assert len(found) == len(index)
    expected = [rows[number] for number in index]
    assert found.counts.tolist() == [len(one) for one in expected]
    assert found.values.tolist() == [value for one in expected for value in one]
    assert found.values.dtype == made.values.dtype
    assert torch.equal(found.values, made.values[places])
    begin = made.indptr.tolist()
    assert places.tolist() == [begin[i] + j for i in index for j in range(len(rows[i]))]


def test_places_of_rows_of_nothing():
    """Catches an error where there is no row, or no entry in any."""
    none = torch.zeros(0, dtype=torch.long)
    places, offsets = row_places(torch.zeros(1, dtype=torch.long), none)
    assert places.tolist() == []
    assert offsets.tolist() == [0]
    places, offsets = row_places(torch.zeros(4, dtype=torch.long), torch.tensor([2, 0]))
    assert places.tolist() == []
    assert offsets.tolist() == [0, 0, 0]
