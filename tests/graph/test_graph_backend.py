"""DGL on a PyTorch that it has no library for, and left alone where it has one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from finrec_dgl.graph import describe_backend
from finrec_dgl.graph.backend import dgl, graphbolt_library, stand_in


def test_dgl_computes_messages_and_gradients():
    """Catches a DGL that imports but cannot compute."""
    graph = dgl.graph((torch.tensor([0, 1, 2]), torch.tensor([2, 2, 0])), num_nodes=3)
    feature = torch.tensor([[1.0], [2.0], [4.0]], requires_grad=True)
    out = dgl.ops.copy_u_sum(graph, feature)
    assert out.tolist() == [[4.0], [0.0], [3.0]]
    out.sum().backward()
    assert feature.grad.tolist() == [[1.0], [1.0], [1.0]]


def test_sampling_excludes_edges():
    """Catches a stand-in that breaks DGL's own sampling with exclusion."""
    graph = dgl.graph((torch.tensor([0, 1, 2]), torch.tensor([3, 3, 3])), num_nodes=4)
    frontier = dgl.sampling.sample_neighbors(
        graph, torch.tensor([3]), -1, exclude_edges=torch.tensor([1])
    )
    assert sorted(frontier.edges()[0].tolist()) == [0, 2]


def test_stand_in_refuses_by_name_and_knows_isinstance():
    """Catches a stand-in that fails silently, or that breaks dgl.distributed's isinstance."""
    module = stand_in("2.13.0+cpu")
    assert not isinstance(object(), module.FusedCSCSamplingGraph)
    with pytest.raises(ImportError, match=r"ItemSet.*PyTorch 2\.13\.0"):
        _ = module.ItemSet
    with pytest.raises(AttributeError):
        _ = module.__wrapped__


@pytest.mark.parametrize(
    ("platform", "name"),
    [
        ("linux", "libgraphbolt_pytorch_2.2.1.so"),
        ("darwin", "libgraphbolt_pytorch_2.2.1.dylib"),
        ("win32", "graphbolt_pytorch_2.2.1.dll"),
    ],
)
def test_library_name_without_build_tag(platform, name):
    """Catches looking for a library that no DGL ships, such as one named 2.2.1+cpu."""
    path = graphbolt_library(Path("dgl"), "2.2.1+cpu", platform)
    assert path == Path("dgl") / "graphbolt" / name


def test_stand_in_only_where_the_library_is_absent():
    """Catches a stand-in in the way of a DGL that matches."""
    found = describe_backend()
    folder = Path(dgl.__file__).parent
    own = graphbolt_library(folder, torch.__version__).exists()
    assert found.graphbolt == ("own" if own else "stand-in")


def test_matching_dgl_is_left_alone(tmp_path):
    """A made-up DGL with a library for this PyTorch must be imported as it is."""
    fake = tmp_path / "dgl"
    (fake / "graphbolt").mkdir(parents=True)
    (fake / "__init__.py").write_text(
        "import sys\n__version__ = '9.9'\nfrom . import graphbolt\n", encoding="utf-8"
    )
    (fake / "graphbolt" / "__init__.py").write_text("mine = True\n", encoding="utf-8")
    graphbolt_library(fake, torch.__version__).write_text("", encoding="utf-8")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import importlib.util, importlib.machinery\n"
        "import finrec_dgl.graph.backend as b\n"
        "assert b.dgl.graphbolt.mine and b.describe_backend().graphbolt == 'own'\n"
        "assert b.describe_backend().dgl == '9.9'\n"
    )
    # graph/__init__ needs a whole DGL, so the module is loaded by itself
    loader = (
        "import sys, types, pathlib, importlib\n"
        "import finrec_dgl\n"
        "package = types.ModuleType('finrec_dgl.graph')\n"
        "package.__path__ = [str(pathlib.Path(finrec_dgl.__file__).parent / 'graph')]\n"
        "sys.modules['finrec_dgl.graph'] = package\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", loader + script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_import_writes_nothing_to_stdout_or_home(tmp_path):
    """Catches DGL's note on stdout and its file in the home folder."""
    import os

    environment = {
        **{key: value for key, value in os.environ.items() if key != "DGLBACKEND"},
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", "import finrec_dgl.graph"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not (tmp_path / ".dgl").exists()


def test_dgl_waits_until_it_is_needed():
    """Catches an import of DGL by a process that uses none of it: a second before each answer."""
    script = (
        "import sys, finrec_dgl.recommending\n"
        "from finrec_dgl.graph.backend import dgl\n"
        "assert 'dgl' not in sys.modules\n"
        "assert dgl.__version__ and 'dgl' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
