"""Takes the hybrid and the paper's plain form apart: each part off or otherwise, and its worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import ConfigError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.benchmarking.jobs import Measured, Study, Unavailable, open_folder
from finrec_dgl.benchmarking.outcome import Outcome, name_of, table_of, write_combined, write_table
from finrec_dgl.benchmarking.table import REFERENCE, Skipped, Table
from finrec_dgl.benchmarking.tuning import PARTS, changed, plain_form
from finrec_dgl.dataset import Dataset
from finrec_dgl.nn.config import FUSIONS
from finrec_dgl.training import TrainConfig
from finrec_dgl.training.config import LOSSES

FORMS = (REFERENCE, "paper")
"""The full forms: the hybrid with the pair readout, and the paper's tower readout."""

WITHOUT: Mapping[str, Mapping[str, Any]] = {
    f"without-{part.replace('_', '-')}": {f"model.{part}": False} for part in PARTS
}
"""Each part switched off."""

PAPER_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    **{f"loss-{loss}": {"loss": loss} for loss in LOSSES},
    **WITHOUT,
    **{f"fusion-{one}": {"model.fusion": one, "model.fusion_two": one} for one in FUSIONS},
    **{f"layers-{count}": {"model.layers": count} for count in (1, 2, 3, 4)},
    **{f"heads-{count}": {"model.heads": count} for count in (1, 2, 4, 8)},
}

RELATIONS = ("peers", "ease", "cosine", "spectral", "popularity", "trends", "burstiness")
"""Relations whose worth is measured one by one; the others are parts or off by default."""

TIMELESS: Mapping[str, Any] = {
    "model.pair.short_half_life": 0.0,
    "model.pair.holding_half_lives": (0.0,),
    "model.pair.trend_half_lives": (),
    "model.pair.steady_half_life": 0.0,
}
"""Nothing fades and nothing trends; beside it the half-life of every head is 0."""


def variants_of(form: str, config: TrainConfig) -> dict[str, Mapping[str, Any]]:
    """name -> what of the full form ``config`` is changed."""
    if form == "paper":
        return dict(PAPER_VARIANTS)
    lives = [0.0] * len(config.model.pair.peer_half_lives)
    listed = config.model.pair.relations
    return {
        **WITHOUT,
        **{
            f"without-{one}": {
                "model.pair.relations": tuple(name for name in listed if name != one)
            }
            for one in RELATIONS
            if one in listed
        },
        "without-time": {"model.pair.peer_half_lives": lives, **TIMELESS},
        "without-cold-worlds": {"model.pair.cold_share": 0.0},
    }


def form_of(form: str, config: TrainConfig, epochs: int | None = None) -> TrainConfig:
    """The full form: ``config`` itself, or the paper's (``plain_form``) with at most ``epochs``.

    Raises ConfigError where the hybrid is asked for and ``config`` has another readout than pair.
    """
    if form == "paper":
        return plain_form(config, epochs)
    if config.model.readout != "pair":
        raise ConfigError(
            f"the readout of the configuration is {config.model.readout}",
            expected="pair: the hybrid is taken apart in the form that wins",
            where="model.readout",
            mend="name its configuration, or ask for the paper's form alone: --part paper",
        )
    return config


def check_parts(
    asked: Sequence[tuple[Dataset, TrainConfig]], parts: Sequence[str], seeds: int
) -> None:
    """Raise ConfigError for forms that are not there, or that a configuration does not have."""
    problems = [problem for part in parts for problem in choice("part", part, FORMS)]
    if not parts:
        problems.append(f"no part is named, expected some of {', '.join(FORMS)}")
    if seeds < 1:
        problems.append(f"seeds is {seeds}, expected at least 1")
    refuse(problems, where="benchmark")
    for part in parts:
        for _, config in asked:
            form_of(part, config)


def ablate(
    asked: Sequence[tuple[Dataset, TrainConfig]],
    out: Path,
    parts: Sequence[str] = FORMS,
    variants: Sequence[str] | None = None,
    seeds: int = 5,
    epochs: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, Outcome]:
    """Train each full form of ``parts`` and its ``variants`` (None: all), and measure on test.

    Nothing is tuned: a variant has the configuration of its full form but for what its name says.
    ``asked``: data sets with the configuration of the hybrid on them; ``epochs``: of the paper's
    form. Each variant is compared with the full form as in ``compare_models``, over the same seeds.

    ``out`` receives in a folder for each data set, and for several in ``out`` itself, a table for
    each form: ``hybrid`` and ``paper``, as .json, .md and .svg. What is there is not done again.
    Raises ConfigError for unknown names and as ``form_of``, else as ``compare_models``.
    """
    check_parts(asked, parts, seeds)
    known = {name: None for part in parts for _, one in asked for name in variants_of(part, one)}
    refuse(
        [problem for name in variants or () for problem in choice("variant", name, tuple(known))],
        where="benchmark",
    )
    open_folder(out)
    found: dict[str, Outcome] = {}
    for part in parts:
        tables = []
        for dataset, config in asked:
            progress.note(f"the {part} form on {name_of(dataset)}")
            study = Study(dataset, Path(out) / name_of(dataset), progress)
            full = form_of(part, config, epochs)
            table = _ablate_one(study, part, full, variants, seeds)
            write_table(study.out, table, part)
            tables.append(table)
        found[part] = write_combined(Path(out), tables, part)
    return found


def _ablate_one(
    study: Study, part: str, full: TrainConfig, variants: Sequence[str] | None, seeds: int
) -> Table:
    options = {
        name: one
        for name, one in variants_of(part, full).items()
        if variants is None or name in variants
    }
    measured: dict[str, Measured] = {}
    skipped: list[Skipped] = []
    same: list[str] = []
    with study.progress.task(f"parts of {part}", len(options) + 1, "variants") as task:
        for name, one in {part: {}, **options}.items():
            try:
                config = changed(full, one)
                if one and config == full:
                    same.append(name)
                else:
                    measured[name] = Measured(study.configured(name, config, seeds))
            except ConfigError as error:
                skipped.append(Skipped(name, error.found))
            except Unavailable as reason:
                skipped.append(Skipped(name, str(reason)))
            task.advance(1, last=name)
    remarks = [f"the full form itself: {', '.join(same)}"] if same else []
    return table_of(study.dataset, measured, skipped, part, remarks=remarks)
