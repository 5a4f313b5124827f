"""The prediction heads: from the fused vectors of users and products to scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Tower(nn.Module):
    """g * x + M x / width: [n, width] -> [n, width], with g per channel and M [width, width].

    M starts at zero and g at one, so that a tower begins as the identity; g starts at zero in the
    first ``quiet`` channels. The division matters: Adam moves all entries of a matrix by the same
    step, which adds up over the width and would bend the fused vectors within one epoch.
    """

    def __init__(self, width: int, quiet: int = 0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.mix = nn.Parameter(torch.zeros(width, width))
        with torch.no_grad():
            self.gain[:quiet] = 0.0

    def forward(self, fused: Tensor) -> Tensor:
        """[n, width] -> [n, width]."""
        return self.gain * fused + fused @ self.mix.T / len(self.gain)

    def transposed(self, fused: Tensor) -> Tensor:
        """The same by the transposed map: x . tower(y) = transposed(x) . y."""
        return self.gain * fused + fused @ self.mix / len(self.gain)


class DotHead(nn.Module):
    """Towers for users and products, then an inner product with a bias of the product.

    s(u, i) = tower_u(x_u) . tower_i(x_i) + b_i

    The products' tower leaves out the first ``quiet`` channels at the start: what comes in there
    (Stream One) joins the score as it learns to help it. An index for nearest-neighbour search can
    serve this head. Shapes: x [n, width].
    """

    def __init__(self, width: int, quiet: int = 0) -> None:
        super().__init__()
        self.user = Tower(width)
        self.item = Tower(width, quiet)

    def towers(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """The two vectors whose inner product is the score: [n_users, width], [n_items, width]."""
        return self.user(user), self.item(item)

    def sides(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Two vectors with the same inner product: both towers on the users where these are fewer.

        They cost less, but differ with who else is there; an index takes ``towers``.
        """
        if len(user) >= len(item):
            return self.towers(user, item)
        return self.item.transposed(self.user(user)), item

    def forward(self, user: Tensor, item: Tensor, bias: Tensor) -> Tensor:
        """Scores of all pairs: [B, width], [C, width], [C] -> [B, C]."""
        return self.crossed(*self.towers(user, item), bias)

    @staticmethod
    def each(left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """Scores of pairs: towers' vectors [B, width], twice, and biases [B] -> [B]."""
        return (left * right).sum(1) + bias

    @staticmethod
    def crossed(left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """Scores of all with all: [B, width], [C, width], [C] -> [B, C]."""
        return torch.addmm(bias, left, right.T)


class MLPHead(nn.Module):
    """The paper's head: an MLP on both fused vectors.

    s(u, i) = w . ReLU(W_u x_u + W_i x_i + c) + b_i

    which is a two-layer MLP on [x_u || x_i], its first layer split so that all pairs share it.
    """

    def __init__(self, width: int, hidden: int = 64, pairs_at_once: int = 1 << 20) -> None:
        super().__init__()
        self.user = nn.Linear(width, hidden)
        self.item = nn.Linear(width, hidden, bias=False)
        self.out = nn.Linear(hidden, 1, bias=False)
        self.pairs_at_once = pairs_at_once

    def towers(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Both ends' parts of the hidden layer: [n_users, hidden], [n_items, hidden]."""
        return self.user(user), self.item(item)

    def sides(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """The same: no part is cheaper on the other side."""
        return self.towers(user, item)

    def forward(self, user: Tensor, item: Tensor, bias: Tensor) -> Tensor:
        """Scores of all pairs: [B, width], [C, width], [C] -> [B, C]."""
        return self.crossed(*self.towers(user, item), bias)

    def each(self, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """Scores of pairs: parts [B, hidden], twice, and biases [B] -> [B]."""
        return self.out(torch.relu(left + right)).squeeze(-1) + bias

    def crossed(self, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """Scores of all with all: [B, hidden], [C, hidden], [C] -> [B, C]."""
        # a slice of users at a time: the hidden layer has B x C x hidden numbers
        rows = max(1, self.pairs_at_once // max(1, len(right)))
        scores = [
            self.out(torch.relu(part.unsqueeze(1) + right.unsqueeze(0))).squeeze(-1)
            for part in left.split(rows)
        ]
        return torch.cat(scores) + bias if scores else left.new_zeros(0, len(right))
