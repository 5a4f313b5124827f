"""The gate and the mixing of relations by native code are what plain PyTorch makes of formulas."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_relations import assert_near, needs_native

from finrec_dgl.kernels import GateWeights, by_node, gates, mix, nodes
from finrec_dgl.kernels.library import LEVELS, find_library

pytestmark = needs_native

rows = st.sampled_from([0, 1, 2, 5, 47, 48, 49, 97, 800])
dims = st.sampled_from([16, 32, 48, 64, 80, 256])


def draw(*shapes, seed=0, dtype=torch.float64, scale=1.0):
    """Numbers that need a gradient, the same in either precision."""
    made = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(*shape, generator=made, dtype=torch.float64) * scale).to(dtype)
        for shape in shapes
    ]


def gate_inputs(rows, dim, heads, dtype=torch.float64):
    """Text, states, whether there is text, and weights."""
    text, state = draw((rows, dim), (rows, dim), dtype=dtype)
    has_text = torch.rand(rows, generator=torch.Generator().manual_seed(2)) < 0.7
    shapes = ((dim, 2 * dim), (dim,), (dim, dim), (dim, dim), (heads, dim // heads))
    return text, state, has_text, *draw(*shapes, seed=1, dtype=dtype, scale=dim**-0.5)


def plain_gate(text, state, has_text, weight, bias, text_map, graph_map, attend_src):
    """The formula."""
    share = torch.sigmoid(torch.cat([text, state], 1) @ weight.T + bias) * has_text.unsqueeze(1)
    value = share * (text @ text_map.T) + (1 - share) * (state @ graph_map.T)
    return value, (value.unflatten(1, attend_src.shape) * attend_src).sum(-1)


def gate(text, state, has_text, *weights):
    """What is sent in one relation."""
    [sent], _ = gates(text, state, has_text, [GateWeights(*weights)])
    return tuple(sent)


def gates_inputs(rows, dim, heads, relations, owns, received, dtype=torch.float64):
    """Text, states, whether there is text; weights by relation, and of receivers' scores."""
    text, state, has_text, *first = gate_inputs(rows, dim, heads, dtype)
    shapes = [one.shape for one in first]
    drawn = [first, *(draw(*shapes, seed=20 + k, scale=dim**-0.5) for k in range(relations - 1))]
    weights = [GateWeights(*(one.to(dtype) for one in each)) for each in drawn]
    scores = draw(*[(heads, dim)] * owns, seed=30, dtype=dtype, scale=dim**-0.5)
    return text, state, has_text, weights, scores, received


def flat_gates(*inputs):
    """All that native code gives, in a row."""
    sent, own = gates(*inputs)
    return (*(one for pair in sent for one in pair), *own)


def plain_gates(text, state, has_text, weights, to_scores, received):
    """The formula by relation, and the receivers' scores."""
    sent = [one for each in weights for one in plain_gate(text, state, has_text, *each)]
    return (*sent, *(state[:received] @ one.T for one in to_scores))


def mix_inputs(rows, dim, relations, dtype=torch.float64):
    """Outputs, present, states, own weights, and the mixer's."""
    present = torch.rand(relations, rows, generator=torch.Generator().manual_seed(3)) < 0.6
    outs = draw(*[(rows, dim)] * relations, seed=4, dtype=dtype)
    outs = [one * there.unsqueeze(1) for one, there in zip(outs, present, strict=True)]
    state, own = draw((rows, dim), (dim, dim), seed=5, dtype=dtype)
    mixer = draw((dim, dim), (relations, dim), (dim,), seed=6, dtype=dtype, scale=dim**-0.5)
    return outs, present, state, own, mixer if relations > 1 else None


def plain_mix(outs, present, state, own, mixer, *, relu):
    """The formula, of relations that are present."""
    if mixer is None:
        mixed = outs[0]
    else:
        transform, bias, query = mixer
        weight = (
            torch.stack([torch.tanh(o @ transform.T + b) for o, b in zip(outs, bias, strict=True)])
            @ query
        )
        weight = weight.masked_fill(~present, float("-inf"))
        weight = weight.masked_fill(~present.any(0), 0.0)
        mixed = (torch.softmax(weight, 0).unsqueeze(-1) * torch.stack(outs)).sum(0)
    state = mixed + state @ own.T
    return torch.relu(state) if relu else state


def with_gradients(function, inputs, wanted, **options):
    """Outputs, and the gradients of ``wanted`` for outputs weighed at random."""
    outs = function(*inputs, **options)
    outs = outs if isinstance(outs, tuple) else (outs,)
    weights = draw(*[one.shape for one in outs], seed=9, dtype=outs[0].dtype)
    return (*outs, *torch.autograd.grad(outs, wanted, weights))


def at_level(monkeypatch, level):
    """Have native code use the instruction set ``level``, or the best below it there is."""
    library = dataclasses.replace(find_library(), level=level)
    monkeypatch.setattr(nodes, "find_library", lambda: library)


@settings(max_examples=60, deadline=None)
@given(rows=rows, dim=dims, heads=st.sampled_from([1, 2, 4, 16]), text=st.booleans())
def test_the_gate_is_the_formulas_with_its_gradients(rows, dim, heads, text):
    """Catches any error of arithmetic or of a block's edge, at any number of rows and columns."""
    inputs = gate_inputs(rows, dim, heads)
    wanted = [one.requires_grad_() for one in (inputs[0], inputs[1], *inputs[3:])]
    wanted = wanted if text else wanted[1:]
    found = with_gradients(gate, inputs, wanted)
    assert_near(found, with_gradients(plain_gate, inputs, wanted), 1e-12)


