"""The channel of pseudo-labels: what labels a history has, carried to items of like labels."""

import math

import numpy as np
import torch
from graph_views import CONFIG, NOBODY, batch_of, edges, make_view, relation_of

from finrec_dgl.relations import Pseudo
from finrec_dgl.relations.base import FLOOR
from finrec_dgl.relations.text_near import described


def labels_of(relation, view):
    """y of every item at sum 1, 0 for one that nothing describes, in double precision."""
    text = torch.from_numpy(view.snapshot.item_text).double()
    project = relation.labels.project
    y = torch.sigmoid(text @ project.weight.double().T + project.bias.double())
    y = y * described(view, CONFIG).unsqueeze(1)
    return y / y.sum(1, keepdim=True).clamp(min=1e-9)


def test_the_channel_by_pair_and_its_gradient():
    """Catches labels of another item, a mean over the wrong history, and a gradient that does not
    flow."""
    view = make_view(5)
    batch, relation = batch_of(view), relation_of(Pseudo, view)
    found = relation(batch, relation.sample(batch))
    assert relation.channel_names() == ("pseudo",)
    assert found.shape == (view.n_users, view.n_items, 1)
    label = labels_of(relation, view)
    for user, items in edges(view.snapshot).items():
        mean = sum((label[i] for i in items), torch.zeros(3).double()) / max(len(items), 1)
        message = [float(mean.detach() @ label[i].detach()) for i in range(view.n_items)]
        free = [i for i in range(view.n_items) if i not in items]
        total = sum(message[i] for i in free)
        for item in range(view.n_items):
            share = message[item] / max(total, 1e-9) * len(free)
            expected = math.log(share + FLOOR)
            np.testing.assert_allclose(found[user, item, 0].item(), expected, atol=1e-4)
    found.sum().backward()
    assert relation.labels.project.weight.grad.abs().max() > 1e-3


def test_the_gradient_is_that_of_the_formula():
    """Catches a part of the message that is taken for a constant: by differences."""
    view = make_view(5)
    batch, relation = batch_of(view, [0, 4, NOBODY]), relation_of(Pseudo, view).double()
    sampled = tuple(
        one.double() if one.is_floating_point() else one for one in relation.sample(batch)
    )

    def total(weight):
        with torch.no_grad():
            relation.labels.project.weight.copy_(weight)
        return relation(batch, sampled).square().sum()

    weight = relation.labels.project.weight.detach().clone()
    total(weight).backward()
    gradient = relation.labels.project.weight.grad.clone()
    step = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)).double()
    slope = (total(weight + 1e-5 * step) - total(weight - 1e-5 * step)) / 2e-5
    np.testing.assert_allclose((gradient * step).sum(), slope.detach(), rtol=1e-4)


def test_without_text_or_classes_there_is_no_channel():
    """Catches a channel without labels, and weights that are learned and never read."""
    view = make_view(5)
    for shape in ({"text_dim": 0}, {"pseudo_classes": 0}):
        off = relation_of(Pseudo, view, **shape)
        assert off.channel_names() == ()
        assert not list(off.parameters())
