"""Losses, batches, the loop and what it leaves on disk."""

from finrec_dgl.training.batches import Batch, Batches
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.contrastive import FinetuneConfig
from finrec_dgl.training.finetune import TextSource
from finrec_dgl.training.loop import train
from finrec_dgl.training.run import Run, load_run
from finrec_dgl.training.scoring import ModelScorer
from finrec_dgl.training.step import joint_loss

__all__ = [
    "Batch",
    "Batches",
    "FinetuneConfig",
    "ModelScorer",
    "Run",
    "TextSource",
    "TrainConfig",
    "joint_loss",
    "load_run",
    "train",
]
