"""How many neighbours a seed sees at each hop of the pair readout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finrec_dgl.base.errors import ConfigError

HOPS = ("items of a seed", "users of an item", "items of a peer")
"""What each number of ``Fanouts`` bounds."""


@dataclass(frozen=True)
class Fanouts:
    """Neighbours drawn at each hop from a seed user; -1: all.

    Parameters
    ----------
    items, users, peer_items : int
        Of the seed's items, of the users of such an item, of the items of a peer.
    key : int
        Which draw: the same key draws the same neighbours, on any number of threads.

    Raises
    ------
    ConfigError
        If a number is neither -1 nor at least 1.
    """

    items: int = -1
    users: int = -1
    peer_items: int = -1
    key: int = 0

    def __post_init__(self) -> None:
        for name in ("items", "users", "peer_items"):
            value = getattr(self, name)
            if value < -1 or value == 0:
                raise ConfigError(
                    f"the fanout is {value} for {name}",
                    expected="a positive number, or -1 for all",
                    where="fanout",
                )


FULL = Fanouts()
"""Every neighbour."""


def fanouts_of(numbers: Sequence[int], key: int = 0) -> Fanouts:
    """Return the fanouts for up to three ``numbers``, from the seed outwards.

    Raises ConfigError if there are more than three.
    """
    if len(numbers) > len(HOPS):
        raise ConfigError(
            f"fanout has {len(numbers)} numbers",
            expected=f"at most {len(HOPS)}: {', '.join(HOPS)}",
            where="fanout",
        )
    items, users, peer_items = (*numbers, -1, -1, -1)[: len(HOPS)]
    return Fanouts(items, users, peer_items, key)
