"""The graph of a data set in DGL, and its data loader with neighbours older than their seed.

python examples/open_in_dgl.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from finrec_dgl import PreprocessOptions, preprocess
from finrec_dgl.graph.backend import dgl  # DGL as is, made to work with this PyTorch
from finrec_dgl.sampling import TemporalNeighborSampler
from finrec_dgl.tables.generate import World, write_world
from finrec_dgl.text import EncoderSpec


def main(place: Path) -> None:
    write_world(World(users=80, items=40), place / "tables")
    options = PreprocessOptions(encoder=EncoderSpec(name="none"))
    graph = preprocess(place / "tables", place / "dataset", options).graph().to_dgl()
    print(f"{graph.num_edges('interacts')} edges, from {graph.num_nodes('user')} users")

    # each batch predicts some edges from what is strictly older than them
    sampler = dgl.dataloading.as_edge_prediction_sampler(
        TemporalNeighborSampler([10, 10]),
        exclude="reverse_types",
        reverse_etypes={"interacts": "interacted-by"},
    )
    seeds = {"interacts": graph.edges(etype="interacts", form="eid")}
    loader = dgl.dataloading.DataLoader(graph, seeds, sampler, batch_size=64, shuffle=True)
    _, pairs, blocks = next(iter(loader))
    print(f"a batch: {pairs.num_edges('interacts')} edges to predict, {len(blocks)} blocks")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
