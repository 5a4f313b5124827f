"""The layer for DGL models against DGL's GATConv and against plain loops over edges."""

import copy

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import finrec_dgl
from finrec_dgl.base.errors import ConfigError, UsageError
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels import Edges
from finrec_dgl.kernels.library import find_library
from finrec_dgl.nn import FusionGATConv

N_SRC, N_DST, N_EDGES = 7, 5, 16
IN_SRC, IN_DST, OUT, HEADS, TEXT, EDGE = 4, 3, 3, 2, 5, 2


def pairs(seed=0, edges=N_EDGES):
    """Edges that repeat, and nodes without any: the last source and the last destination."""
    made = torch.Generator().manual_seed(seed)
    source, target = (torch.randint(n - 1, (edges,), generator=made) for n in (N_SRC, N_DST))
    source[-1], target[-1] = source[0], target[0]
    return source, target


def bipartite(seed=0):
    """A relation from users to items."""
    sizes = {"user": N_SRC, "item": N_DST}
    return dgl.heterograph({("user", "buys", "item"): pairs(seed)}, sizes)


def block(seed=0):
    """The same edges in a block, where destination nodes are the first source nodes."""
    return dgl.create_block(pairs(seed), N_SRC, N_DST)


def random_inputs(seed=0, device="cpu", dtype=torch.float64, edges=N_EDGES):
    """Features of both ends, text, edge features and ages."""
    made = torch.Generator().manual_seed(seed + 1)
    shapes = ((N_SRC, IN_SRC), (N_DST, IN_DST), (N_SRC, TEXT), (edges, EDGE), (edges,))
    found = [torch.randn(*shape, generator=made, dtype=torch.float64) for shape in shapes]
    found[-1] = found[-1].abs() * 10
    return [one.to(device, dtype).requires_grad_() for one in found]


def make(**options):
    """A layer between both kinds of nodes, with weights of some size everywhere."""
    torch.manual_seed(3)
    options = {"allow_zero_in_degree": True, "text_feats": TEXT, **options}
    layer = FusionGATConv((IN_SRC, IN_DST), OUT, HEADS, **options).double()
    with torch.no_grad():
        for one in layer.parameters():
            one.copy_(torch.randn_like(one) * 0.7)
    return layer


def by_loops(layer, edges, feat, text, edge_feat=None, age=None, has_text=None):
    """The formulas of the docstring, one edge after another."""
    source, target = (one.tolist() for one in edges)
    h_src, h_dst = feat
    attn_l, attn_r = layer.attn_l[0], layer.attn_r[0]
    by_dst = [[] for _ in h_dst]
    for e, (j, i) in enumerate(zip(source, target, strict=True)):
        graph = (layer.fc_src.weight @ h_src[j]).view(HEADS, OUT)
        own = message = graph
        fade = 1.0
        if age is not None:
            fade = (2.0 ** (-age[e] / layer.half_life)).unsqueeze(1)
            message = graph * fade
        if layer.fusion != "graph":
            words = (layer.fc_text.weight @ text[j]).view(HEADS, OUT)
        if layer.fusion == "sum":
            own, message = graph + words, graph * fade + words
        if layer.fusion == "gate":
            logit = layer.gate.weight @ torch.cat([text[j], h_src[j]]) + layer.gate.bias
            known = 1.0 if has_text is None else float(has_text[j])
            node = torch.sigmoid(logit).view(HEADS, OUT) * known
            own = node * words + (1 - node) * graph
            if edge_feat is not None:
                logit = logit + layer.edge_gate.weight @ edge_feat[e]
            gate = torch.sigmoid(logit).view(HEADS, OUT) * known
            message = gate * words + (1 - gate) * fade * graph
        score = (own * attn_l).sum(1)
        score = score + ((layer.fc_dst.weight @ h_dst[i]).view(HEADS, OUT) * attn_r).sum(1)
        if edge_feat is not None:
            score = score + layer.attn_e[0] @ edge_feat[e]
        by_dst[i].append((functional.leaky_relu(score, layer.negative_slope), message))
    rows = []
    for received in by_dst:
        out = torch.zeros(HEADS, OUT, dtype=h_dst.dtype)
        if received:
            alpha = torch.softmax(torch.stack([score for score, _ in received]), dim=0)
            out = sum(alpha[n].unsqueeze(1) * one for n, (_, one) in enumerate(received))
        rows.append(out + layer.bias.view(HEADS, OUT))
    return torch.stack(rows)


