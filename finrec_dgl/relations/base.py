"""What a relation is, how its messages become channels of the score, and which relations exist."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import ConfigError
from finrec_dgl.base.progress import Progress
from finrec_dgl.relations.batch import FLOOR, SeedBatch
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.view import GraphTensors

GRAPH_ATTENTION, GRAPH_CONVOLUTION, ITEM_TERMS, TEXT, PSEUDO = (
    *("stream_one", "stream_two", "items"),
    *("text", "pseudo"),
)
"""The parts of the model that a relation can belong to; an ablation switches a part off."""


@dataclass(frozen=True)
class ModelShape:
    """What of a data set fixes the shapes of a model's weights.

    Parameters
    ----------
    n_users, n_items : int
        Nodes of either type.
    text_dim : int
        Width of text vectors, 0 without text.
    tie_kinds : tuple of str
        Kinds of ties.
    pseudo_classes : int
        Classes of pseudo-labels, 0 without.
    edges : mapping
        For each edge table its relation (source type, name, destination type) and the number of
        its features.
    """

    n_users: int
    n_items: int
    text_dim: int
    tie_kinds: tuple[str, ...] = ()
    pseudo_classes: int = 0
    edges: Mapping[tuple[str, str, str], int] = field(default_factory=dict)


class Relation(nn.Module):
    """One relation of the pair readout: its edges as of a time, and its message function.

    A relation turns what a seed user can reach in the graph into one or more channels: numbers for
    each pair of a seed and an item, which the score adds up with learned weights. A relation is a
    module so that its message function may have weights of its own.

    Subclass it, set ``name``, and define ``channel_names`` and ``sample``; ``forward`` too where
    the message function is learned. See ``examples/own_relation.py``.

    Parameters
    ----------
    config : PairConfig
        The settings of the pair readout.
    shape : ModelShape
        The sizes of the data set; ``text_dim`` is 0 where the model has no text, ``tie_kinds``
        empty where it has no ties.

    Attributes
    ----------
    name : str
        How a configuration lists the relation.
    part : str
        The part of the model that it belongs to and is switched off with.
    per_item : bool
        Whether channels depend on the item alone: ``sample`` then returns [n_items, channels].
    learned : bool
        Whether ``forward`` has weights; without, messages are made once for each batch of seeds.
    slotted : bool
        Whether channels are made at the slots of a batch alone, where it has any. Without, they are
        made of all items, and those of the slots are taken.
    """

    name: ClassVar[str]
    part: ClassVar[str] = GRAPH_CONVOLUTION
    per_item: ClassVar[bool] = False
    learned: ClassVar[bool] = False
    slotted: ClassVar[bool] = False

    def __init__(self, config: PairConfig, shape: ModelShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape

    @property
    def many_items(self) -> bool:
        """Whether there are so many items that candidates alone are scored."""
        return self.shape.n_items > self.config.all_items

    def channel_names(self) -> tuple[str, ...]:
        """Return a name for each channel; none where the data or the configuration has no use."""
        raise NotImplementedError

    def start(self) -> Tensor:
        """Return where the weights of the channels start, float [channels]; 0 by default."""
        return torch.zeros(len(self.channel_names()))

    def prepare(self, view: GraphTensors, seed: int, progress: Progress, name: str) -> None:
        """Learn what this relation needs in ``view``, before anything is sampled.

        Nothing by default. Called once for each view of a training; ``name`` says which, for
        ``progress``. What is learned is kept with the view (``GraphTensors.kept``), so it is of the
        view's own time.
        """

    def settle(self, view: GraphTensors) -> None:
        """Take what scoring in ``view`` needs into the weights; by default nothing."""

    def propose(self, batch: SeedBatch, count: int) -> Tensor | None:  # noqa: ARG002
        """Return the ``count`` items of the strongest messages, int32 [B, count], -1 for none.

        They become candidates where not every item is one. None by default.
        """
        return None

    def sample(self, batch: SeedBatch) -> Tensor | tuple[Tensor, ...]:
        """Return what of the graph this relation reads for ``batch``, without a gradient.

        Parameters
        ----------
        batch : SeedBatch
            B seeds, and the graph just before their time.

        Returns
        -------
        Tensor or tuple of Tensor
            The channels [B, C, channels], or [n_items, channels] with ``per_item``; of a
            ``learned`` relation whatever its ``forward`` takes. C is ``batch.width``: n_items, or
            the slots of a ``slotted`` relation.
        """
        raise NotImplementedError

    def at_floor(self) -> Tensor:
        """Return the channels of an item that no message reaches, float [channels].

        ``log(FLOOR)`` by default, as ``log_share`` has it.
        """
        return torch.full((len(self.channel_names()),), math.log(FLOOR))

    def forward(self, batch: SeedBatch, sampled: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Return the channels [B, C, channels]; a relation that learns nothing has them."""
        raise NotImplementedError


_RELATIONS: dict[str, type[Relation]] = {}


def register_relation(relation: type[Relation]) -> type[Relation]:
    """Make ``relation`` known by its name, so that configurations can list it.

    Raises
    ------
    ConfigError
        If another relation has the name.
    """
    known = _RELATIONS.setdefault(relation.name, relation)
    if known.__qualname__ != relation.__qualname__ or known.__module__ != relation.__module__:
        raise ConfigError(
            f"a relation named '{relation.name}' exists already",
            expected="a name of its own",
            where=f"{relation.__module__}.{relation.__qualname__}",
        )
    _RELATIONS[relation.name] = relation
    return relation


def known_relations() -> Mapping[str, type[Relation]]:
    """Return the registered relations by name."""
    return dict(_RELATIONS)


def relation_problems(names: Sequence[str]) -> list[str]:
    """Return what is wrong with a list of relations: names that are unknown or stand twice."""
    problems = [problem for name in names for problem in choice("relation", name, [*_RELATIONS])]
    twice = sorted({name for name in names if names.count(name) > 1})
    return problems + [f"relation {name!r} is listed twice" for name in twice]


def relations_of(config: PairConfig, shape: ModelShape) -> list[Relation]:
    """Return the relations that ``config`` lists, made for a data set of ``shape``.

    Raises
    ------
    ConfigError
        If a name is unknown or listed twice.
    """
    refuse(relation_problems(config.relations), where="model.pair.relations")
    return [_RELATIONS[name](config, shape) for name in config.relations]


def stacked(channels: list[Tensor]) -> Tensor:
    """Return channels [B, C] each as [B, C, channels].

    In memory each channel lies by itself, as sums over channels read them fastest.
    """
    if len(channels) == 1:
        return channels[0].unsqueeze(-1)
    return torch.stack(channels).movedim(0, -1)


def joined(channels: list[Tensor]) -> Tensor:
    """Return channels [B, C, some] of several relations side by side, laid out as ``stacked``."""
    return torch.cat([one.movedim(-1, 0) for one in channels]).movedim(0, -1)
