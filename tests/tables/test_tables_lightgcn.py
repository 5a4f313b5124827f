"""LightGCN's forms: lines of numbers, and the adjacency matrix with users first."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import scipy.sparse as sp

from finrec_dgl.tables import ReadOptions, read_source

TRAIN = "0 2 0\n1 1\n2 3 1 \n\n"
TEST = "0 1\n1\n2 0\n"
PAIRS = [("0", "2"), ("0", "0"), ("1", "1"), ("2", "3"), ("2", "1")]


def pairs(table) -> list[tuple[str, str]]:
    """User and item of every row."""
    return list(zip(*table.to_pydict().values(), strict=True))


def test_lines_of_numbers_are_read(folder):
    tables = read_source(folder({"train.txt": TRAIN, "test.txt.gz": gzip.compress(TEST.encode())}))
    assert tables.format == "lightgcn"
    assert pairs(tables.interactions) == PAIRS
    assert pairs(tables.given.test) == [("0", "1"), ("2", "0")]
    assert (tables.given.cut, tables.given.candidates) == (None, None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 1 x", "'0 1 x' is not whole numbers"),
        ("0,1,2", "'0,1,2' is not whole numbers"),
        ("0 1.5", "not whole numbers"),
        ("-1 2", "not whole numbers"),
        ("0 \xe9", "not whole numbers"),
    ],
)
def test_a_bad_line_is_refused_or_dropped(folder, refused, line, words):
    path = folder({"train.txt": f"0 1\n\n{line}\n".encode("latin-1"), "test.txt": TEST})
    error = refused(path)
    assert words in error.found
    assert "train.txt, line 3" in error.where
    tables = read_source(path, options=ReadOptions(on_bad_rows="drop"))
    assert pairs(tables.interactions) == [("0", "1")]
    assert tables.dropped == {"train: line not whole numbers": 1}


@pytest.mark.parametrize("content", ["", "\n\n", "0\n1\n"])
def test_a_file_without_pairs_is_refused(folder, refused, content):
    assert "train.txt" in str(refused(folder({"train.txt": content, "test.txt": TEST})))


def adjacency(path, users: int, items: int, entries: list[tuple[int, int]]) -> None:
    """s_adj_mat.npz as LightGCN keeps it: symmetric and normalised."""
    matrix = sp.lil_array((users + items, users + items), dtype=np.float32)
    for user, item in entries:
        matrix[user, users + item] = matrix[users + item, user] = 0.5
    sp.save_npz(path / "s_adj_mat.npz", sp.csr_matrix(matrix))


def test_the_matrix_gives_the_same_pairs_as_the_lines(folder):
    path = folder({"test.txt": TEST})
    adjacency(path, 3, 4, [(int(user), int(item)) for user, item in PAIRS])
    assert sorted(pairs(read_source(path).interactions)) == sorted(PAIRS)


def test_a_user_at_the_border_without_training_is_found_by_the_test_part(folder):
    # users 0, 1 and item 1 alone do not tell whether node 2 is the last user or the first item
    path = folder({"test.txt": "2 1\n"})
    adjacency(path, 3, 2, [(0, 1), (1, 1)])
    assert pairs(read_source(path).interactions) == [("0", "1"), ("1", "1")]


def test_a_matrix_that_is_no_such_adjacency_is_refused(folder, refused):
    path = folder({"test.txt": TEST})
    matrix = path / "s_adj_mat.npz"
    sp.save_npz(matrix, sp.csr_matrix(np.ones((4, 4), np.float32)))
    assert "not the adjacency of users and items" in refused(path).found
    sp.save_npz(matrix, sp.csr_matrix(np.ones((2, 3), np.float32)))
    assert "expected a square" in refused(path).found
    sp.save_npz(matrix, sp.csc_matrix(np.ones((4, 4), np.float32)))
    assert "expected 'csr'" in refused(path).found
    np.savez(matrix, format=b"csr", shape=[4, 4], indptr=[0, 1, 1, 1, 9], indices=[1], data=[1.0])
    assert "contradict" in refused(path).found


def test_a_matrix_file_that_cannot_be_read_is_refused(folder, refused):
    path = folder({"test.txt": TEST})
    adjacency(path, 3, 4, [(0, 0), (1, 1), (2, 2), (2, 3)])
    data = (path / "s_adj_mat.npz").read_bytes()
    for content in (data[: len(data) // 2], b"", b"no zip"):
        (path / "s_adj_mat.npz").write_bytes(content)
        assert "scipy.sparse.save_npz" in refused(path).found


def test_objects_in_the_matrix_file_are_never_unpickled(folder, refused):
    path = folder({"test.txt": TEST})
    np.savez(
        path / "s_adj_mat.npz",
        **dict.fromkeys(("format", "shape", "indptr", "indices", "data"), np.array([{}])),
    )
    assert "allow_pickle=False" in refused(path).found
