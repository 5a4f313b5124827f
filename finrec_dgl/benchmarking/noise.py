"""How much noise in texts, labels and edges costs, and how far a wrong text spreads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import DataError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.benchmarking.ablation import FORMS, check_parts, form_of
from finrec_dgl.benchmarking.charts import lines, picture
from finrec_dgl.benchmarking.jobs import (
    Job,
    Made,
    Measured,
    Study,
    open_folder,
    remove,
    settings_of,
    write_outcome,
)
from finrec_dgl.benchmarking.outcome import name_of, table_of
from finrec_dgl.benchmarking.spread import Spread, spread
from finrec_dgl.benchmarking.table import METRIC, Table, markdown
from finrec_dgl.dataset import Dataset, Interactions
from finrec_dgl.dataset.snapshot import pair_keys
from finrec_dgl.nn import TowerRecommender
from finrec_dgl.training import TrainConfig, load_run, train

CLEAN = "clean"
_REDRAWS = 16
_CHUNK = 65_536

LEVELS: Mapping[str, tuple[float, ...]] = {
    "replaced": (0.25, 0.5, 0.75, 1.0),
    "masked": (0.25, 0.5, 0.75, 1.0),
    "gaussian": (0.25, 0.5, 1.0, 2.0),
    "pseudo": (0.25, 0.5, 0.75, 1.0),
    "drop": (0.25, 0.5, 0.75),
    "add": (0.25, 0.5, 1.0),
}
"""kind of noise -> its levels beside none.

``replaced`` and ``masked``: the share of nodes whose text is another's, or none; ``gaussian``: the
standard deviation of noise, as the length of its vector where that of a text is 1; ``pseudo``: the
share of nodes whose pseudo-label is another's; ``drop``: the share of pairs that are taken away;
``add``: random pairs added, as a share of those there are.
"""


def corrupt(dataset: Dataset, kind: str, level: float, seed: int = 0) -> Dataset:
    """``dataset`` in memory with noise of ``kind`` (all of ``LEVELS`` but ``pseudo``).

    Targets and candidates stay. The nodes, pairs or directions drawn by ``seed`` at one level are
    among those at a higher one. What replaces a text was there before it: noise brings nothing back
    from later. At level 0 it is ``dataset``, else another hash. Raises ConfigError for an unknown
    kind or a level out of range.
    """
    known = tuple(one for one in LEVELS if one != "pseudo")
    refuse([*choice("kind", kind, known), *_wrong_level(kind, level)], where="noise")
    if level == 0:
        return dataset
    rng = np.random.default_rng((seed, known.index(kind)))
    ways: dict[str, Callable[[Dataset, float, np.random.Generator], dict[str, Any]]] = {
        "replaced": partial(_other_texts, masked=False),
        "masked": partial(_other_texts, masked=True),
        "gaussian": _noisy_vectors,
        "drop": _fewer_pairs,
        "add": _more_pairs,
    }
    told = f"{dataset.hash} {kind} {level!r} {seed}"
    digest = hashlib.sha256(told.encode()).hexdigest()
    return replace(
        dataset, manifest={**dataset.manifest, "hash": digest}, **ways[kind](dataset, level, rng)
    )


def _wrong_level(kind: str, level: float) -> list[str]:
    most = {"gaussian": np.inf, "add": np.inf, "drop": 0.99}.get(kind, 1.0)
    if 0 <= level <= most:
        return []
    return [f"the level of {kind} is {level:g}, expected from 0 to {most:g}"]


def _other_texts(
    dataset: Dataset, share: float, rng: np.random.Generator, masked: bool
) -> dict[str, Any]:
    """The texts of a share of users and of items: a post is its writer's, a post that is nobody's
    that of the item it is about."""
    drawn = {
        "user": rng.random(dataset.n_users) < share,
        "item": rng.random(dataset.n_items) < share,
    }

    def other(
        text: np.ndarray, time: np.ndarray | None, late: np.ndarray, node: np.ndarray, side: str
    ) -> np.ndarray:
        chosen = drawn[side][node]
        if masked:
            return np.where(chosen, np.int32(-1), text)
        return np.where(chosen, _earlier(text, late if time is None else time, node, rng), text)

    events, posts = dataset.interactions, dataset.cold_posts
    profiles = {
        side: replace(one, text=other(one.text, one.time, one.time, one.node, side))
        for side, one in (("item", dataset.item_profiles), ("user", dataset.user_profiles))
    }
    text = other(events.text, events.time, events.valid, events.user, "user")
    about = other(posts.text, posts.time, posts.valid, posts.item, "item")
    return {
        "interactions": replace(events, text=text),
        "cold_posts": _with_text(posts, about),
        "item_profiles": profiles["item"],
        "user_profiles": profiles["user"],
    }


def _with_text(posts: Any, text: np.ndarray) -> Any:
    kept = text >= 0
    return replace(
        posts,
        item=posts.item[kept],
        text=text[kept],
        time=None if posts.time is None else posts.time[kept],
        valid=posts.valid[kept],
    )


def _earlier(
    text: np.ndarray, order: np.ndarray, node: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """For each text one of another node, no later in ``order``; -1 where none was found."""
    told = np.flatnonzero(text >= 0)
    told = told[np.argsort(order[told], kind="stable")]
    upto = np.searchsorted(order[told], order[told], side="right")
    drawn = (rng.random(len(told)) * upto).astype(np.int64)
    for _ in range(_REDRAWS):
        own = np.flatnonzero(node[told[drawn]] == node[told])
        if not len(own):
            break
        drawn[own] = (rng.random(len(own)) * upto[own]).astype(np.int64)
    found = np.full(len(text), -1, np.int32)
    found[told] = np.where(node[told[drawn]] == node[told], -1, text[told[drawn]])
    return found


def _noisy_vectors(dataset: Dataset, level: float, rng: np.random.Generator) -> dict[str, Any]:
    """Each text's vector plus a normal one of length ``level`` on average, at length 1 again."""
    vectors = np.array(dataset.vectors)
    dim = max(1, vectors.shape[1])
    for start in range(0, len(vectors), _CHUNK):
        rows = vectors[start : start + _CHUNK].astype(np.float32)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        noise = rng.standard_normal(rows.shape, np.float32) * (level / np.sqrt(dim))
        noisy = rows / np.maximum(length, 1e-9) + noise
        noisy /= np.maximum(np.linalg.norm(noisy, axis=1, keepdims=True), 1e-9)
        vectors[start : start + _CHUNK] = np.where(length > 0, noisy, rows)
    return {"vectors": vectors}


