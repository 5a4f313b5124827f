"""``finrec-dgl train``: the hybrid model on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finrec_dgl.base.errors import UsageError
from finrec_dgl.cli.options import integers
from finrec_dgl.cli.output import Debug, Json, Output, Quiet, table

if TYPE_CHECKING:
    from rich.console import Console

    from finrec_dgl.training import TrainConfig


def train(
    dataset: Annotated[Path, typer.Argument(help="A folder that preprocess made.")],
    run: Annotated[Path, typer.Argument(help="The folder to make.")],
    sampler: Annotated[
        str | None,
        typer.Option(
            metavar="auto|full|neighbor",
            help="Take all neighbours of a seed, or draw some; auto chooses by size.",
        ),
    ] = None,
    fanout: Annotated[
        str | None,
        typer.Option(
            help="Neighbours drawn at each hop, from the seeds outwards, such as -1,200,-1."
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Seeds a step.")] = None,
    seeds_per_user: Annotated[
        int | None, typer.Option(help="At most so many seeds of one user; 0: all.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that sample, or threads that make windows.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="auto|cpu|cuda|cuda:N", help="Where to compute; auto: a GPU if any."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="float32|bf16", help="Of products of matrices; bf16 on a GPU alone."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many passes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    finetune: Annotated[
        str | None,
        typer.Option(metavar="none|lora", help="Fine-tune the text encoder first; needs --tables."),
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="The folder that the data set was made from, for its texts.")
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option(help="With --tables: the split the data set was made with.")
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="With --tables: the encoder's folder, if it was a folder.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of the configuration.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One key of the configuration, such as lr=0.01 or model.layers=2; repeatable.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was cut off.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run that is there.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train the model.

    Options win over --set, which wins over --config. An option that would change nothing is
    refused.
    """
    with Output(json=json, quiet=quiet, debug=debug) as output:
        options = {
            "sampler": sampler,
            "fanout": integers([fanout], "--fanout") if fanout is not None else None,
            "batch_size": batch_size,
            "seeds_per_user": seeds_per_user,
            "workers": workers,
            "device": device,
            "precision": precision,
            "epochs": epochs,
            "seed": seed,
        }
        if tables is None and (split_file or encoder):
            raise UsageError("--split-file and --encoder go with --tables", mend="add --tables")
        method = [] if finetune is None else [f"finetune.method={finetune}"]
        settings = read_config(config, [*(sets or []), *method], options)
        from finrec_dgl.dataset import load_dataset
        from finrec_dgl.training import TextSource
        from finrec_dgl.training import train as fit

        done = fit(
            load_dataset(dataset),
            run,
            settings,
            texts=None if tables is None else TextSource(tables, split_file, encoder),
            progress=output.progress,
            resume=resume,
            overwrite=overwrite,
        )
        told = ("best_epoch", "valid_ndcg@10", "refitted", "seconds")
        summary = {"run": str(run), **{name: done.info[name] for name in told}}
        output.result(summary, lambda console: show_run(console, summary))


def read_config(file: Path | None, sets: list[str], options: dict[str, Any]) -> TrainConfig:
    """The configuration that a file, ``key=value`` settings and options (None: not given) make."""
    from finrec_dgl.base.config import apply_sets, read_toml
    from finrec_dgl.training.config import read_settings

    mapping = apply_sets(read_toml(file) if file else {}, sets)
    mapping.update({name: value for name, value in options.items() if value is not None})
    return read_settings(mapping, where=str(file) if file else "training options")


def show_run(console: Console, summary: dict[str, Any]) -> None:
    """Draw what the training reached."""
    console.print(table("training", ("", ""), list(summary.items())))
