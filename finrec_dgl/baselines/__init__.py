"""What a reviewer asks for: the recommenders every other one is compared with, tuned alike."""

from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.chebycf import ChebyCF
from finrec_dgl.baselines.content import Content
from finrec_dgl.baselines.decayed import DecayedPopularity
from finrec_dgl.baselines.ease import EASE
from finrec_dgl.baselines.esasrec import ESASRec
from finrec_dgl.baselines.factors import ALS, BPR
from finrec_dgl.baselines.frequency import Frequency
from finrec_dgl.baselines.itemknn import ItemKNN
from finrec_dgl.baselines.l3ae import L3AE
from finrec_dgl.baselines.lightgcn import LightGCN
from finrec_dgl.baselines.popularity import Popularity
from finrec_dgl.baselines.registry import BASELINES, Baseline
from finrec_dgl.baselines.slim import SLIM
from finrec_dgl.baselines.textonly import TextOnly
from finrec_dgl.baselines.tuning import Trial, Tuned, tune
from finrec_dgl.baselines.userknn import UserKNN

__all__ = [
    "ALS",
    "BASELINES",
    "BPR",
    "EASE",
    "ESASRec",
    "L3AE",
    "SLIM",
    "Baseline",
    "ChebyCF",
    "Content",
    "DecayedPopularity",
    "Frequency",
    "ItemKNN",
    "LightGCN",
    "Popularity",
    "Recommender",
    "TextOnly",
    "Trial",
    "Tuned",
    "UserKNN",
    "tune",
]
