"""Fine-tunes a text encoder so that a text tells where its product stands in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import TrainingError, UsageError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import Snapshot
from finrec_dgl.dataset.snapshot import StoredTexts, gather
from finrec_dgl.nn import HybridConfig
from finrec_dgl.nn.start import spectral_vectors
from finrec_dgl.text.adapter import add_lora
from finrec_dgl.text.encoder import Encoder

METHODS = ("none", "lora")
REENCODE = ("all", "items")

_HELD_OUT_SHARE, _HELD_OUT_MOST = 0.1, 512
_RIDGE_PAIRS = 16_384
_MEASURED_AT_ONCE = 64
_CLIP = 1.0


@dataclass(frozen=True)
class FinetuneConfig:
    """How the text encoder is fine-tuned before the training. Raises ConfigError.

    ``method``        ``none``: the vectors stay as they are; ``lora``: low-rank adapters
    ``rank``, ``alpha``  of the adapters: each linear layer gains (alpha / rank) B A
    ``steps``         of Adam; ``batch_size``: texts a step
    ``lr``            of the first step; it falls to 0 in a straight line
    ``temperature``   of the InfoNCE loss
    ``reencode``      ``all`` texts, or the profiles of ``items`` only: quicker, but then posts and
                      profiles are no longer in one space
    """

    method: str = "none"
    rank: int = 8
    alpha: int = 16
    steps: int = 300
    batch_size: int = 32
    lr: float = 5e-4
    temperature: float = 0.05
    reencode: str = "all"

    def __post_init__(self) -> None:
        problems = [
            *choice("method", self.method, METHODS),
            *choice("reencode", self.reencode, REENCODE),
        ]
        for name in ("rank", "alpha", "steps", "batch_size"):
            if getattr(self, name) < 1:
                problems.append(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("lr", "temperature"):
            if not getattr(self, name) > 0:
                problems.append(f"{name} is {getattr(self, name)}, expected above 0")
        refuse(problems, where="fine-tuning")


@dataclass(frozen=True, eq=False)
class Positives:
    """Which text is about which item: distinct pairs, and where the items stand in the graph.

    ``text`` int64 [P]: rows of the data set's vectors; ``item`` int64 [P]: rows of ``graph``;
    ``graph`` float32 [C, k]: unit vectors of the items that somebody holds.
    """

    text: np.ndarray
    item: np.ndarray
    graph: np.ndarray

    def of(self, texts: np.ndarray) -> np.ndarray:
        """bool [texts, C]: all the items that each of ``texts`` is about."""
        used = np.flatnonzero(np.isin(self.text, texts))
        rows = self.text[used]
        shape = (int(max(texts.max(initial=0), rows.max(initial=0))) + 1, len(self.graph))
        about = scipy.sparse.csr_array((np.ones(len(used), bool), (rows, self.item[used])), shape)
        return np.asarray(about[texts].toarray(), bool)


def find_positives(snapshot: Snapshot, model: HybridConfig, seed: int) -> Positives:
    """The pairs of ``snapshot``: each item's profile, and each post with the item it is about.

    An item stands where ``spectral_vectors`` puts it, at length 1; one that nobody holds stands
    nowhere and is left out. Raises UsageError where there are less than two pairs.
    """
    texts = snapshot.texts
    if not isinstance(texts, StoredTexts):
        raise UsageError("fine-tuning needs the texts of a data set", expected="a stored snapshot")
    vectors = spectral_vectors(model, snapshot, seed)["item"].numpy()
    length = np.linalg.norm(vectors, axis=1)
    placed = np.flatnonzero(length > 0)
    row_of = np.full(snapshot.n_items, -1, np.int64)
    row_of[placed] = np.arange(len(placed))
    text = np.concatenate([texts.item_profile, texts.post_text]).astype(np.int64)
    item = row_of[np.concatenate([np.arange(snapshot.n_items), texts.post_item])]
    there = (text >= 0) & (item >= 0)
    # a text without a token has the vector zero
    there[there] = texts.vectors[text[there]].any(axis=1)
    pairs = np.unique(np.stack([text[there], item[there]], axis=1), axis=0)
    if len(pairs) < 2 or len(placed) < 2:
        raise UsageError(
            f"there are {len(pairs)} texts of items that somebody holds: nothing to fine-tune on",
            expected="profiles of items, or posts about them, from before the validation",
        )
    graph = vectors[placed] / length[placed, None]
    return Positives(pairs[:, 0], pairs[:, 1], graph.astype(np.float32))


def info_nce(queries: Tensor, graph: Tensor, target: Tensor, about: Tensor, t: float) -> Tensor:
    """InfoNCE, mean over the batch, of unit vectors ``queries`` [B, k] against ``graph`` [C, k].

    -log( exp(q_b . g_i / t) / sum over c of exp(q_b . g_c / t) ) with i = ``target_b``, int64 [B],
    and c over i and all items that the text is not about; ``about`` bool [B, C]: which it is about.
    Source: van den Oord et al., 2018.
    """
    scores = queries @ graph.T / t
    rows = torch.arange(len(target), device=target.device)
    others = about.clone()
    others[rows, target] = False
    return torch.nn.functional.cross_entropy(scores.masked_fill(others, -torch.inf), target)


def tune(
    encoder: Encoder,
    texts: list[str],
    vectors: np.ndarray,
    positives: Positives,
    config: FinetuneConfig,
    seed: int,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Put an adapter on ``encoder`` and train it to find each text's item; what came of it.

    ``texts`` [n] and their frozen ``vectors`` [n, d], by the rows that ``positives`` name. Item i
    has the key M g_i / |M g_i|; the linear map M starts as the ridge regression of the frozen
    vectors of texts on their items' g, learns along, and is dropped in the end. It goes into the
    text's space, so that the cosines of texts themselves come to tell of the graph. A tenth of the
    texts (512 at most) is held out, and measured on before and after.

    Raises TrainingError where the loss is no longer finite.
    """
    rng = np.random.default_rng(seed)
    held, learnt = _hold_out(positives, rng)
    plan = _plan(learnt, config.steps * config.batch_size, rng)
    used = np.unique(positives.text[np.concatenate([plan, held])])
    tokens = encoder.tokenize([texts[row] for row in used])
    adapter = add_lora(encoder, config.rank, config.alpha, seed)
    graph = torch.from_numpy(positives.graph).to(encoder.device)
    sample = learnt[rng.permutation(len(learnt))[:_RIDGE_PAIRS]]
    first = _ridge(positives.graph[positives.item[sample]], gather(vectors, positives.text[sample]))
    place = torch.nn.Parameter(torch.from_numpy(first).to(encoder.device))
    optimiser = torch.optim.Adam([*adapter, place], lr=config.lr)

    def judge(pairs: np.ndarray) -> _Judged:
        text = positives.text[pairs]
        embedded = encoder.embed(tokens, np.searchsorted(used, text))
        queries = torch.nn.functional.normalize(embedded, dim=1)
        target = torch.from_numpy(positives.item[pairs]).to(encoder.device)
        about = torch.from_numpy(positives.of(text)).to(encoder.device)
        keys = torch.nn.functional.normalize(graph @ place, dim=1)
        loss = info_nce(queries, keys, target, about, config.temperature)
        return _Judged(loss, queries @ keys.T, target, about)

    before = _measure(judge, held)
    with progress.task("fine-tuning the text encoder", config.steps, "steps") as task:
        for step, pairs in enumerate(np.split(plan, config.steps)):
            loss = judge(pairs).loss
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss of fine-tuning is no longer a finite number in step {step + 1}",
                    expected="a loss that falls",
                    mend="try a smaller finetune.lr",
                )
            for group in optimiser.param_groups:
                group["lr"] = config.lr * (1 - step / config.steps)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([*adapter, place], _CLIP)
            optimiser.step()
            task.advance(1, loss=f"{loss.item():.4f}")
    after = _measure(judge, held)
    if before and after:
        ranks = f"{before['mrr']:.3f} frozen, {after['mrr']:.3f} tuned"
        progress.note(f"mean reciprocal rank of the items of held-out texts: {ranks}")
    return {
        "texts": len(np.unique(positives.text)),
        "items": len(positives.graph),
        "steps": config.steps,
        "trained_weights": sum(weight.numel() for weight in adapter),
        "held_out": {"texts": len(held), "frozen": before, "tuned": after},
    }


