"""Trains a model on a data set: selection by validation, then a refit on all before the cut."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finrec_dgl._version import __version__
from finrec_dgl.base.config import to_mapping
from finrec_dgl.base.errors import UsageError
from finrec_dgl.base.files import check_writable_folder, read_json, write_atomically, write_json
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import Dataset
from finrec_dgl.evaluation import evaluate
from finrec_dgl.graph.backend import dgl_version
from finrec_dgl.training.checkpoint import (
    load_weights,
    optimiser_tensors,
    put_optimiser,
    put_weights,
    save_weights,
)
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.finetune import TextSource, check_finetune, fine_tuned
from finrec_dgl.training.learner import Learner
from finrec_dgl.training.metrics import MetricsLog
from finrec_dgl.training.run import MARKER, SCHEMA, Run, load_run
from finrec_dgl.training.scoring import ModelScorer
from finrec_dgl.training.tuned import drop_tuned

WATCHED = "ndcg@10"


def train(
    dataset: Dataset,
    run: Path,
    config: TrainConfig | None = None,
    *,
    texts: TextSource | None = None,
    judge: bool = True,
    progress: Progress = SILENT,
    resume: bool = False,
    overwrite: bool = False,
) -> Run:
    """Train on ``dataset`` and leave everything in the folder ``run``.

    First on the training interactions, with early stopping on validation NDCG@10; then, with
    ``config.refit``, from scratch and for as many epochs on all interactions before the cut.
    ``judge``: without, the first of the two is left out where nothing is chosen by it, with
    ``config.average``, and the run has no figure on validation.
    ``texts``: where the texts are, if ``config.finetune`` is to fine-tune their encoder before.
    ``resume``: go on with a run that was cut off; the outcome is the same as without the cut.

    Raises UsageError where ``run`` is in the way or does not fit, TrainingError where the loss is
    no longer finite.
    """
    config = config or TrainConfig()
    run = Path(run)
    if resume and (run / MARKER).exists():
        _check_resumable(run, dataset, config)
    else:
        config.torch_device()
        check_writable_folder(run, marker=MARKER, overwrite=overwrite)
        check_finetune(dataset, config.finetune, texts)
        _begin(run, dataset, config)
    started = time.perf_counter()
    dataset = fine_tuned(dataset, run, config, texts, progress)
    info = read_json(run / MARKER, what="run")
    if info["state"] != "finished":
        trainer = _Trainer(dataset, run, config, progress)
        if judge or not config.average or not config.refit:
            best = trainer.select()
        else:
            best = {"epoch": config.epochs, "value": None}
        if config.refit:
            dataset.forget("train")
            trainer.refit(best)
        info |= {
            "state": "finished",
            "best_epoch": best["epoch"],
            f"valid_{WATCHED}": best["value"],
            "refitted": config.refit,
            "seconds": round(info.get("seconds", 0) + time.perf_counter() - started, 2),
        }
        write_json(run / MARKER, info)
        _drop_checkpoints(run)
    return load_run(run, dataset, config.device)


class _Trainer:
    """Runs the phases ``select`` and ``refit``, each resumable at the last finished epoch."""

    def __init__(
        self, dataset: Dataset, run: Path, config: TrainConfig, progress: Progress
    ) -> None:
        self.dataset = dataset
        self.run = run
        self.config = config
        self.progress = progress

    def select(self) -> dict[str, Any]:
        """Train without the validation part; keep the weights of the best epoch."""
        self._tell_drawn()
        phase = _Phase("select", self, "train")
        if self.config.average:
            self._train_through(phase)
            judged: dict[str, Any] = phase.state.get("best") or phase.judge(self.config.epochs)
            # a run that is resumed in its refit need not be judged again
            phase.checkpoint(self.config.epochs, judged)
            return judged
        best = phase.state.get("best")
        if best is None:
            best = phase.judge(0)
        with self.progress.task("train", self.config.epochs, "epochs") as task:
            task.advance(phase.state["epoch"])
            for epoch in range(phase.state["epoch"] + 1, self.config.epochs + 1):
                if epoch - best["epoch"] > self.config.patience:
                    break
                terms = phase.train_epoch(epoch)
                found = phase.judge(epoch, terms)
                if found["value"] > best["value"]:
                    best = found
                phase.checkpoint(epoch, best)
                task.advance(1, **_shown(terms, found["value"], best))
        return best

    def _tell_drawn(self) -> None:
        """Say where validation judges some users alone."""
        most = self.config.valid_users
        users = np.count_nonzero(np.bincount(self.dataset.targets("valid").user))
        if most and users > most:
            self.progress.note(f"validation judges {most:,} of {users:,} users, always the same")

    def refit(self, best: Mapping[str, Any]) -> None:
        """Train from scratch, as many epochs as were best, on all interactions before the cut."""
        phase = _Phase("refit", self, "fit")
        if self.config.average:
            self._train_through(phase)
            phase.save("model.safetensors", self.config.epochs)
            return
        with self.progress.task("refit", max(1, best["epoch"]), "epochs") as task:
            task.advance(phase.state["epoch"])
            for epoch in range(phase.state["epoch"] + 1, best["epoch"] + 1):
                terms = phase.train_epoch(epoch)
                phase.log.write({"phase": "refit", "epoch": epoch, **terms})
                phase.checkpoint(epoch, dict(best))
                task.advance(1, loss=f"{terms['loss']:.4f}")
        phase.save("model.safetensors", best["epoch"])

    def _train_through(self, phase: _Phase) -> None:
        """All epochs, then the mean of the last ones' weights."""
        with self.progress.task(phase.name, self.config.epochs, "epochs") as task:
            task.advance(phase.state["epoch"])
            for epoch in range(phase.state["epoch"] + 1, self.config.epochs + 1):
                terms = phase.train_epoch(epoch)
                if epoch > self.config.epochs - self.config.average:
                    phase.learner.add_to_mean()
                phase.log.write({"phase": phase.name, "epoch": epoch, **terms})
                phase.checkpoint(epoch, {})
                task.advance(1, loss=f"{terms['loss']:.4f}")
        phase.learner.take_mean()


