"""The scripts on what texts are worth: alone, and for products that nobody holds yet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import save_bert

from finrec_dgl.cli import main

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small made-up bank as a data set, and the same with products held out."""
    place = tmp_path_factory.mktemp("texts")
    encoder = str(save_bert(place / "encoder"))
    assert main(["generate", str(place / "tables"), "--users", "200", "--quiet"]) == 0
    for name, more in {"whole": [], "held": ["--split", "cold-items"]}.items():
        options = ["--encoder", encoder, "--max-length", "64", "--no-cache", "--quiet", *more]
        assert main(["preprocess", str(place / "tables"), str(place / name), *options]) == 0
    config = place / "config.toml"
    config.write_text(
        'loss = "backtest"\nwindows = 3\nlr = 0.05\nepochs = 2\naverage = 1\n'
        '[model]\nreadout="pair"\n'
    )
    return place


def run(script, *arguments):
    """The script in a process of its own."""
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_is_known_of_a_product_helps_to_rank_it(made, tmp_path):
    """Catches new products looked up under other numbers, or history that is not known after all:
    popularity would then be no better than chance."""
    out = tmp_path / "known.json"
    asked = (made / "whole", made / "held", "--config", made / "config.toml", "--out", out)
    said = run("known.py", *asked)
    assert said.returncode == 0, said.stderr
    (found,) = json.loads(out.read_text()).values()
    assert set(found) == {"known", "popularity", "text alone"}
    assert found["known"] > found["text alone"]
    assert found["popularity"] > found["text alone"]


def test_a_data_set_without_products_held_out_is_refused(made):
    """Catches a traceback, or figures about nothing."""
    said = run("known.py", made / "whole", made / "whole", "--config", made / "config.toml")
    assert said.returncode == 2
    assert "cold-items" in said.stderr
    assert "Traceback" not in said.stderr


def test_texts_have_a_figure_each_way(made, tmp_path):
    """Catches a data set left out, or one figure told for all ways."""
    out = tmp_path / "texts.json"
    said = run("texts.py", made / "whole", made / "held", "--out", out)
    assert said.returncode == 0, said.stderr
    found = json.loads(out.read_text())
    assert list(found) == [str(made / "whole"), str(made / "held")]
    for one in found.values():
        assert set(one) == {"all held", "nearest", "5 nearest", "5 nearest, posts too"}
        assert all(0 <= value <= 1 for value in one.values())
    assert len(set(found[str(made / "whole")].values())) > 1


def test_vectors_that_are_the_same_have_nothing_to_shuffle(made, tmp_path):
    """Catches vectors moved by something else than what two data sets differ by."""
    out = tmp_path / "texts.json"
    said = run("texts.py", made / "whole", made / "whole", "--shuffles", 2, "--out", out)
    assert said.returncode == 0, said.stderr
    found = json.loads(out.read_text())
    assert found["shuffle 0"] == found["shuffle 1"] == found[str(made / "whole")]
