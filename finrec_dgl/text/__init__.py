"""Records to text, and text to vectors: the template, the encoders and their cache."""

from finrec_dgl.text.cache import default_cache
from finrec_dgl.text.encoder import EncoderSpec
from finrec_dgl.text.encoding import Encoded, encode_texts, encode_with
from finrec_dgl.text.template import render_table

__all__ = [
    "Encoded",
    "EncoderSpec",
    "default_cache",
    "encode_texts",
    "encode_with",
    "render_table",
]
