"""The pair readout where candidates alone are scored: the same numbers at fewer items."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pair_models import PAIR, make_pair
from pretend_device import DEVICE, Elsewhere, PretendDevice, numbers
from snapshots import make_dated_snapshot, with_pairs

from finrec_dgl.nn import Asked
from finrec_dgl.relations import GraphTensors, Relation, base, register_relation
from finrec_dgl.relations import candidates as candidates_module
from finrec_dgl.relations.batch import log_share
from finrec_dgl.relations.text_near import described
from finrec_dgl.sampling import Fanouts

MANY = 1_000
FEW = replace(PAIR, all_items=5, candidates=MANY, near=MANY, ease_near=MANY, text_channels=False)
EVERY = replace(FEW, all_items=MANY)
USERS = [4, 0, 11, 29]


@pytest.fixture
def snapshot():
    """A graph with ties, texts, categories and dates."""
    return make_dated_snapshot(9, items=40, edges=260)


def both(snapshot, **switches):
    """The same weights, with every item scored and with candidates."""
    dense = make_pair(snapshot, pair=EVERY, **switches)
    sparse = make_pair(snapshot, pair=FEW, **switches)
    sparse.load_state_dict(dense.state_dict())
    return dense.eval(), sparse.eval()


def evidence_in(model, snapshot, asked=None, device="cpu"):
    """What the graph says of USERS."""
    view = GraphTensors(snapshot, device)
    return model.evidence(view, view.seeds(USERS), asked)


@pytest.mark.parametrize("switch", [{}, {"social": False}, {"stream_one": False}], ids=str)
def test_channels_at_the_slots_are_those_of_all_items(snapshot, switch):
    """Catches a message at another item's slot, a total that misses items, a share of others."""
    dense, sparse = both(snapshot, text=False, **switch)
    with torch.no_grad():
        whole = evidence_in(dense, snapshot)
        some = evidence_in(sparse, snapshot)
        slots = sparse.slots(some)
        names = [
            name
            for one in dense.listed()
            if not (one.learned or one.per_item)
            for name in one.channel_names()
        ]
        for number, name in enumerate(names):
            if name.startswith("spectral"):
                continue  # its shares are among the candidates
            expected = whole.pairs[..., number].gather(1, slots.at)
            found = some.pairs[..., number]
            torch.testing.assert_close(
                found[slots.there], expected[slots.there], rtol=1e-3, atol=1e-3, msg=name
            )
        for one in dense.listed():
            if one.learned:
                expected = one(whole.batch, whole.sampled[one.name])
                found = sparse.relations[one.name](some.batch, some.sampled[one.name])
                at = slots.at.unsqueeze(2).expand_as(found)
                there = slots.there.unsqueeze(2).expand_as(found)
                expected = expected.gather(1, at)
                torch.testing.assert_close(
                    found[there], expected[there], rtol=1e-3, atol=1e-3, msg=one.name
                )
    assert slots.there.sum() > 40
    assert {name.split()[0] for name in names} >= {"cosine", "ease"}


def test_a_seed_has_each_candidate_once_and_nothing_that_it_knows(snapshot):
    """Catches an item that is scored twice, one of the history, and a list that is cut short."""
    _, model = both(snapshot)
    evidence = evidence_in(model, snapshot)
    slots, matrix = model.slots(evidence), snapshot.matrix().toarray() > 0
    for row, user in enumerate(USERS):
        items = slots.item[row][slots.there[row]].tolist()
        assert len(items) == len(set(items)) > 10
        assert not matrix[user, items].any()
    assert slots.reached == slots.item.shape[1]
    assert (slots.stands_for == 1).all()


def test_training_adds_the_targets_and_a_draw_that_stands_for_the_rest(snapshot, monkeypatch):
    """Catches a target without a slot, a drawn one that counts as a candidate, wrong weights."""
    monkeypatch.setattr(candidates_module, "DRAWN", 15)
    model = make_pair(snapshot, pair=replace(FEW, candidates=8))
    view = GraphTensors(snapshot)
    seeds = view.seeds(USERS)
    free = seeds.free(view.n_items)
    row = torch.tensor([0, 0, 2, 3])
    item = torch.stack([free[one].nonzero()[-1 - place, 0] for place, one in enumerate(row)])
    slots = model.slots(model.evidence(view, seeds, Asked(row, item, key=3)))
    found = slots.item[row] == item.unsqueeze(1)
    assert (found.sum(1) == 1).all()
    assert (slots.item[:, : slots.reached] == model.slots(model.evidence(view, seeds)).item).all()
    drawn = slots.stands_for > 1
    assert drawn.any()
    assert not (drawn & slots.candidates).any()
    for one in range(len(USERS)):
        rest = int(free[one].sum()) - int((slots.there[one] & ~drawn[one]).sum())
        stands = slots.stands_for[one][slots.there[one] & drawn[one]]
        if len(stands):
            assert float(stands.sum()) == pytest.approx(rest, rel=1e-4)


