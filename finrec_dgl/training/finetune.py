"""Fine-tunes the text encoder for a run, encodes all texts anew, and tells what that cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from finrec_dgl.base.config import from_mapping
from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.files import read_json, write_json
from finrec_dgl.base.measure import Cost, measured
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import Dataset
from finrec_dgl.dataset.preprocessing import read_texts
from finrec_dgl.dataset.snapshot import gather
from finrec_dgl.dataset.texts import halved
from finrec_dgl.nn import HybridConfig
from finrec_dgl.tables.contract import Tables
from finrec_dgl.text import EncoderSpec, encode_with
from finrec_dgl.text.adapter import load_adapter, merge_adapter, require_peft, save_adapter
from finrec_dgl.text.encoder import Encoder, resolve
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.contrastive import FinetuneConfig, find_positives, tune
from finrec_dgl.training.run import MARKER
from finrec_dgl.training.tuned import ADAPTER, save_tuned_vectors, with_tuned_vectors

_SAMPLE = 512
_LEAST_COSINE = 0.99


@dataclass(frozen=True)
class TextSource:
    """Where the texts of a data set come from, and what encoded them, for a data set keeps neither.

    ``tables``: the folder that it was made from, or tables in memory; ``split_file``: the one it
    was made with, if any; ``encoder``: the folder of its text encoder, where it was given as one;
    ``trust_remote_code``: run Python code that comes with the encoder, read before.
    """

    tables: Tables | str | Path
    split_file: str | Path | None = None
    encoder: str | Path | None = None
    trust_remote_code: bool = False


def check_finetune(dataset: Dataset, config: FinetuneConfig, source: TextSource | None) -> None:
    """Raise UsageError where ``config`` asks for what cannot be done, before anything is done."""
    if config.method == "none":
        if source is not None:
            raise UsageError(
                "tables are read for fine-tuning, and none is asked for",
                mend="add --finetune lora, or leave --tables out",
            )
        return
    if not dataset.vectors.size:
        raise UsageError(
            "the data set has no text vectors: there is no text encoder to fine-tune",
            expected="a data set made with a text encoder",
            where=str(dataset.path),
        )
    if source is None:
        raise UsageError(
            "fine-tuning needs the texts, and a data set keeps only their vectors",
            expected="the tables that the data set was made from",
            mend="name their folder with --tables",
        )
    require_peft()


def fine_tuned(
    dataset: Dataset,
    run: Path,
    config: TrainConfig,
    source: TextSource | None,
    progress: Progress = SILENT,
) -> Dataset:
    """``dataset`` with the vectors of an encoder fine-tuned as ``config.finetune`` says.

    The adapter and the vectors are left in the folder ``run``, and their cost in its ``run.json``;
    what is there already is not done again. No text is written anywhere.

    Raises DataError where the tables or the encoder are not those that the data set was made from.
    """
    if config.finetune.method == "none":
        return dataset
    info = read_json(run / MARKER, what="run")
    report = info.get("finetune", {})
    if "encoding" in report:
        return with_tuned_vectors(dataset, run)
    check_finetune(dataset, config.finetune, source)
    texts, encoder = open_texts(dataset, source, progress)  # type: ignore[arg-type]
    if report:
        load_adapter(encoder, run / ADAPTER)
    else:
        report = {"frozen": check_texts(dataset, texts, encoder, config.seed, progress)}
        report |= tune_encoder(
            dataset, texts, encoder, config.finetune, config.model, config.seed, progress
        )
        save_adapter(encoder, run / ADAPTER)
        write_json(run / MARKER, info | {"finetune": report})
    vectors, cost = encode_anew(dataset, texts, encoder, config.finetune.reencode, progress)
    save_tuned_vectors(run, vectors)
    write_json(run / MARKER, info | {"finetune": report | {"encoding": cost}})
    return with_tuned_vectors(dataset, run)


def open_texts(
    dataset: Dataset, source: TextSource, progress: Progress = SILENT
) -> tuple[list[str], Encoder]:
    """The texts behind the vectors of ``dataset``, in their order, and its encoder in memory.

    Raises DataError where they are not those that the data set was made with.
    """
    progress.note("reading the texts from the tables again")
    texts = read_texts(dataset, source.tables, source.split_file)
    recorded = dataset.manifest["text"]["encoder"]
    spec = from_mapping(
        EncoderSpec, dataset.manifest["options"]["encoder"], where=str(dataset.path)
    )
    spec = replace(
        spec,
        name=spec.name if source.encoder is None else str(source.encoder),
        pooling=recorded["pooling"],
        # a data set says nothing of whether to run its author's code
        trust_remote_code=source.trust_remote_code,
    )
    model = resolve(spec, trained=True)
    if model.identity != recorded["model"]:
        raise DataError(
            f"the text encoder is {model.identity[:12]}, not the one that the data set was made by",
            expected=f"{spec.name}, {recorded['model'][:12]}",
            where=str(model.folder),
            mend="name the folder of the right one with --encoder",
        )
    progress.note(f"loading the text encoder {Path(spec.name).name} ({model.precision})")
    return texts, Encoder(model)


def check_texts(
    dataset: Dataset,
    texts: list[str],
    encoder: Encoder,
    seed: int,
    progress: Progress = SILENT,
) -> dict[str, float]:
    """Encode a sample by the frozen ``encoder``; what it cost, as ``encode_anew`` tells it.

    Raises DataError where a vector's cosine with the stored one is not above 0.99.
    """
    used = _rows(dataset, "all")
    rows = np.sort(np.random.default_rng(seed).permutation(used)[:_SAMPLE])
    vectors, cost = _encode(texts, rows, encoder, progress)
    stored = gather(dataset.vectors, rows)
    cosine = (gather(vectors, np.arange(len(rows))) * stored).sum(axis=1)
    if np.any((cosine <= _LEAST_COSINE) & (stored.any(axis=1) | vectors.any(axis=1))):
        raise DataError(
            "the texts of the tables have other vectors than the data set holds",
            expected=f"a cosine above {_LEAST_COSINE}, found {cosine.min():.3f}",
            where=str(dataset.path),
            mend="name the right tables, or make the data set again from these",
        )
    return cost


def tune_encoder(
    dataset: Dataset,
    texts: list[str],
    encoder: Encoder,
    config: FinetuneConfig,
    model: HybridConfig,
    seed: int,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Put a trained adapter on ``encoder``; what came of it and what it cost.

    Trained once, on what was before the validation part, and used for both the selection and the
    refit: so no vector, not even of a later text, holds anything of what is to be predicted.
    """
    positives = find_positives(dataset.snapshot("train"), model, seed)
    with measured() as cost:
        found = tune(encoder, texts, dataset.vectors, positives, config, seed, progress)
    return {**found, "tuning": cost.to_mapping()}


