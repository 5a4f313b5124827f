"""Relations of the pair readout, one a file: edges as of a time, and a message function."""

from finrec_dgl.relations.base import (
    ModelShape,
    Relation,
    known_relations,
    register_relation,
    relations_of,
)
from finrec_dgl.relations.batch import SeedBatch, Slots, log_share
from finrec_dgl.relations.chebyshev import Chebyshev
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.cosine import Cosine
from finrec_dgl.relations.ease import Ease
from finrec_dgl.relations.own_edges import OwnEdges
from finrec_dgl.relations.peers import Peers
from finrec_dgl.relations.popularity import Burstiness, Popularity, Trends
from finrec_dgl.relations.pseudo import Pseudo, PseudoLabels, pseudo_loss
from finrec_dgl.relations.spectral import Spectral
from finrec_dgl.relations.text_near import TextNear
from finrec_dgl.relations.ties import Ties
from finrec_dgl.relations.vectors import Vectors, learn_vectors
from finrec_dgl.relations.view import GraphTensors, Seeds

__all__ = [
    "Burstiness",
    "Chebyshev",
    "Cosine",
    "Ease",
    "GraphTensors",
    "ModelShape",
    "OwnEdges",
    "PairConfig",
    "Peers",
    "Popularity",
    "Pseudo",
    "PseudoLabels",
    "Relation",
    "SeedBatch",
    "Seeds",
    "Slots",
    "Spectral",
    "TextNear",
    "Ties",
    "Trends",
    "Vectors",
    "known_relations",
    "learn_vectors",
    "log_share",
    "pseudo_loss",
    "register_relation",
    "relations_of",
]