class _Phase:
    """A model, its optimiser and its data, at the epoch that ``state`` tells."""

    def __init__(self, name: str, trainer: _Trainer, stage: str) -> None:
        self.name = name
        self.run, self.config, self.dataset = trainer.run, trainer.config, trainer.dataset
        self.snapshot = self.dataset.snapshot(stage)
        self.learner = Learner(self.dataset, self.snapshot, self.config, trainer.progress)
        self.model, self.optimiser = self.learner.model, self.learner.optimiser
        self.state: dict[str, Any] = {"epoch": 0}
        self._restore()
        self.log = MetricsLog(self.run, keep=(name, self.state["epoch"]))

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the interactions; the means of the loss's terms, and the speed."""
        # all randomness follows from seed, phase and epoch: nothing else needs to be kept
        torch.manual_seed(hash((self.config.seed, self.name == "refit", epoch)) % 2**31)
        return self.learner.epoch(epoch, where=str(self.run))

    def judge(self, epoch: int, terms: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Validation NDCG@10; the weights are kept where it is the best so far."""
        scorer = ModelScorer(self.model, self.snapshot, self.config)
        at_most = self.config.valid_users or None
        value = evaluate(scorer, self.dataset, "valid", at_most=at_most).metrics[WATCHED]
        self.log.write({"phase": self.name, "epoch": epoch, **(terms or {}), WATCHED: value})
        best = self.state.get("best")
        found = {"epoch": epoch, "value": value}
        if not best or value > best["value"]:
            self.state["best"] = found
            self.save("selected.safetensors", epoch)
        return found

    def save(self, name: str, epoch: int) -> None:
        """Write the weights as they are."""
        note = {"epoch": str(epoch), "phase": self.name}
        save_weights(self.run / name, self.model.state_dict(), note)

    def checkpoint(self, epoch: int, best: Mapping[str, Any]) -> None:
        """Write all that a resumed run needs: one file, so that it is whole or absent."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {
            f"optimiser.{name}": value for name, value in optimiser_tensors(self.optimiser).items()
        }
        tensors |= {f"mean.{name}": value for name, value in self.learner.sums.items()}
        state = json.dumps({"epoch": epoch, "best": dict(best)})
        save_weights(self._checkpoint_path(), tensors, {"state": state})

    def _checkpoint_path(self) -> Path:
        return self.run / "checkpoint" / f"{self.name}.safetensors"

    def _restore(self) -> None:
        path = self._checkpoint_path()
        if not path.exists():
            return
        tensors = load_weights(path)
        self.state = json.loads(_note(path)["state"])
        put_weights(self.model, _under(tensors, "model."), path)
        put_optimiser(self.optimiser, _under(tensors, "optimiser."))
        self.learner.sums = _under(tensors, "mean.")


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _note(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def _shown(terms: Mapping[str, float], value: float, best: Mapping[str, Any]) -> dict[str, str]:
    return {
        "loss": f"{terms['loss']:.4f}",
        "rec": f"{terms['rec']:.4f}",
        "pseudo": f"{terms['pseudo']:.4f}",
        "reg": f"{terms['reg']:.4f}",
        WATCHED: f"{value:.4f}",
        "best": f"{best['value']:.4f} at {best['epoch']}",
        "interactions/s": f"{terms['interactions_per_second']:,.0f}",
    }


def _begin(run: Path, dataset: Dataset, config: TrainConfig) -> None:
    for stale in ("model.safetensors", "selected.safetensors", "metrics.jsonl"):
        (run / stale).unlink(missing_ok=True)
    drop_tuned(run)
    _drop_checkpoints(run)
    write_json(run / "config.json", to_mapping(config))
    write_json(
        run / MARKER,
        {
            "schema": SCHEMA,
            "state": "training",
            "dataset": {"path": str(Path(dataset.path).resolve()), "hash": dataset.hash},
            "versions": {
                "finrec_dgl": __version__,
                "dgl": dgl_version(),
                "torch": str(torch.__version__),
            },
            "seed": config.seed,
            "threads": torch.get_num_threads(),
        },
    )
    write_atomically(run / "metrics.jsonl", lambda target: target.write_text("", encoding="utf-8"))


def _check_resumable(run: Path, dataset: Dataset, config: TrainConfig) -> None:
    info = read_json(run / MARKER, what="run")
    if info["dataset"]["hash"] != dataset.hash:
        raise UsageError(
            "the run was begun on another data set",
            expected=f"data set {info['dataset']['hash'][:12]}, found {dataset.hash[:12]}",
            where=str(run),
            mend="resume with the data set it was begun on, or train into a new folder",
        )
    before = read_json(run / "config.json", what="run's configuration")
    after = to_mapping(config)
    # a run may go on elsewhere than it began
    compared = [key for key in after if key != "device"]
    changed = sorted(key for key in compared if before.get(key) != after[key])
    if changed:
        raise UsageError(
            f"the run was begun with another configuration: {', '.join(changed)} differ",
            where=str(run / "config.json"),
            mend="resume with the same options, or train into a new folder",
        )


def _drop_checkpoints(run: Path) -> None:
    folder = run / "checkpoint"
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