def _fewer_pairs(dataset: Dataset, share: float, rng: np.random.Generator) -> dict[str, Any]:
    """Without a share of the pairs; what was written with them goes too."""
    events = dataset.interactions
    keys = pair_keys(events.user, events.item, dataset.n_items)
    pairs, place = np.unique(keys, return_inverse=True)
    kept = (rng.random(len(pairs)) >= share)[place]
    return {"interactions": _rows(events, np.flatnonzero(kept))}


def _more_pairs(dataset: Dataset, share: float, rng: np.random.Generator) -> dict[str, Any]:
    """With random pairs of users and items that have interactions, at times of existing ones."""
    events = dataset.interactions
    keys = pair_keys(events.user, events.item, dataset.n_items)
    users, items = np.unique(events.user), np.unique(events.item)
    wanted = round(share * len(np.unique(keys)))
    user = rng.choice(users, wanted)
    item = rng.choice(items, wanted)
    fresh = ~np.isin(pair_keys(user, item, dataset.n_items), keys)
    user, item = user[fresh], item[fresh]
    like = rng.integers(0, len(events), len(user))
    rows = np.concatenate([np.arange(len(events)), like])
    more = _rows(events, rows)
    new = np.arange(len(events), len(rows))
    more.user[new], more.item[new], more.text[new] = user, item, -1
    if more.time is not None:
        more = _rows(more, np.argsort(more.time, kind="stable"))
    return {"interactions": more}


def _rows(events: Interactions, rows: np.ndarray) -> Interactions:
    return Interactions(
        events.user[rows],
        events.item[rows],
        None if events.time is None else events.time[rows],
        None if events.weight is None else events.weight[rows],
        events.text[rows],
        events.valid[rows],
    )


@dataclass(frozen=True)
class NoiseFound:
    """By form, the table of all kinds and levels against clean data; and how far a text spreads.

    ``spread`` is None where the paper's form was not asked for, or has no text.
    """

    dataset: str
    tables: Mapping[str, Table]
    spread: Spread | None

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "dataset": self.dataset,
            "forms": {form: one.to_mapping() for form, one in self.tables.items()},
            "spread": None if self.spread is None else self.spread.to_mapping(),
        }


