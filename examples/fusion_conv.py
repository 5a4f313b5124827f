"""In your own DGL model: FusionGATConv in the place of GATConv, inside HeteroGraphConv.

python examples/fusion_conv.py
"""

from __future__ import annotations

import torch
from torch.nn.functional import soft_margin_loss

from finrec_dgl import FusionGATConv
from finrec_dgl.graph.backend import dgl

USERS, ITEMS, PURCHASES = 400, 400, 8000


def make_graph() -> dgl.DGLGraph:
    """An item's label is the text of its recent buyers, which GATConv does not see."""
    user, item = torch.randint(USERS, (PURCHASES,)), torch.randint(ITEMS, (PURCHASES,))
    relations = {("user", "buys", "item"): (user, item), ("item", "bought", "user"): (item, user)}
    graph = dgl.heterograph(relations, {"user": USERS, "item": ITEMS})
    graph.nodes["user"].data["text"] = text = torch.randn(USERS, 16)
    graph.edges["buys"].data["age"] = age = 365 * torch.rand(PURCHASES)  # days
    told = torch.zeros(ITEMS).index_add(0, item, text[user, 0] * (age < 90))
    graph.nodes["item"].data["label"] = torch.where(told > 0, 1.0, -1.0)
    return graph


def accuracy(graph: dgl.DGLGraph, buys: torch.nn.Module) -> float:
    """The share of the last 100 items whose label is found, after training on the others."""
    torch.manual_seed(0)
    feat = {"user": torch.randn(USERS, 32), "item": torch.randn(ITEMS, 32)}
    bought = dgl.nn.GATConv((32, 32), 8, num_heads=4, allow_zero_in_degree=True)
    model = dgl.nn.HeteroGraphConv({"buys": buys, "bought": bought})
    head, label = torch.nn.Linear(32, 1), graph.nodes["item"].data["label"]
    optimiser = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=0.01)
    for _ in range(60):
        score = head(model(graph, feat)["item"].flatten(1)).squeeze(1)
        optimiser.zero_grad()
        soft_margin_loss(score[:-100], label[:-100]).backward()
        optimiser.step()
    return float((score.sign() == label)[-100:].float().mean())


def main() -> None:
    torch.manual_seed(0)
    graph = make_graph()
    options = {"num_heads": 4, "allow_zero_in_degree": True}
    layers = {
        "GATConv": dgl.nn.GATConv((32, 32), 8, **options),
        # reads srcdata["text"] and edata["age"]; or pass them with mod_kwargs
        "FusionGATConv": FusionGATConv((32, 32), 8, text_feats=16, half_life=60.0, **options),
    }
    for name, layer in layers.items():
        print(f"{name}: {accuracy(graph, layer):.0%} of the items it was not trained on")


if __name__ == "__main__":
    main()
