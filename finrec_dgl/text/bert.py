"""BERT's forward pass over texts laid end to end: no padding, and all of it in native code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


_VALUE, _WIDEN = 2, 4  # places among a layer's linear ones


def is_bert(network: Any) -> bool:
    """Whether ``hidden_states`` computes what ``network`` does: a BERT encoder, on this machine."""
    from transformers import BertModel

    from finrec_dgl.kernels.bert import MOST_TOKENS, MOST_WIDTH
    from finrec_dgl.kernels.int8 import has_int8

    if type(network) is not BertModel or not has_int8():
        return False
    config = network.config
    width = config.hidden_size // config.num_attention_heads
    return bool(
        config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and not config.is_decoder
        and config.max_position_embeddings <= MOST_TOKENS
        and width % 16 == 0
        and width <= MOST_WIDTH
        and _precision(network) is not None
        and all(one.is_cpu and one.is_contiguous() for one in network.parameters())
    )


def _precision(network: Any) -> str | None:
    """What the linear layers are computed in; None where there is no native code for it."""
    import torch

    from finrec_dgl.kernels.bert import has_bfloat16
    from finrec_dgl.kernels.int8 import Bfloat16Linear, Int8Linear

    kinds = {type(one) for layer in network.encoder.layer for one in _linears(layer)}
    types = {one.dtype for one in network.parameters()}
    whole, brief = types == {torch.float32}, types == {torch.bfloat16}
    if whole and kinds in ({Int8Linear}, {torch.nn.Linear}):
        return "int8" if kinds == {Int8Linear} else "float32"
    if not has_bfloat16():
        return None
    if whole and kinds == {Int8Linear, Bfloat16Linear}:
        return "mixed"
    return "bfloat16" if brief and kinds == {torch.nn.Linear} else None


def precise_linears(network: Any) -> list[torch.nn.Linear]:
    """Which linear layers of ``network`` (float32) int8 leaves to bfloat16.

    Where native code has both, those of a BERT's values and those that widen: five twelfths of the
    operations, and of 1 - cosine with the exact vectors two thirds, measured with MiniLM.
    """
    from finrec_dgl.kernels.bert import has_bfloat16

    if not (has_bfloat16() and is_bert(network)):
        return []
    layers = [_linears(layer) for layer in network.encoder.layer]
    return [layer[place] for layer in layers for place in (_VALUE, _WIDEN)]


def hidden_states(network: Any, ids: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
    """The last layer's states, float32 [tokens, d], without gradients.

    ``ids`` int [tokens] of texts end to end, of ``lengths`` int64 [texts], each at least 1;
    ``network`` is one that ``is_bert`` admits. Source: Devlin et al., 2018, in transformers' form.
    """
    import torch

    from finrec_dgl.kernels.bert import BertWeights, bert_forward

    embeddings, layers = network.embeddings, network.encoder.layer
    kind = embeddings.token_type_embeddings.weight[0]
    weights = BertWeights(
        precision=_precision(network) or "float32",
        heads=network.config.num_attention_heads,
        place=embeddings.position_embeddings.weight.float() + kind.float(),
        norm=embeddings.LayerNorm,
        linears=[_linears(layer) for layer in layers],
        norms=[(layer.attention.output.LayerNorm, layer.output.LayerNorm) for layer in layers],
    )
    words = embeddings.word_embeddings(torch.from_numpy(ids.astype(np.int64))).float()
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return bert_forward(weights, words, starts)


def _linears(layer: Any) -> list[Any]:
    attention = layer.attention
    asked = attention.self
    return [
        *(asked.query, asked.key, asked.value, attention.output.dense),
        *(layer.intermediate.dense, layer.output.dense),
    ]


def pool_packed(hidden: torch.Tensor, lengths: np.ndarray, pooling: str) -> torch.Tensor:
    """One vector a text, [texts, d], from ``hidden`` [tokens, d]; as ``encoder.pool``."""
    import torch

    ends = np.cumsum(lengths)
    if pooling == "mean":
        return torch.segment_reduce(hidden, "mean", lengths=torch.from_numpy(lengths), axis=0)
    return hidden[torch.from_numpy(ends - lengths if pooling == "cls" else ends - 1)]