def measure_noise(
    asked: Sequence[tuple[Dataset, TrainConfig]],
    out: Path,
    parts: Sequence[str] = FORMS,
    kinds: Sequence[str] = tuple(LEVELS),
    levels: Sequence[float] | None = None,
    seeds: int = 3,
    epochs: int | None = None,
    nodes: int = 20,
    progress: Progress = SILENT,
) -> list[NoiseFound]:
    """Train each form of ``parts`` on corrupted data, and measure it on the questions of the clean.

    Users, candidates and what is held are those of the clean test whatever the noise; data sets,
    ``parts`` and ``epochs`` are as ``ablate`` takes them. ``kinds`` of ``LEVELS``, at ``levels``
    (None: each kind's own). Each seed trains with it and draws its own noise. For the paper's form
    ``spread`` is measured from ``nodes`` nodes.

    ``out`` receives in a folder for each data set ``noise-<form>`` and ``spread`` as .json, .md and
    .svg. What is there is not done again. Raises ConfigError for unknown names and levels out of
    range, DataError where noise in text is asked for and there is none.
    """
    check_parts(asked, parts, seeds)
    problems = [one for kind in kinds for one in choice("kind", kind, tuple(LEVELS))]
    refuse(problems or ([] if kinds else ["no kind of noise is named"]), where="benchmark")
    plan = {kind: tuple(levels or LEVELS[kind]) for kind in kinds}
    wrong = [one for kind in kinds for level in plan[kind] for one in _wrong_level(kind, level)]
    refuse([*wrong, *([] if nodes >= 1 else [f"nodes is {nodes}, expected at least 1"])])
    for dataset, _ in asked:
        if not dataset.vectors.shape[1] and set(kinds) - {"drop", "add"}:
            raise DataError(
                "there is no text that could be corrupted",
                expected="a data set made with a text encoder, or the kinds drop and add alone",
                where=str(dataset.path),
            )
    open_folder(out)
    found = []
    for dataset, config in asked:
        study = Study(dataset, Path(out) / name_of(dataset), progress)
        tables = {}
        for part in parts:
            progress.note(f"noise for the {part} form on {name_of(dataset)}")
            tables[part] = _noisy_table(study, part, form_of(part, config, epochs), plan, seeds)
            drawn = picture(tables[part].title, [(part, _curves(tables[part]), tuple(plan))])
            told = tables[part]
            write_outcome(study.out, f"noise-{part}", told.to_mapping(), told.to_markdown(), drawn)
        spread = _spread_of(study, tables.get("paper"), nodes, config.seed)
        found.append(NoiseFound(name_of(dataset), tables, spread))
    return found


def _noisy_table(
    study: Study,
    part: str,
    config: TrainConfig,
    plan: Mapping[str, Sequence[float]],
    seeds: int,
) -> Table:
    measured = {CLEAN: Measured(study.configured(part, config, seeds))}
    asked = [(kind, level) for kind, levels in plan.items() for level in levels if level]
    with study.progress.task(f"noise for {part}", len(asked), "levels") as task:
        for kind, level in asked:
            results = [
                _noisy_result(study, part, replace(config, seed=seed), kind, level)
                for seed in range(config.seed, config.seed + seeds)
            ]
            measured[f"{kind} {level:g}"] = Measured(results)
            task.advance(1, last=kind)
    return table_of(study.dataset, measured, reference=CLEAN)


def _noisy_result(
    study: Study, part: str, config: TrainConfig, kind: str, level: float
) -> Mapping[str, Any]:
    if kind == "pseudo":
        config = replace(config, model=replace(config.model, pseudo_noise=level))
        learnt = study.dataset
    else:
        learnt = corrupt(study.dataset, kind, level, config.seed)
    job = Job(f"{part}-{kind}-{level:g}", config.seed, settings_of(config))
    place = study.out / "runs" / job.name(learnt)

    def make() -> Made:
        run = train(learnt, place, config, judge=False, progress=study.progress, resume=True)
        return Made(run.scorer("test"), {"best_epoch": run.info["best_epoch"]})

    result: Mapping[str, Any] = study.measure(job, make, learnt)
    remove(place)
    return result


def _curves(table: Table) -> str:
    clean = table.row(CLEAN).metrics[METRIC]
    series: dict[str, list[tuple[float, float]]] = {}
    for row in table.rows:
        if row.model != CLEAN:
            kind, level = row.model.rsplit(" ", 1)
            series.setdefault(kind, [(0.0, clean)]).append((float(level), row.metrics[METRIC]))
    return lines(table.title, series, "level of noise", "NDCG@10 on test")


def _spread_of(study: Study, table: Table | None, nodes: int, seed: int) -> Spread | None:
    """The spread in the first run of the paper's form on clean data, written to disk."""
    if table is None:
        return None
    run = load_run(study.out / table.row(CLEAN).runs[0], study.dataset)
    model = cast(TowerRecommender, run.model("test"))  # the paper's form has this readout
    if model.stream_one is None or model.text_one is None:
        return None
    study.progress.note("how far a wrong text spreads")
    change, changed = spread(model, study.dataset.snapshot("fit"), nodes, seed=seed)
    found = Spread(name_of(study.dataset), changed, change)
    told = markdown(found.title, found.headers, found.cells(), found.notes)
    write_outcome(study.out, "spread", found.to_mapping(), told, found.picture())
    return found