@settings(max_examples=60, deadline=None)
@given(
    rows=rows,
    dim=dims,
    heads=st.sampled_from([1, 2, 4, 16]),
    relations=st.integers(1, 3),
    owns=st.integers(0, 3),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    text=st.booleans(),
)
def test_relations_at_once_are_each_by_itself(rows, dim, heads, relations, owns, share, text):
    """Catches a gradient that one relation loses to another, and scores of the wrong receivers."""
    inputs = gates_inputs(rows, dim, heads, relations, owns, int(rows * share))
    texts, state, _, weights, scores, _ = inputs
    wanted = [one for each in weights for one in each] + [state, *scores, *([texts] * text)]
    wanted = [one.requires_grad_() for one in wanted]
    found = with_gradients(flat_gates, inputs, wanted)
    assert_near(found, with_gradients(plain_gates, inputs, wanted), 1e-12)


def test_many_heads_of_receivers_are_plain():
    """Catches scores of receivers past the room that native code has for them."""
    inputs = gates_inputs(50, 64, 64, 1, 5, 30)
    assert_near(flat_gates(*inputs), plain_gates(*inputs), 1e-12)


@settings(max_examples=60, deadline=None)
@given(rows=rows, dim=dims, relations=st.integers(1, 4), relu=st.booleans())
def test_the_mixing_is_the_formulas_with_its_gradients(rows, dim, relations, relu):
    """Catches a softmax over what is absent, a lost bias, or a gradient that the ReLU stops."""
    outs, present, state, own, mixer = inputs = mix_inputs(rows, dim, relations)
    wanted = [one.requires_grad_() for one in (state, own, *(mixer or ()), *outs)]
    found = with_gradients(mix, inputs, wanted, relu=relu)
    expected = with_gradients(plain_mix, inputs, wanted, relu=relu)
    # what a relation that is absent brought is zero whatever its gradient
    absent = [~there.unsqueeze(1) for there in present]
    clean = [
        (
            *one[:-relations],
            *(g.masked_fill(a, 0) for g, a in zip(one[-relations:], absent, strict=True)),
        )
        for one in (found, expected)
    ]
    assert_near(*clean, 1e-12)


@pytest.mark.parametrize("level", range(len(LEVELS)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [48, 64])
def test_each_instruction_set_gives_the_same(monkeypatch, level, dtype, dim):
    """Catches an error in one set only, and a polynomial that loses digits in float32."""
    at_level(monkeypatch, level)
    near = 1e-5 if dtype == torch.float32 else 1e-12
    for function, plain, make, options in (
        (gate, plain_gate, gate_inputs, {}),
        (mix, plain_mix, mix_inputs, {"relu": True}),
    ):
        results = []
        for run, kind in ((function, dtype), (plain, torch.float64)):
            inputs = make(500, dim, 4, dtype=kind)
            flat = [one for part in inputs for one in (part if isinstance(part, list) else [part])]
            wanted = [one.requires_grad_() for one in flat if one.is_floating_point()]
            found = with_gradients(run, inputs, wanted, **options)
            # without the gradients of what relations brought, where some are absent
            results.append((found[0], *found[5:]) if make is mix_inputs else found)
        assert_near(*results, near)


def test_the_number_of_threads_changes_no_bit():
    """Catches weights' gradients summed in the order that threads finish in."""
    before, found = torch.get_num_threads(), []
    inputs = gate_inputs(3000, 64, 4, dtype=torch.float32)
    outs, present, state, own, mixer = mixed = mix_inputs(3000, 64, 3, dtype=torch.float32)
    for_gate = [one.requires_grad_() for one in (*inputs[:2], *inputs[3:])]
    for_mix = [one.requires_grad_() for one in (state, own, *mixer, *outs)]
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(
                with_gradients(gate, inputs, for_gate)
                + with_gradients(mix, mixed, for_mix, relu=False)
            )
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_saturate_and_what_is_not_a_number_is_seen(dtype):
    """Catches exp that overflows in gate or mixer, and a diverged model that looks sound."""
    inputs = list(gate_inputs(60, 32, 2, dtype=dtype))
    inputs[4] = torch.linspace(-1e4, 1e4, 32, dtype=dtype)
    assert_near(gate(*inputs), plain_gate(*inputs), 1e-5)
    inputs[1][7, 3] = float("nan")
    value, _ = gate(*inputs)
    assert value[7].isnan().all()
    assert not value[:7].isnan().any()
    outs, present, state, own, (transform, bias, query) = mix_inputs(60, 32, 2, dtype=dtype)
    given = outs, present, state, own, (transform * 1e3, bias, query * 1e3)
    assert_near([mix(*given, relu=False)], [plain_mix(*given, relu=False)], 1e-4)
    outs[0][7, 3] = float("nan")
    present[0, 7] = True
    assert mix(*given, relu=True)[7].isnan().all()


def test_only_what_fits_is_taken():
    """Catches columns past the end of a row, or types that native code has nothing for."""
    assert by_node("auto", torch.zeros(3, 64))
    assert not by_node("torch", torch.zeros(3, 64))
    assert not by_node("auto", torch.zeros(3, 24))
    assert not by_node("auto", torch.zeros(3, 272))
    assert not by_node("auto", torch.zeros(3, 64, dtype=torch.bfloat16))
    assert not by_node("auto", torch.zeros(3, 64), torch.zeros(3, 64).double())
