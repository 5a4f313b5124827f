"""Messages that depend on the edge: native code gives what plain PyTorch does, and always alike."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_relations import assert_near, heads, needs_native, random_edges, relations, widths

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels import EdgeGate, Message, attend, attend_messages
from finrec_dgl.kernels import messages as module
from finrec_dgl.kernels.library import LEVELS, find_library

KINDS = ("graph", "text", "fade", "text and fade", "gate", "gate and fade")


def random_message(edges, heads, width, kind, features=3, dtype=torch.float64):
    """What ``attend_messages`` takes by name, and a gradient of its output."""
    made = torch.Generator().manual_seed(len(edges) + heads)

    def draw(*shape):
        return torch.randn(*shape, generator=made, dtype=torch.float64).to(dtype).requires_grad_()

    rows = (edges.n_src, heads, width)
    found = {
        "score_src": draw(edges.n_src, heads),
        "score_dst": draw(edges.n_dst, heads),
        "graph": draw(*rows),
    }
    if "text" in kind or "gate" in kind:
        found["text"] = draw(*rows)
    if "fade" in kind:
        found["fade"] = draw(len(edges), heads)
    if "gate" in kind:
        found["logit"], found["feat"] = draw(*rows), draw(len(edges), features)
        found["weight"] = draw(heads * width, features)
        found["score_edge"] = draw(len(edges), heads)
    grad = torch.randn(edges.n_dst, heads, width, generator=made, dtype=torch.float64)
    return found, grad.to(dtype)


def run(edges, inputs, grad, kernels, **options):
    """The output, the coefficients and all gradients."""
    gate = [inputs[name] for name in ("logit", "feat", "weight") if name in inputs]
    message = Message(
        inputs["graph"], inputs.get("text"), inputs.get("fade"), EdgeGate(*gate) if gate else None
    )
    torch.manual_seed(5)
    scores = (inputs["score_src"], inputs["score_dst"])
    options = {"score_edge": inputs.get("score_edge"), "kernels": kernels, **options}
    out, alpha = attend_messages(edges, *scores, message, **options)
    # the coefficients have a gradient of their own too
    total = (out * grad).sum() + alpha.square().sum()
    return (out, alpha, *torch.autograd.grad(total, list(inputs.values())))


@needs_native
@settings(max_examples=60, deadline=None)
@given(
    edges=relations,
    heads=heads,
    width=widths,
    kind=st.sampled_from(KINDS),
    features=st.sampled_from([1, 2, 5]),
    dropout=st.sampled_from([0.0, 0.4]),
    slope=st.sampled_from([0.2, 1.0]),
)
def test_values_and_gradients_are_plain_pytorchs(
    edges, heads, width, kind, features, dropout, slope
):
    """Catches any error of arithmetic, of any shape: empty, isolated, repeated, one of each."""
    inputs, grad = random_message(edges, heads, width, kind, features)
    options = {"dropout": dropout, "slope": slope}
    found = run(edges, inputs, grad, "native", **options)
    assert_near(found, run(edges, inputs, grad, "torch", **options), 1e-11, 10.0)


@needs_native
@pytest.mark.parametrize("level", range(len(LEVELS)))
@pytest.mark.parametrize("shape", [(4, 16), (1, 64), (8, 8), (3, 5), (17, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_instruction_set_gives_the_same(monkeypatch, level, shape, dtype):
    """Catches an error in one set only, or where a node's edges take more than one chunk."""
    library = dataclasses.replace(find_library(), level=level)
    monkeypatch.setattr(module, "find_library", lambda: library)
    edges = random_edges(900, 3, 4000)
    inputs, grad = random_message(edges, *shape, "gate and fade", dtype=dtype)
    exact = {name: one.detach().double().requires_grad_() for name, one in inputs.items()}
    found = run(edges, inputs, grad, "native")
    near = 2e-5 if dtype == torch.float32 else 1e-12
    assert_near(found, run(edges, exact, grad.double(), "torch"), near, 10.0)


@needs_native
def test_the_number_of_threads_changes_no_bit():
    """Catches a sum whose order depends on which thread comes first."""
    edges = random_edges(3000, 500, 40_000)
    inputs, grad = random_message(edges, 4, 16, "gate and fade", dtype=torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(run(edges, inputs, grad, "native"))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@pytest.mark.parametrize("kernels", [pytest.param("native", marks=needs_native), "torch"])
def test_with_nothing_by_edge_it_is_attend(kernels):
    """Catches a second attention that is not the first."""
    edges = random_edges(12, 7, 60)
    inputs, _ = random_message(edges, 4, 8, "graph")
    found, _ = attend_messages(
        edges,
        inputs["score_src"],
        inputs["score_dst"],
        Message(inputs["graph"]),
        dropout=0.0,
        kernels=kernels,
    )
    expected = attend(edges, *inputs.values())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kernels", [pytest.param("native", marks=needs_native), "torch"])
def test_large_numbers_do_not_overflow_and_what_is_not_a_number_is_seen(kernels):
    """Catches exp of a large logit, and a diverged model whose output looks sound."""
    edges = random_edges(6, 4, 20)
    inputs, grad = random_message(edges, 2, 5, "gate and fade")
    with torch.no_grad():
        inputs["logit"].mul_(1e4)
        inputs["score_edge"].mul_(1e4)
    assert all(torch.isfinite(one).all() for one in run(edges, inputs, grad, kernels))
    for name in ("score_edge", "feat", "fade"):
        broken = {key: one.detach().clone().requires_grad_() for key, one in inputs.items()}
        with torch.no_grad():
            broken[name][0] = float("nan")
        out = run(edges, broken, grad, kernels)[0]
        assert out[edges.target[0].long()].isnan().any()
        assert not out[edges.in_degree == 0].isnan().any()


@pytest.mark.parametrize("name", ["score_edge", "fade", "feat"])
def test_features_of_too_few_edges_are_refused(name):
    """Catches native code that reads past the end of a tensor."""
    edges = random_edges(6, 4, 20)
    inputs, grad = random_message(edges, 2, 3, "gate and fade")
    inputs[name] = inputs[name][:-1].detach().requires_grad_()
    with pytest.raises(UsageError, match=f"{name} .*19"):
        run(edges, inputs, grad, "auto")
