"""The graph of a data set as of a date in PyTorch Geometric, through one layer of it.

pip install "finrec-dgl[pyg]"
python examples/open_in_pyg.py
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from finrec_dgl import PreprocessOptions, preprocess
from finrec_dgl.tables.generate import World, write_world
from finrec_dgl.text import EncoderSpec


def main(place: Path) -> None:
    if importlib.util.find_spec("torch_geometric") is None:
        print('PyTorch Geometric is not installed: pip install "finrec-dgl[pyg]"')
        return
    import torch
    from torch_geometric.nn import SAGEConv

    write_world(World(users=80, items=40), place / "tables")
    options = PreprocessOptions(encoder=EncoderSpec(name="none"))
    dataset = preprocess(place / "tables", place / "dataset", options)

    # everything strictly before validation; a view shares the graph's arrays
    data = dataset.graph().as_of(dataset.valid_cut).to_pyg()
    edges = data["user", "interacts", "item"]
    print(f"{edges.num_edges} edges, of {int(edges.count.sum())} interactions")

    users, items = torch.randn(dataset.n_users, 8), torch.randn(dataset.n_items, 8)
    out = SAGEConv((8, 8), 8)((users, items), edges.edge_index)
    print(f"a vector of {out.shape[1]} numbers for each of {out.shape[0]} items")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
