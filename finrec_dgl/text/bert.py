"""BERT's forward pass over texts laid end to end: no padding, and its steps in native code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def is_bert(network: Any) -> bool:
    """Whether ``hidden_states`` computes what ``network`` does: a BERT encoder, on this machine."""
    import torch
    from transformers import BertModel

    from finrec_dgl.kernels.int8 import has_int8
    from finrec_dgl.kernels.texts import MOST_TOKENS, MOST_WIDTH

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
        and all(one.dtype == torch.float32 and one.is_cpu for one in network.parameters())
    )


def hidden_states(network: Any, ids: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
    """The last layer's states, float32 [tokens, d], without gradients.

    ``ids`` int [tokens] of texts end to end, of ``lengths`` int64 [texts], each at least 1;
    ``network`` is one that ``is_bert`` admits. Source: Devlin et al., 2018, in transformers' form.
    """
    import torch

    from finrec_dgl.kernels.texts import add_norm, attend_texts

    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    places = np.arange(len(ids)) - np.repeat(starts[:-1], lengths)
    bounds = torch.from_numpy(starts)
    embeddings, heads = network.embeddings, network.config.num_attention_heads
    words = embeddings.word_embeddings(torch.from_numpy(ids.astype(np.int64)))
    where = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
    x = add_norm(words, where[torch.from_numpy(places)], embeddings.LayerNorm)
    for layer in network.encoder.layer:
        asked, attended = layer.attention.self, layer.attention.output
        mixed = attend_texts(asked.query(x), asked.key(x), asked.value(x), bounds, heads)
        x = add_norm(attended.dense(mixed), x, attended.LayerNorm)
        wide = torch.nn.functional.gelu(layer.intermediate.dense(x))
        x = add_norm(layer.output.dense(wide), x, layer.output.LayerNorm)
    return x


def pool_packed(hidden: torch.Tensor, lengths: np.ndarray, pooling: str) -> torch.Tensor:
    """One vector a text, [texts, d], from ``hidden`` [tokens, d]; as ``encoder.pool``."""
    import torch

    ends = np.cumsum(lengths)
    if pooling == "mean":
        return torch.segment_reduce(hidden, "mean", lengths=torch.from_numpy(lengths), axis=0)
    return hidden[torch.from_numpy(ends - lengths if pooling == "cls" else ends - 1)]