def test_what_is_no_candidate_has_the_floor(snapshot):
    """Catches scores of all items that are other numbers than those of the candidates, or a floor
    above what a message gives."""
    _, model = both(snapshot, text=False)
    model = make_pair(snapshot, text=False, pair=replace(FEW, candidates=6), moved=False).eval()
    view = GraphTensors(snapshot)
    seeds = view.seeds(USERS)
    with torch.no_grad():
        every = model.score_seeds(view, seeds)
        items, scores = model.candidates(view, seeds)
    assert every.shape == (len(USERS), snapshot.n_items)
    assert torch.isfinite(every).all()
    there = items >= 0
    torch.testing.assert_close(every.gather(1, items.clamp(min=0).long())[there], scores[there])
    rest = torch.ones_like(every, dtype=torch.bool)
    for row in range(len(USERS)):
        rest[row, items[row][there[row]].long()] = False
    assert rest.any()
    assert every[rest].mean() < scores[there].mean()


def test_new_items_are_scored_by_their_text(snapshot):
    """Catches new items that are no candidates, or whose score is not that of their like."""
    gone = np.isin(snapshot.pairs.item, np.arange(8))
    snapshot = with_pairs(snapshot, ~gone)
    model = make_pair(snapshot, pair=FEW, moved=False).eval()
    view = GraphTensors(snapshot)
    seeds = view.seeds(np.arange(20))
    with torch.no_grad():
        evidence = model.evidence(view, seeds)
        scores, slots = model(evidence), model.slots(evidence)
    told = (view.item_count == 0) & described(view, FEW)
    new = slots.there & told[slots.at]
    assert new.any(dim=1).sum() > 10
    assert float(scores[new].std()) > 1e-3
    with torch.no_grad():
        model.offset += 7.0
        moved = model(evidence)
    torch.testing.assert_close(moved[new], scores[new] + 7.0, rtol=1e-4, atol=1e-4)
    there = slots.there & ~new
    torch.testing.assert_close(moved[there], scores[there])


def test_windows_can_be_scored_when_their_graph_is_released(snapshot):
    """Catches scores or gradients that read the graph again after its memory was given back."""
    _, model = both(snapshot)
    view = GraphTensors(snapshot)
    evidence = model.evidence(view, view.seeds(USERS))
    expected = model(evidence)
    view.release()
    found = model(evidence)
    torch.testing.assert_close(found, expected)
    found.logsumexp(1).sum().backward()
    assert all(one.grad is not None for name, one in model.named_parameters() if name != "offset")


def test_peers_of_many_users_are_the_same(snapshot, monkeypatch):
    """Catches another number where what is known of users is made of a batch's peers alone."""
    from finrec_dgl.relations import peers

    _, model = both(snapshot)
    expected = model(evidence_in(model, snapshot))
    monkeypatch.setattr(peers, "_MANY_USERS", 0)
    monkeypatch.setattr(peers, "_MANY_PAIRS", 0)
    torch.testing.assert_close(model(evidence_in(model, snapshot)), expected)
    drawn = GraphTensors(snapshot, fanouts=Fanouts((-1, -1, 2), 5))
    some = model(model.evidence(drawn, drawn.seeds(USERS)))
    monkeypatch.undo()
    torch.testing.assert_close(
        model(model.evidence(drawn, drawn.seeds(USERS))), some, rtol=1e-4, atol=1e-4
    )


class OfAllItems(Relation):
    """A relation that knows nothing of slots."""

    name = "of_all_items"

    def channel_names(self):
        return ("even numbers",)

    def sample(self, batch):
        even = torch.arange(batch.view.n_items) % 2 == 0
        message = even.float().expand(len(batch.seeds), -1)
        return log_share(message, batch.free).unsqueeze(-1)


def test_a_relation_of_all_items_is_read_at_the_slots(snapshot, monkeypatch):
    """Catches channels of a user's own relation that stand at other items' slots."""
    monkeypatch.setattr(base, "_RELATIONS", dict(base._RELATIONS))
    register_relation(OfAllItems)
    pair = replace(FEW, relations=(*FEW.relations, "of_all_items"))
    model = make_pair(snapshot, pair=pair)
    evidence = evidence_in(model, snapshot)
    names = [
        name
        for one in model.listed()
        if not (one.learned or one.per_item)
        for name in one.channel_names()
    ]
    channel = evidence.pairs[..., names.index("even numbers")]
    slots = model.slots(evidence)
    even = slots.there & (slots.item % 2 == 0)
    assert channel[even].min() > channel[slots.there & (slots.item % 2 == 1)].max()


def trained_once(snapshot, device):
    """Scores and gradients at the slots on ``device``."""
    model = make_pair(snapshot, pair=FEW).to(device)
    view = GraphTensors(snapshot, device)
    row = torch.tensor([0, 2]).to(device)
    item = torch.tensor([39, 38]).to(device)
    evidence = model.evidence(view, view.seeds(USERS), Asked(row, item))
    scores = model(evidence)
    there = model.slots(evidence).there
    loss = scores.masked_fill(~there, -1e9).logsumexp(1).sum()
    loss.backward()
    return model.slots(evidence).item, scores.detach(), model


def test_everything_is_on_one_device(snapshot):
    """Catches a tensor left on the CPU, which a GPU alone would refuse."""
    items, expected, model = trained_once(snapshot, "cpu")
    with PretendDevice():
        others, found, other = trained_once(snapshot, DEVICE)
    assert isinstance(found, Elsewhere)
    assert torch.equal(numbers(others), items)
    torch.testing.assert_close(numbers(found), expected, rtol=1e-3, atol=1e-3)
    for (name, one), (_, two) in zip(
        model.named_parameters(), other.named_parameters(), strict=True
    ):
        if one.grad is not None:
            torch.testing.assert_close(numbers(two.grad), one.grad, rtol=1e-2, atol=1e-2, msg=name)