def assert_same_gradients(outs, inputs, rtol=1e-9, atol=1e-11):
    """Values and gradients of both ``outs`` with respect to ``inputs``."""
    torch.testing.assert_close(*outs, rtol=rtol, atol=atol)
    weight = torch.randn_like(outs[0])
    grads = [
        torch.autograd.grad((out * weight).sum(), inputs, allow_unused=True, retain_graph=True)
        for out in outs
    ]
    for one, other in zip(*grads, strict=True):
        if one is None or other is None:
            assert all(given is None or not given.any() for given in (one, other))
        else:
            torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


CASES = {
    "gate": {},
    "sum": {"fusion": "sum"},
    "graph": {"fusion": "graph", "text_feats": None},
    "edges": {"edge_feats": EDGE},
    "time": {"half_life": 5.0},
    "edges and time": {"edge_feats": EDGE, "half_life": [2.0, 9.0]},
    "sum, edges and time": {"fusion": "sum", "edge_feats": EDGE, "half_life": 3.0},
    "graph, edges and time": {
        **{"fusion": "graph", "text_feats": None},
        **{"edge_feats": EDGE, "half_life": 3.0},
    },
}


def taken(layer, text, edge_feat, age):
    """What of the features the layer takes."""
    return {
        "text": text if layer.text_feats else None,
        "edge_feat": edge_feat if layer.edge_feats else None,
        "age": age if layer.half_life is not None else None,
    }


needs_native = pytest.mark.skipif(find_library().handle is None, reason=find_library().told)
each_kernel = pytest.mark.parametrize(
    "kernels", [pytest.param("native", marks=needs_native), "torch"]
)


@each_kernel
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_it_equals_the_formula_edge_by_edge_with_gradients(case, seed, kernels):
    """Catches a term on the wrong end, a missing weight, an edge's features given to another."""
    layer = make(**CASES[case], kernels=kernels)
    h_src, h_dst, *rest = random_inputs(seed)
    given = taken(layer, *rest)
    ours = layer(bipartite(seed), (h_src, h_dst), **given)
    plain = by_loops(layer, pairs(seed), (h_src, h_dst), **given)
    assert_same_gradients((ours, plain), [h_src, h_dst, *rest, *layer.parameters()])


@each_kernel
@pytest.mark.parametrize("case", ["gate", "time", "edges and time"])
def test_a_node_without_text_sends_the_graph_alone(case, kernels):
    """Catches a gate that lets the empty text of a node through, or is not a number there."""
    layer = make(**CASES[case], kernels=kernels)
    h_src, h_dst, *rest = random_inputs(4)
    given = {**taken(layer, *rest), "has_text": torch.arange(N_SRC) % 2 == 0}
    ours = layer(bipartite(4), (h_src, h_dst), **given)
    plain = by_loops(layer, pairs(4), (h_src, h_dst), **given)
    assert_same_gradients((ours, plain), [h_src, h_dst, *rest, *layer.parameters()])


@each_kernel
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_finite_differences(case, kernels):
    """Catches a backward pass that a reference by autograd would share the error of."""
    layer, inputs, graph = make(**CASES[case], kernels=kernels), random_inputs(1), bipartite(1)

    def run(h_src, h_dst, *rest):
        return layer(graph, (h_src, h_dst), **taken(layer, *rest))

    assert torch.autograd.gradcheck(run, inputs)


