"""The pair readout: a user and an item are scored by the messages that reach the pair.

In the frame of arXiv 2506.05873: graph attention and graph convolution over a heterogeneous graph,
fused with text, pseudo-labels beside them; see docs/model.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.kernels.channels import weighted_sum
from finrec_dgl.kernels.ragged import Ragged, row_numbers
from finrec_dgl.kernels.slots import SparseRows, slot_sum, slot_top
from finrec_dgl.nn.config import HybridConfig
from finrec_dgl.nn.hybrid import HISTORY, TIES, USER_TEXT, Asked, HybridRecommender
from finrec_dgl.relations import (
    GraphTensors,
    ModelShape,
    Relation,
    SeedBatch,
    Seeds,
    Slots,
    relations_of,
)
from finrec_dgl.relations.base import GRAPH_ATTENTION, GRAPH_CONVOLUTION, PSEUDO, TEXT, joined
from finrec_dgl.relations.candidates import candidates, with_targets
from finrec_dgl.relations.peers import PEER_FEATURES
from finrec_dgl.relations.pseudo import Pseudo
from finrec_dgl.relations.text_near import (
    TEXT_CHANNELS,
    SparseTextMaps,
    TextMaps,
    described,
    slot_text_messages,
    text_messages,
)
from finrec_dgl.relations.view import COVARIATES

_SLOPE_PULL = 5.0
"""How much harder the weights' dependence on the user is pulled to its start, zero."""

NEW = 0.2
"""The share of candidates that few users have and that are known by text."""

_PSEUDO_PACE = 0.02
"""There are few weights, which take large steps; the pseudo-labels' matrix does not."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the graph says of some seeds before any weight is applied.

    Parameters
    ----------
    batch : SeedBatch
        B seeds in the graph just before their time.
    covariates : Tensor
        float32 [B, 3], see ``COVARIATES``.
    pairs : Tensor
        float32 [B, C, channels] of the relations whose messages have no weights.
    items : Tensor
        float32 [I, channels] of the relations whose channels depend on the item alone.
    sampled : mapping of str to tensors
        What each learned relation reads, by its name.
    text : Tensor or None
        float32 [B, T, 4]: what texts say of the T items that have a share of text; of all C slots
        where there are any.
    new : NewItems or None
        The T items, and how scores are taken over to them; None without any, or with slots.
    carried : CarriedText or None
        How scores are taken over to such items, where there are slots.
    """

    batch: SeedBatch
    covariates: Tensor
    pairs: Tensor
    items: Tensor
    sampled: Mapping[str, Tensor | tuple[Tensor, ...]]
    text: Tensor | None
    new: NewItems | None = None
    carried: CarriedText | None = None


@dataclass(frozen=True, eq=False)
class NewItems:
    """The items that have a share of text.

    ``columns`` int64 [T]: which; ``share`` float32 [T]: g_i; ``maps``: take scores over to them.
    """

    columns: Tensor
    share: Tensor
    maps: TextMaps


@dataclass(frozen=True, eq=False)
class CarriedText:
    """How the slots' scores are taken over to items of which text speaks.

    ``kernel``: weights from each item to such ones; ``items`` float32 [B, C, channels]: channels of
    the item alone, taken over by it; ``reached`` float32 [B, C]: the weights' sum, 1 or 0;
    ``share`` float32 [B, C]: g_i.
    """

    kernel: SparseRows
    items: Tensor
    reached: Tensor
    share: Tensor


