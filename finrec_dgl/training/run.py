"""A trained run on disk, and the scorers made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finrec_dgl.base.config import from_mapping
from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import read_json
from finrec_dgl.dataset import Dataset, load_dataset
from finrec_dgl.nn import HybridRecommender
from finrec_dgl.training.checkpoint import load_weights, put_weights
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.metrics import read_metrics
from finrec_dgl.training.model import build_model
from finrec_dgl.training.scoring import ModelScorer
from finrec_dgl.training.tuned import with_tuned_vectors

MARKER = "run.json"
SCHEMA = 3
_LABELS = "project.bias"
"""How the weights end whose length is the number of pseudo-label classes."""


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, configuration, data set and what training said of itself."""

    path: Path
    config: TrainConfig
    dataset: Dataset
    info: dict[str, Any]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The records of training, one an epoch and phase."""
        return read_metrics(self.path / "metrics.jsonl")

    def model(self, split: str = "test") -> HybridRecommender:
        """The model with the weights that may be judged on ``split``.

        ``valid``: those that never saw the validation part. ``test``: those refitted on all before
        the cut, or the same without ``refit``.
        """
        refitted = split == "test" and self.info["refitted"]
        path = self.path / ("model.safetensors" if refitted else "selected.safetensors")
        weights = load_weights(path)
        classes = sum(len(one) for name, one in weights.items() if name.endswith(_LABELS))
        model = build_model(self.config, self.dataset, classes)
        put_weights(model, weights, path)
        return model.eval()

    def scorer(self, split: str = "test") -> ModelScorer:
        """Scores in the world as ``split`` may see it: before validation, or before the cut."""
        stage = "train" if split == "valid" else "fit"
        return ModelScorer(self.model(split), self.dataset.snapshot(stage), self.config)


def load_run(path: Path, dataset: Dataset | Path | None = None, device: str = "auto") -> Run:
    """Open a finished run. ``dataset``: where its data set is now, if it was moved.

    ``device``: where it is to compute, whatever device it was trained on; ``auto``: a GPU if any.

    Where the text encoder was fine-tuned, the run's data set holds the run's text vectors.

    Raises DataError where the run is absent, unfinished or broken, or the data set is another.
    """
    path = Path(path)
    if not (path / MARKER).is_file():
        raise DataError(
            f"there is no run here: no {MARKER}",
            where=str(path),
            mend="name the folder that `finrec-dgl train` wrote",
        )
    info = read_json(path / MARKER, what="run")
    if info.get("schema") != SCHEMA:
        raise DataError(
            f"the run has schema {info.get('schema')}",
            expected=f"schema {SCHEMA}",
            where=str(path / MARKER),
            mend="train again with this version",
        )
    if info["state"] != "finished":
        raise DataError(
            "the run was not finished",
            where=str(path),
            mend="finish it with `finrec-dgl train ... --resume`",
        )
    config_path = path / "config.json"
    mapping = read_json(config_path, what="run's configuration")
    config = from_mapping(TrainConfig, mapping, where=str(config_path))
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(dataset or Path(info["dataset"]["path"]))
    if dataset.hash != info["dataset"]["hash"]:
        raise DataError(
            "the data set is not the one that the run was trained on",
            expected=f"data set {info['dataset']['hash'][:12]}, found {dataset.hash[:12]}",
            where=str(dataset.path),
            mend="name the right one with --dataset, or train again",
        )
    if config.finetune.method != "none":
        dataset = with_tuned_vectors(dataset, path)
    return Run(path, _on_device(config, device), dataset, info)


def _on_device(config: TrainConfig, device: str) -> TrainConfig:
    """``config`` on ``device``. Raises UsageError for a device that is not there."""
    moved = replace(config, device=device)
    moved.torch_device()
    return moved