class _Judged(NamedTuple):
    """The loss of pairs, the cosines of their texts with all items, their items, all of each."""

    loss: Tensor
    scores: Tensor
    target: Tensor
    about: Tensor


def _hold_out(positives: Positives, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs to measure on, one for each text held out, and the pairs of all other texts."""
    texts, first = np.unique(positives.text, return_index=True)
    count = min(int(_HELD_OUT_SHARE * len(texts)), _HELD_OUT_MOST)
    chosen = rng.permutation(len(texts))[:count]
    learnt = np.flatnonzero(~np.isin(positives.text, texts[chosen]))
    return np.sort(first[chosen]), learnt


def _plan(pairs: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """``length`` of ``pairs``: one shuffle of all after the other."""
    rounds = -(-length // len(pairs))
    return np.concatenate([rng.permutation(pairs) for _ in range(rounds)])[:length]


def _ridge(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """float32 [d, k]: M that makes |features M - targets|^2 + s |M|^2 least.

    s is a hundredth of the mean square of a feature, times their number.
    """
    gram = (features.T @ features).astype(np.float64)
    gram += np.eye(len(gram)) * (0.01 * np.trace(gram) / len(gram) + 1e-9)
    return np.linalg.solve(gram, features.T @ targets).astype(np.float32)


def _measure(judge: Callable[[np.ndarray], _Judged], pairs: np.ndarray) -> dict[str, float] | None:
    """Mean loss and mean reciprocal rank of the items of ``pairs`` among all; None: no pairs."""
    if not len(pairs):
        return None
    loss, reciprocal = 0.0, 0.0
    with torch.no_grad():
        for batch in np.array_split(pairs, -(-len(pairs) // _MEASURED_AT_ONCE)):
            found = judge(batch)
            own = found.scores.gather(1, found.target[:, None])
            rank = 1 + ((found.scores >= own) & ~found.about).sum(dim=1)
            loss += found.loss.item() * len(batch)
            reciprocal += (1 / rank).sum().item()
    return {"loss": round(loss / len(pairs), 6), "mrr": round(reciprocal / len(pairs), 6)}