class PairRecommender(HybridRecommender):
    """The pair readout: scores by the messages that reach a pair of a seed and an item.

    score(u, i) = (1 - g_i) s_graph(u, i) + g_i s_text(u, i),  g_i = k / (k + n_i)

    s_graph(u, i) = sum over channels c of w_c(u) z_c(u, i),  w_c(u) = w_c + a_c . x_u

    The channels z_c are those of the relations that the configuration lists
    (``finrec_dgl.relations``): Stream One is attention over two hops and ties, Stream Two
    convolution by filters between items; popularity and its trends; texts; pseudo-labels. x_u are
    ``COVARIATES``. n_i is how many users have item i and k is ``text_holders``: an item that few
    have is known by its text. s_text takes s_graph's row of the user over to items with like text,
    by kernel smoothing and by ridge regression (``TextMaps``), each with a learned weight, and adds
    ``TEXT_CHANNELS`` and an offset. Without text g_i = 0, without the graph 1.

    Parameters
    ----------
    config : HybridConfig
        Which parts there are, and the settings of the relations in ``pair``.
    shape : ModelShape
        The sizes of the data set.
    """

    def __init__(self, config: HybridConfig, shape: ModelShape) -> None:
        super().__init__(config, shape)
        self.has_text = config.text and shape.text_dim > 0
        seen = ModelShape(
            shape.n_users,
            shape.n_items,
            shape.text_dim if self.has_text else 0,
            shape.tie_kinds if config.social else (),
            shape.pseudo_classes if config.uses_pseudo else 0,
            shape.edges,
        )
        on = _parts(config)
        self.relations = nn.ModuleDict(
            {
                one.name: one
                for one in relations_of(config.pair, seen)
                if on.get(one.part, True) and one.channel_names()
            }
        )
        self.channels = tuple(name for one in self.listed() for name in one.channel_names())
        self.weight = nn.Parameter(self._start())
        self.slope = nn.Parameter(torch.zeros(len(COVARIATES), len(self.channels)))
        if self.has_text:
            self.carry = nn.Parameter(torch.tensor([0.5, 0.5]))
            self.offset = nn.Parameter(torch.zeros(()))
            self.told = nn.Parameter(torch.zeros(len(TEXT_CHANNELS)))
            if not any(one.start().any() for one in self.listed()):
                self.told.data[TEXT_CHANNELS.index("text history")] = 0.5
        # those of the pseudo-labels are held by their targets
        self._starts = {
            name: parameter.detach().clone()
            for name, parameter in self.named_parameters()
            if not name.startswith("relations.pseudo.")
        }

    def listed(self) -> list[Relation]:
        """Return the relations that have channels, in the order of these."""
        return [cast(Relation, one) for one in self.relations.values()]

    def _start(self) -> Tensor:
        """Return the weights of a sensible model before any step, float [channels].

        The mean of the starts of the relations that are recommenders by themselves, or popularity.
        """
        starts = [one.start() for one in self.listed()]
        several = max(sum(bool(one.any()) for one in starts), 1)
        weight = torch.cat([one / several for one in starts]) if starts else torch.zeros(0)
        if not weight.any() and "popularity" in self.channels:
            weight[self.channels.index("popularity")] = 1.0
        return weight

    def pseudo_labels(self) -> nn.Module | None:
        """Return the map from text to the logits of pseudo-labels; None without."""
        for one in self.listed():
            if isinstance(one, Pseudo):
                return one.labels
        return None

    def prepare(
        self, view: GraphTensors, seed: int = 0, progress: Progress = SILENT, name: str = "all"
    ) -> None:
        """Let relations learn in ``view`` what they need there; ``name`` says which view it is."""
        for one in self.listed():
            one.prepare(view, seed, progress, name)

    @torch.no_grad()
    def settle(self, view: GraphTensors) -> None:
        """Keep with the weights what relations learned in ``view``, to score in it later."""
        for one in self.listed():
            one.settle(view)

    @torch.no_grad()
    def evidence(self, view: GraphTensors, seeds: Seeds, asked: Asked | None = None) -> Evidence:
        """Return what ``view`` says of ``seeds``; ``forward`` scores it any number of times.

        Where there are more than ``all_items``, each seed has slots for its candidates, and for
        what it is ``asked`` for and a draw of the others.
        """
        batch = self._batch(view, seeds, asked)
        sampled = {one.name: self._sampled(one, batch) for one in self.listed() if not one.per_item}
        pairs = [
            cast(Tensor, sampled.pop(one.name))
            for one in self.listed()
            if not (one.learned or one.per_item)
        ]
        items = view.kept("item channels", lambda: self._item_channels(batch))
        none = torch.zeros(0, device=view.device)
        new, carried, text = self._new(view), self._carried(batch, items), None
        if carried is not None:
            text = slot_text_messages(batch, self._sparse_maps(view), self.config.pair)
        elif new is not None:
            text = text_messages(batch, self.config.pair)[:, new.columns]
        return Evidence(
            batch,
            seeds.covariates(),
            joined(pairs) if pairs else none.expand(len(seeds), batch.width, 0),
            items,
            sampled,
            text,
            new,
            carried,
        )

    def _new(self, view: GraphTensors) -> NewItems | None:
        """The items that have a share of text, where all items are scored; None without any."""
        columns = self.text_columns(view)
        if columns is None:
            return None

        def make() -> NewItems:
            maps = TextMaps(view, columns, self.config.pair)
            return NewItems(columns, self.text_share(view)[columns], maps)

        return view.kept("new items", make)

    def _carried(self, batch: SeedBatch, items: Tensor) -> CarriedText | None:
        """How text takes scores over at the slots of ``batch``; None without slots or text."""
        slots, view = batch.slots, batch.view
        if slots is None or self._new_items(view) is None:
            return None
        kernel = self._sparse_maps(view).kernel

        def make() -> Tensor:
            source = row_numbers(kernel.indptr, len(kernel.indices))
            rows = torch.cat([items, torch.ones_like(items[:, :1])], dim=1)
            each = rows[source] * cast(Tensor, kernel.values).unsqueeze(1)
            return torch.zeros_like(rows).index_add_(0, kernel.indices.long(), each)

        taken = view.kept("carried item channels", make)[slots.at]
        share = self.text_share(view)[slots.at] * slots.there
        return CarriedText(kernel, taken[..., :-1], taken[..., -1], share)

    def _new_items(self, view: GraphTensors) -> Tensor | None:
        """The items that have a share of text, int64 [T]; None without any."""
        if not self.has_text:
            return None
        columns = view.kept("text columns", lambda: self.text_share(view).nonzero().squeeze(1))
        return columns if len(columns) else None

    def _sparse_maps(self, view: GraphTensors) -> SparseTextMaps:
        columns = cast(Tensor, self._new_items(view))
        return view.kept("text rows", lambda: SparseTextMaps(view, columns, self.config.pair))

    def _new_candidates(self, batch: SeedBatch) -> Tensor | None:
        """Items of which text speaks that are near to a history, int32 [B, K]; None without any."""
        view, seeds = batch.view, batch.seeds
        if self._new_items(view) is None:
            return None
        count = min(max(1, int(NEW * self.config.pair.candidates)), view.n_items)
        ones = torch.ones(len(seeds.item), device=view.device)
        likeness = self._sparse_maps(view).likeness
        return slot_top(seeds.history, ones, likeness, seeds.known, count)

    def _batch(self, view: GraphTensors, seeds: Seeds, asked: Asked | None) -> SeedBatch:
        batch = SeedBatch(view, seeds)
        if not self.scores_candidates(view):
            return batch
        new = self._new_candidates(batch)
        found = candidates(batch, self.listed(), self.config.pair, new)
        if asked is not None:
            slots = with_targets(batch, found, asked.row, asked.item, asked.key)
        else:
            ones = torch.ones_like(found, dtype=torch.float32)
            slots = Slots(found, found.shape[1], ones)
        return SeedBatch(view, seeds, slots)

    def _item_channels(self, batch: SeedBatch) -> Tensor:
        """The channels of the items alone, float32 [I, channels]."""
        found = [cast(Tensor, one.sample(batch)) for one in self.listed() if one.per_item]
        none = torch.zeros(batch.view.n_items, 0, device=batch.view.device)
        return torch.cat([none, *found], dim=1)

    def _sampled(self, one: Relation, batch: SeedBatch) -> Tensor | tuple[Tensor, ...]:
        """What a relation reads; at the slots where it knows but all items."""
        if batch.slots is None or one.slotted:
            return one.sample(batch)
        found = one.sample(SeedBatch(batch.view, batch.seeds))
        return found if one.learned else _at_slots(cast(Tensor, found), batch.slots)

    def slots(self, evidence: Evidence) -> Slots | None:
        """Return the items of the columns of the scores; None: all items in order."""
        return evidence.batch.slots

    def scores_candidates(self, view: GraphTensors) -> bool:
        """Return whether there are more than ``all_items``."""
        return view.n_items > self.config.pair.all_items

    def candidates(self, view: GraphTensors, seeds: Seeds) -> tuple[Tensor, Tensor]:
        """Return the candidates of each seed and their scores."""
        evidence = self.evidence(view, seeds)
        return cast(Slots, evidence.batch.slots).item, self(evidence)

    def score_seeds(self, view: GraphTensors, seeds: Seeds) -> Tensor:
        """Return the scores float [B, I] of ``seeds``.

        Where there are candidates, an item that is none has the share of the floor in each channel
        of the pair, and what the channels of the item add.
        """
        evidence = self.evidence(view, seeds)
        scores, slots = self(evidence), evidence.batch.slots
        if slots is None:
            return scores
        floor, items = self._floor(evidence.covariates)
        every = floor + items @ evidence.items.T
        row = torch.arange(len(seeds), device=view.device).unsqueeze(1).expand_as(slots.item)
        every[row[slots.there], slots.at[slots.there]] = scores[slots.there].to(every.dtype)
        return every

    def forward(self, evidence: Evidence, *, text_only: bool = False) -> Tensor:
        """Return the scores float [B, C] of the seeds of ``evidence``.

        ``text_only``: without a gradient for the weights of channels, so that a graph of which
        items were taken away does not teach them.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not text_only):
            graph = self._graph_scores(evidence)
        if evidence.carried is not None:
            return self._with_text(evidence, graph, evidence.carried)
        new = evidence.new
        if new is None or evidence.text is None:
            return graph
        kernel, regressed = new.maps(graph)
        text = self.carry[0] * kernel + self.carry[1] * regressed
        text = text + evidence.text @ self.told + self.offset
        mixed = torch.lerp(graph[:, new.columns], text, new.share.expand_as(text))
        return graph.index_copy(1, new.columns, mixed)

    def _with_text(self, evidence: Evidence, graph: Tensor, carried: CarriedText) -> Tensor:
        """Return the scores float [B, C] where text has a share, of s_graph at the slots.

        s_graph of an item that is no candidate is what it has without any message; there is no
        regression, so the kernel has its weight too.
        """
        slots = cast(Slots, evidence.batch.slots)
        floor, items = self._floor(evidence.covariates)
        base = floor + weighted_sum(evidence.items[slots.at], items)
        known = slots.item.masked_fill(~slots.candidates, -1)
        n, count = known.shape
        rows = Ragged(torch.arange(n + 1, device=known.device) * count, known.reshape(-1))
        none = Ragged(torch.zeros(n + 1, dtype=torch.long, device=known.device), known[:0, 0])
        moved, _ = slot_sum(rows, (graph - base).reshape(1, -1), carried.kernel, slots.item, none)
        kernel = moved[:, 0] + floor * carried.reached
        kernel = kernel + weighted_sum(carried.items, items)
        text = self.carry.sum() * kernel + cast(Tensor, evidence.text) @ self.told + self.offset
        return torch.lerp(graph, text, carried.share.expand_as(text))

    def _floor(self, covariates: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the channels of the pair add where no message comes, float [B, 1].

        And the weights of the channels of the item, float [B, channels].
        """
        weight = self.weights(covariates)
        total, start = weight.new_zeros(len(weight), 1), 0
        items = [weight[:, :0]]
        for one in self.listed():
            by = weight[:, start : start + len(one.channel_names())]
            start += by.shape[1]
            if one.per_item:
                items.append(by)
            else:
                total = total + (by * one.at_floor().to(by)).sum(1, keepdim=True)
        return total, torch.cat(items, dim=1)

    def _graph_scores(self, evidence: Evidence) -> Tensor:
        """Return s_graph, float [B, C]."""
        weight, slots = self.weights(evidence.covariates), evidence.batch.slots
        graph = evidence.pairs.new_zeros(evidence.pairs.shape[:2])
        start = 0
        pairs: list[Tensor] = []
        items: list[Tensor] = []
        for one in self.listed():
            count = len(one.channel_names())
            by = weight[:, start : start + count]
            start += count
            if one.learned:
                found = self._learned(one, evidence)
                graph = graph + weighted_sum(found, by)
            else:
                (items if one.per_item else pairs).append(by)
        if items and slots is None:
            graph = graph + torch.cat(items, dim=1) @ evidence.items.T
        elif items and slots is not None:
            graph = graph + weighted_sum(evidence.items[slots.at], torch.cat(items, dim=1))
        if pairs:
            graph = graph + weighted_sum(evidence.pairs, torch.cat(pairs, dim=1))
        return graph

    def _learned(self, one: Relation, evidence: Evidence) -> Tensor:
        """The channels of a learned relation, float [B, C, channels]."""
        batch, sampled = evidence.batch, evidence.sampled[one.name]
        if batch.slots is None or one.slotted:
            return cast(Tensor, one(batch, sampled))
        return _at_slots(one(SeedBatch(batch.view, batch.seeds), sampled), batch.slots)

    def weights(self, covariates: Tensor) -> Tensor:
        """Return w_c(u) for users of ``covariates`` [B, 3]: float [B, channels]."""
        return self.weight + covariates @ self.slope

    def text_share(self, view: GraphTensors) -> Tensor:
        """Return g_i, float [I]: the share of text; without the graph 1 for an item with a text."""
        share = torch.ones_like(view.item_count)
        if self.config.graph:
            k = self.config.pair.text_holders
            share = torch.where(view.item_count == 0, share, k / (k + view.item_count))
        return torch.where(described(view, self.config.pair), share, torch.zeros_like(share))

    def text_columns(self, view: GraphTensors) -> Tensor | None:
        """Return the items with a share of text, int64 [C]; None where there are none."""
        return None if self.scores_candidates(view) else self._new_items(view)

    def numbers_a_seed(self) -> int:
        """Return how many numbers the evidence and the scores of a seed take in all."""
        pair, n_items = self.config.pair, self.shape.n_items
        width = n_items if n_items <= pair.all_items else pair.candidates
        every = 0 if width == n_items else 3 * n_items
        return 3 * len(self.channels) * width + len(PEER_FEATURES) * pair.peers + every

    def reads(self) -> frozenset[str]:
        """Return what the model reads of a seed."""
        parts = {HISTORY: True, TIES: "ties" in self.relations, USER_TEXT: self.has_text}
        return frozenset(name for name, there in parts.items() if there)

    def item_terms(self, view: GraphTensors, seeds: Seeds) -> Tensor:
        """Return what the channels of the item alone add to the scores, float [B, I]."""
        batch = SeedBatch(view, seeds)
        items = view.kept("item channels", lambda: self._item_channels(batch))
        return self._floor(seeds.covariates())[1] @ items.T

    def penalties(self) -> Mapping[str, Tensor]:
        """Return the distance of the weights to their start."""
        return {"lambda_start": self.squared_distance()}

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return what an optimiser is to move; the pseudo-labels' matrix takes smaller steps."""
        labels = self.pseudo_labels()
        if labels is None:
            return super().parameter_groups(lr)
        matrix = {id(one) for one in labels.parameters()}
        few = [one for one in self.parameters() if id(one) not in matrix]
        return [{"params": few}, {"params": list(labels.parameters()), "lr": lr * _PSEUDO_PACE}]

    def squared_distance(self) -> Tensor:
        """Return ||Theta - Theta_0||^2, how far the weights are from their start: a scalar."""
        total = self.weight.new_zeros(())
        for name, parameter in self.named_parameters():
            if name in self._starts:
                moved = parameter - self._starts[name].to(parameter.device)
                part = moved.square().sum()
                total = total + (_SLOPE_PULL * part if name == "slope" else part)
        return total

    def weights_by_channel(self) -> dict[str, float]:
        """Return the weight of each channel for a user whose covariates are 0."""
        return dict(zip(self.channels, self.weight.detach().tolist(), strict=True))


def _at_slots(channels: Tensor, slots: Slots) -> Tensor:
    """Return channels [B, n_items, c] at the slots, [B, C, c]."""
    return channels.gather(1, slots.at.unsqueeze(2).expand(-1, -1, channels.shape[2]))


def _parts(config: HybridConfig) -> dict[str, bool]:
    """Return which parts of the model are on; a part that is not named always is."""
    return {
        GRAPH_ATTENTION: config.graph and config.stream_one,
        GRAPH_CONVOLUTION: config.graph and config.stream_two,
        TEXT: config.text,
        PSEUDO: config.uses_pseudo,
    }