def test_many_edges_are_summed_in_parts(monkeypatch):
    """Catches an edge that is lost, or counted twice, where one part of the edges ends."""
    layer = make(**CASES["edges and time"], kernels="torch")
    h_src, h_dst, *rest = random_inputs()
    given = taken(layer, *rest)
    inputs = [h_src, h_dst, *rest, *layer.parameters()]
    whole = layer(bipartite(), (h_src, h_dst), **given)
    expected = torch.autograd.grad(whole.square().sum(), inputs)
    monkeypatch.setattr("finrec_dgl.kernels.messages._CHUNK", 3)
    parted = layer(bipartite(), (h_src, h_dst), **given)
    torch.testing.assert_close(parted, whole, rtol=1e-12, atol=1e-13)
    found = torch.autograd.grad(parted.square().sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


STOCK = [
    {},
    {"bias": False},
    {"residual": True},
    {"residual": True, "bias": False, "activation": functional.elu},
    {"activation": functional.relu, "negative_slope": 0.05},
]


def stock_and_ours(in_feats, options):
    """DGL's layer, and ours with its weights."""
    torch.manual_seed(5)
    stock = dgl.nn.GATConv(in_feats, OUT, HEADS, allow_zero_in_degree=True, **options).double()
    with torch.no_grad():
        for one in stock.parameters():
            one.add_(torch.randn_like(one) * 0.3)
    ours = FusionGATConv(
        in_feats, OUT, HEADS, fusion="graph", allow_zero_in_degree=True, **options
    ).double()
    ours.load_state_dict(stock.state_dict())
    return stock, ours


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("options", STOCK)
@pytest.mark.parametrize("kind", ["pair", "one map", "equal width", "block", "homogeneous"])
def test_without_fusion_it_is_dgls_gatconv(kind, options, attention):
    """Catches a weight of another name or meaning, and any other output or gradient."""
    h_src, h_dst, *_ = random_inputs()
    in_feats, graph, feat = (IN_SRC, IN_DST), bipartite(), (h_src, h_dst)
    if kind == "equal width":  # a residual without a map
        h_dst = torch.randn(N_DST, OUT * HEADS, dtype=torch.float64, requires_grad=True)
        in_feats, feat = (IN_SRC, OUT * HEADS), (h_src, h_dst)
    elif kind == "one map":
        h_dst = torch.randn(N_DST, IN_SRC, dtype=torch.float64, requires_grad=True)
        in_feats, feat = IN_SRC, (h_src, h_dst)
    elif kind in ("block", "homogeneous"):
        graph = block() if kind == "block" else dgl.graph(pairs(), num_nodes=N_SRC)
        in_feats, feat = IN_SRC, h_src
    stock, ours = stock_and_ours(in_feats, options)
    theirs = stock(graph, feat, get_attention=attention)
    found = ours(graph, feat, get_attention=attention)
    if attention:
        torch.testing.assert_close(found[1], theirs[1], rtol=1e-12, atol=1e-14)
        theirs, found = theirs[0], found[0]
    torch.testing.assert_close(found, theirs, rtol=1e-11, atol=1e-13)
    weight = torch.randn_like(theirs)
    grads = []
    for layer, out in ((stock, theirs), (ours, found)):
        by_name = sorted(layer.named_parameters())
        inputs = [h_src, *([h_dst] if isinstance(feat, tuple) else []), *(p for _, p in by_name)]
        grads.append(torch.autograd.grad((out * weight).sum(), inputs))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_weights_start_as_those_of_dgls_gatconv():
    """Catches a start of other size, which trains otherwise with the same settings."""
    torch.manual_seed(0)
    stock = dgl.nn.GATConv((300, 200), 32, 4)
    ours = FusionGATConv((300, 200), 32, 4, text_feats=100, edge_feats=8, half_life=1.0)
    for name, one in stock.named_parameters():
        spread = [float(weight.detach().std()) for weight in (ours.get_parameter(name), one)]
        assert spread[0] == pytest.approx(spread[1], rel=0.3)


@pytest.mark.parametrize("passed", ["by name", "by position", "in the graph"])
def test_it_works_inside_heterographconv(passed):
    """Catches features that do not reach the layer of their relation."""
    source, target = pairs()
    edges = {
        ("user", "buys", "item"): (source, target),
        ("item", "bought", "user"): (target, source),
    }
    graph = dgl.heterograph(edges, {"user": N_SRC, "item": N_DST})
    torch.manual_seed(1)
    options = {"edge_feats": EDGE, "half_life": 4.0, "allow_zero_in_degree": True}
    layers = {
        "buys": FusionGATConv((IN_SRC, IN_DST), OUT, HEADS, text_feats=TEXT, **options),
        "bought": FusionGATConv((IN_DST, IN_SRC), OUT, HEADS, fusion="graph", **options),
    }
    model = dgl.nn.HeteroGraphConv(layers).double()
    users, items, text, edge_feat, age = random_inputs()
    feat = {"user": users, "item": items}
    by_relation = {"buys": (text, edge_feat, age), "bought": (None, edge_feat, age)}
    names = ("text", "edge_feat", "age")
    given = {}
    if passed == "by name":
        given["mod_kwargs"] = {
            one: dict(zip(names, values, strict=True)) for one, values in by_relation.items()
        }
    elif passed == "by position":
        given["mod_args"] = by_relation
    else:
        graph.nodes["user"].data["text"] = text
        for one in by_relation:
            graph.edges[one].data.update({"feat": edge_feat, "age": age})
    out = model(graph, feat, **given)
    expected = layers["buys"](bipartite(), (users, items), text, edge_feat, age)
    torch.testing.assert_close(out["item"], expected, rtol=1e-12, atol=1e-13)
    assert out["user"].shape == (N_SRC, HEADS, OUT)


def test_it_takes_sampled_blocks():
    """Catches edges of a block taken in another order than their features are."""
    graph = dgl.graph(pairs(2), num_nodes=N_SRC)
    sampler = dgl.dataloading.NeighborSampler([-1], prefetch_edge_feats=["feat"])
    h, _, text, edge_feat, _ = random_inputs(2)
    graph.edata["feat"] = edge_feat.detach()
    seeds = torch.tensor([3, 1, 0])
    sources, _, (one,) = sampler.sample(graph, seeds)
    torch.manual_seed(2)
    layer = FusionGATConv(IN_SRC, OUT, HEADS, text_feats=TEXT, edge_feats=EDGE).double()
    layer.set_allow_zero_in_degree(True)
    whole = layer(graph, h, text=text)
    edge_feat = graph.edata["feat"][one.edata[dgl.EID]]
    found = layer(one, h[sources], text=text[sources], edge_feat=edge_feat)
    torch.testing.assert_close(found, whole[seeds], rtol=1e-12, atol=1e-13)


def test_a_graph_in_compressed_form_keeps_the_order_of_its_edges():
    """Catches edge features given to the edges as they are sorted, not as they are numbered."""
    source, target = pairs(3)
    order = torch.argsort(target, stable=True)
    counts = torch.bincount(target, minlength=N_SRC)
    indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    layer = FusionGATConv(
        IN_SRC, OUT, HEADS, text_feats=TEXT, edge_feats=EDGE, allow_zero_in_degree=True
    ).double()
    h, _, text, edge_feat, _ = random_inputs(3)
    expected = layer(dgl.graph((source, target), num_nodes=N_SRC), h, text, edge_feat)
    for ids in (order, torch.zeros(0).long()):  # without ids, edges are numbered as they stand
        csc = dgl.graph(("csc", (indptr, source[order], ids)), num_nodes=N_SRC)
        assert csc.formats()["created"] == ["csc"]
        given = edge_feat if len(ids) else edge_feat[order]
        grads = [
            torch.autograd.grad(one.square().sum(), [h, text, edge_feat], retain_graph=True)
            for one in (layer(csc, h, text, given), expected)
        ]
        for one, other in zip(*grads, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_a_graph_that_was_changed_is_read_anew():
    """Catches edges kept from before an edge was added or replaced."""
    layer = FusionGATConv(IN_SRC, OUT, HEADS, fusion="graph", allow_zero_in_degree=True).double()
    h = random_inputs()[0]
    graph = dgl.graph(pairs(), num_nodes=N_SRC)
    layer(graph, h)
    kept = layer._last.of(graph)
    assert layer._last.of(graph) is kept
    graph.remove_edges([0])
    graph.add_edges([5], [0])
    fresh = dgl.graph(graph.edges(order="eid"), num_nodes=N_SRC)
    other = copy.deepcopy(layer)
    assert other._last._edges is None
    torch.testing.assert_close(layer(graph, h), other(fresh, h), rtol=0, atol=0)


def test_native_code_and_plain_pytorch_agree_in_single_precision():
    """Catches a layer whose native path has the weights of another."""
    torch.manual_seed(6)
    width = 32
    layers = [
        FusionGATConv(width, 8, 4, text_feats=width, allow_zero_in_degree=True, kernels=kernels)
        for kernels in ("auto", "torch")
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    graph = dgl.rand_graph(50, 400)
    feat, text = torch.randn(50, width), torch.randn(50, width)
    ours, plain = (layer(graph, feat, text=text) for layer in layers)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


def test_dropout_falls_in_training_alone():
    """Catches dropout in use, or attention weights returned that are not those used."""
    layer = make(edge_feats=EDGE, attn_drop=0.5, feat_drop=0.2)
    h_src, h_dst, text, edge_feat, _ = random_inputs()

    def run():
        return layer(bipartite(), (h_src, h_dst), text, edge_feat, get_attention=True)

    assert bool((run()[1] == 0).any())
    layer.eval()
    torch.testing.assert_close(run()[0], run()[0], rtol=0, atol=0)
    alpha = run()[1].squeeze(2)
    total = torch.zeros(N_DST, HEADS, dtype=torch.float64).index_add(0, pairs()[1], alpha)
    has_edge = torch.bincount(pairs()[1], minlength=N_DST) > 0
    torch.testing.assert_close(total[has_edge], torch.ones_like(total[has_edge]))


def test_a_relation_without_edges_gives_the_bias():
    """Catches a softmax over nothing."""
    graph = dgl.create_block((torch.zeros(0).long(), torch.zeros(0).long()), N_SRC, N_DST)
    for options in CASES.values():
        layer, (h_src, h_dst, *rest) = make(**options), random_inputs(edges=0)
        out = layer(graph, (h_src, h_dst), **taken(layer, *rest))
        torch.testing.assert_close(out, layer.bias.view(1, HEADS, OUT).expand_as(out))
        out.sum().backward()
        assert torch.isfinite(h_src.grad).all()


def test_a_node_without_edges_is_refused_unless_allowed():
    """Catches outputs that say nothing, in the dark."""
    layer, (h_src, h_dst, *rest) = make(allow_zero_in_degree=False), random_inputs()
    with pytest.raises(UsageError, match="1 destination nodes have no incoming edge"):
        layer(bipartite(), (h_src, h_dst), text=rest[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": None}, "text is missing"),
        ({"edge_feat": None}, r"graph.edata\['feat'\]"),
        ({"text": torch.zeros(N_DST, TEXT)}, "text is"),
        ({"edge_feat": torch.zeros(3, EDGE)}, "edge_feat is"),
        ({"age": torch.zeros(N_EDGES)}, "age has no effect"),
        ({"has_text": torch.ones(3).bool()}, "has_text is"),
        ({"feat": torch.zeros(N_SRC, IN_DST)}, "feat of the source nodes"),
    ],
)
def test_features_that_do_not_fit_are_refused(change, words):
    """Catches an error message from the depths of a product of matrices."""
    layer = make(edge_feats=EDGE)
    h_src, h_dst, text, edge_feat, _ = random_inputs()
    given = {"feat": (h_src, h_dst), "text": text, "edge_feat": edge_feat, **change}
    with pytest.raises(UsageError, match=words):
        layer(bipartite(), **given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fusion": "gat"}, "did you mean 'gate'"),
        ({"text_feats": None}, "needs text_feats"),
        ({"fusion": "graph"}, "text_feats has no effect"),
        ({"half_life": [1.0]}, "1 numbers for 2 heads"),
        ({"half_life": 0.0}, "half_life is not above 0"),
        ({"edge_feats": -1}, "edge_feats is -1"),
        ({"attn_drop": 1.0}, "attn_drop is 1"),
        ({"negative_slope": 0.0}, "negative_slope is 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    """Catches an option that is passed over, or fails when the layer is first called."""
    with pytest.raises(ConfigError, match=words):
        make(**options)


def test_it_is_public_and_is_saved_without_its_graph(tmp_path):
    """Catches a name that the package does not give, and a graph in a file of weights."""
    assert finrec_dgl.FusionGATConv is FusionGATConv
    layer = make(half_life=3.0)
    h_src, h_dst, text, _, age = random_inputs()
    before = layer(bipartite(), (h_src, h_dst), text, age=age)
    torch.save(layer, tmp_path / "layer.pt")
    again = torch.load(tmp_path / "layer.pt", weights_only=False)
    assert again._last._edges is None
    after = again(bipartite(), (h_src, h_dst), text, age=age)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


class OneDevice(TorchDispatchMode):
    """Fails where a tensor is made, or used, on another device."""

    def __init__(self, device):
        super().__init__()
        self.device, self.seen = torch.device(device).type, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves((args, kwargs, out)):
            if isinstance(one, torch.Tensor):
                self.seen += 1
                assert one.device.type == self.device, f"{func} on {one.device}"
        return out


DEVICES = [
    "meta",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


def run_on(device, options):
    """A layer forward and backward, without DGL: the output and the gradients of its inputs."""
    source, target = (one.int().to(device) for one in pairs())
    layer = make(**options).to(device)
    inputs = random_inputs(device=device)
    edges = Edges.unchecked(N_SRC, N_DST, source, target)
    with OneDevice(device) as mode:
        out = layer(edges, tuple(inputs[:2]), **taken(layer, *inputs[2:]))
        grads = torch.autograd.grad(out.sum(), inputs, allow_unused=True)
    assert mode.seen > 50
    return [out, *(one for one in grads if one is not None)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("device", DEVICES)
def test_nothing_leaves_the_device(device, case):
    """Catches a tensor made on the CPU, or native code given the memory of a GPU."""
    found = run_on(device, CASES[case])
    assert all(one.device.type == device for one in found)
    if device != "meta":
        for one, other in zip(found, run_on("cpu", CASES[case]), strict=True):
            torch.testing.assert_close(one.cpu(), other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("device", DEVICES[1:])
def test_edges_are_sorted_where_they_are(device):
    """Catches orders of edges made on the CPU for a graph on a GPU."""
    source, target = (one.int().to(device) for one in pairs())
    edges = Edges.unchecked(N_SRC, N_DST, source, target)
    with OneDevice(device):
        count, by_sender = edges.in_degree, edges.by_sender
    assert count.tolist() == torch.bincount(pairs()[1], minlength=N_DST).tolist()
    assert len(by_sender.indices) == len(edges)


def test_features_on_another_device_are_refused():
    """Catches native code given memory that it cannot read."""
    layer = make(fusion="graph", text_feats=None)
    h_src, h_dst, *_ = random_inputs(device="meta")
    with pytest.raises(UsageError, match="on meta"):
        layer(bipartite(), (h_src, h_dst))
