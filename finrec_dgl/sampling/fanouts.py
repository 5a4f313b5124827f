"""How many neighbours a seed sees at each hop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finrec_dgl.base.errors import ConfigError

HOPS = ("items of a seed", "users of an item", "items of a peer")
"""What each number bounds with the pair readout."""


@dataclass(frozen=True)
class Fanouts:
    """Neighbours drawn at each hop, from the seeds outwards; -1: all.

    Parameters
    ----------
    numbers : tuple of int
        One a hop; empty: all neighbours at every hop.
    key : int
        Which draw: the same key draws the same neighbours, on any number of threads.

    Raises
    ------
    ConfigError
        If a number is neither -1 nor at least 1.
    """

    numbers: tuple[int, ...] = ()
    key: int = 0

    def __post_init__(self) -> None:
        for hop, value in enumerate(self.numbers, start=1):
            if value < -1 or value == 0:
                raise ConfigError(
                    f"the fanout of hop {hop} is {value}",
                    expected="a positive number, or -1 for all",
                    where="fanout",
                )

    @property
    def whole(self) -> bool:
        """Whether every neighbour is taken."""
        return all(one == -1 for one in self.numbers)

    @property
    def items(self) -> int:
        """Items of a seed with the pair readout."""
        return self._at(0)

    @property
    def users(self) -> int:
        """Users of such an item with the pair readout."""
        return self._at(1)

    @property
    def peer_items(self) -> int:
        """Items of a peer with the pair readout."""
        return self._at(2)

    def _at(self, hop: int) -> int:
        return self.numbers[hop] if hop < len(self.numbers) else -1

    def layers(self, depth: int) -> tuple[int, ...]:
        """Return a number for each of ``depth`` layers; the last one holds for deeper layers."""
        numbers = self.numbers or (-1,)
        return (*numbers, *[numbers[-1]] * depth)[:depth]


FULL = Fanouts()
"""Every neighbour."""


def pair_fanouts(numbers: Sequence[int], key: int = 0) -> Fanouts:
    """Return the fanouts of the pair readout for up to three ``numbers``, see ``HOPS``.

    Raises ConfigError if there are more than three.
    """
    if len(numbers) > len(HOPS):
        raise ConfigError(
            f"fanout has {len(numbers)} numbers",
            expected=f"at most {len(HOPS)}: {', '.join(HOPS)}",
            where="fanout",
        )
    return Fanouts(tuple(numbers), key)