def encode_anew(
    dataset: Dataset,
    texts: list[str],
    encoder: Encoder,
    reencode: str = "all",
    progress: Progress = SILENT,
) -> tuple[np.ndarray, dict[str, float]]:
    """Vectors float16 or float32 [texts, d] by ``encoder``, and what they cost.

    ``reencode``: of ``all`` texts, or of the profiles of ``items`` only; others stay as they are.
    The adapter of ``encoder`` becomes a part of its weights.
    """
    merge_adapter(encoder)
    rows = _rows(dataset, reencode)
    found, cost = _encode(texts, rows, encoder, progress)
    vectors = dataset.vectors.astype(np.float32)
    vectors[rows] = found
    return halved(vectors), cost


def _rows(dataset: Dataset, reencode: str) -> np.ndarray:
    """The rows of the vectors that something refers to."""
    codes = [dataset.item_profiles.text]
    if reencode == "all":
        codes += [dataset.user_profiles.text, dataset.interactions.text]
    rows = np.unique(np.concatenate(codes))
    return rows[rows >= 0]


def _encode(
    texts: list[str], rows: np.ndarray, encoder: Encoder, progress: Progress
) -> tuple[np.ndarray, dict[str, float]]:
    with measured() as cost:
        vectors = encode_with(encoder, [texts[row] for row in rows], progress)
    return vectors, _told(cost, len(rows))


def _told(cost: Cost, texts: int) -> dict[str, float]:
    per_text = cost.seconds / max(texts, 1)
    return {"texts": texts, "seconds_per_text": round(per_text, 6), **cost.to_mapping()}
