"""``finrec-dgl benchmark``: how well models rank, what parts and data are worth, and speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from finrec_dgl.base.errors import UsageError
from finrec_dgl.cli.options import names, numbers
from finrec_dgl.cli.output import Debug, Json, Output, Quiet, table
from finrec_dgl.cli.train import read_config

if TYPE_CHECKING:
    from rich.console import Console

    from finrec_dgl.benchmarking import Outcome
    from finrec_dgl.dataset import Dataset
    from finrec_dgl.training import TrainConfig

DATA = ("fartrans", "gowalla", "stocknet")
Datasets = Annotated[list[Path], typer.Argument(help="Folders that preprocess made.")]
Out = Annotated[
    Path, typer.Option(help="The folder to make, or to go on in; one in it for each data set.")
]
Seeds = Annotated[int, typer.Option(help="Of what draws at random.")]
Configs = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        help="A TOML file of the hybrid's configuration: one for all, or one for each data set in "
        "their order.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One key of the configuration; repeatable."),
]
Budget = Annotated[int, typer.Option(help="Trials a model at most, when it is tuned.")]
Windows = Annotated[
    int, typer.Option(help="Windows before the cut to tune on; the latest is validation.")
]
Grid = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=[A,B]",
        help="What is tried of all that is trained, such as lr=[1e-5,1e-3]; repeatable.",
    ),
]
Part = Annotated[
    str,
    typer.Option(
        metavar="hybrid|paper|all", help="The form of --config, the paper's plain one, or both."
    ),
]
Epochs = Annotated[int | None, typer.Option(help="At most so many passes, in the paper's form.")]


def accuracy(
    datasets: Datasets,
    out: Out,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="popularity, popularity-recent, popularity-decayed, frequency, itemknn, userknn, "
            "ease, slim, l3ae, chebycf, als, bpr, lightgcn, esasrec, text, content, hybrid, "
            "hybrid-text, hybrid-graph, paper, gnn; by default all of them.",
        ),
    ] = None,
    seeds: Seeds = 5,
    config: Configs = None,
    sets: Sets = None,
    budget: Budget = 12,
    valid_windows: Windows = 3,
    grid: Grid = None,
    epochs: Epochs = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare the hybrid with its selves of one modality, the paper's form and the baselines.

    Everything is tuned before the cut and measured once on test. What is in --out already is not
    done again.
    """
    with Output(json=json, quiet=quiet, debug=debug) as output:
        opened = open_all(datasets, config, sets)
        from finrec_dgl.benchmarking import MODELS, Tuning, compare_everywhere

        wanted = names(models) or MODELS
        tuning = Tuning(budget, valid_windows, read_grid(grid), epochs)
        found = compare_everywhere(opened, out, wanted, seeds, tuning, output.progress)
        output.result(
            {"out": str(out), **found.to_mapping()}, lambda console: show_outcome(console, found)
        )


def ablation(
    datasets: Datasets,
    out: Out,
    part: Part = "all",
    variants: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="without-text, fusion-sum, layers-2, ...; by default all of them."
        ),
    ] = None,
    seeds: Seeds = 5,
    config: Configs = None,
    sets: Sets = None,
    epochs: Epochs = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Take the hybrid and the paper's form apart: each part off or otherwise, against the whole.

    The hybrid is that of --config, with the pair readout.
    """
    with Output(json=json, quiet=quiet, debug=debug) as output:
        opened = open_all(datasets, config, sets)
        from finrec_dgl.benchmarking import ablate

        found = ablate(opened, out, _parts(part), names(variants), seeds, epochs, output.progress)
        _result(output, out, found)


def pseudo(
    datasets: Datasets,
    out: Out,
    part: Part = "all",
    lambdas: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Weights; by default 0,0.1,0.3,0.5,0.7.")
    ] = None,
    targets: Annotated[
        str,
        typer.Option(
            metavar="A,B,C",
            help="prototypes, columns, file; the last with --set model.pseudo_file=FILE.",
        ),
    ] = "prototypes,columns",
    seeds: Seeds = 3,
    config: Configs = None,
    sets: Sets = None,
    valid_windows: Windows = 3,
    epochs: Epochs = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Try weights and kinds of pseudo-labels, and tell validation NDCG@10 of each."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        opened = open_all(datasets, config, sets)
        from finrec_dgl.benchmarking import sweep_pseudo
        from finrec_dgl.benchmarking.pseudo import LAMBDAS

        found = sweep_pseudo(
            opened,
            out,
            _parts(part),
            numbers(lambdas, "--lambdas") or LAMBDAS,
            names(targets) or (),
            seeds,
            valid_windows,
            epochs,
            output.progress,
        )
        output.result(
            {"out": str(out), "sweeps": [one.to_mapping() for one in found]},
            lambda console: show_tables(console, found),
        )


def noise(
    datasets: Datasets,
    out: Out,
    part: Part = "all",
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="replaced, masked, gaussian, pseudo, drop, add; by default all of them.",
        ),
    ] = None,
    levels: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Of every kind; by default each its own.")
    ] = None,
    seeds: Seeds = 3,
    config: Configs = None,
    sets: Sets = None,
    epochs: Epochs = None,
    nodes: Annotated[int, typer.Option(help="Whose text is changed to see how it spreads.")] = 20,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Corrupt texts, labels and edges, train on that, and tell what it costs on the clean test."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        opened = open_all(datasets, config, sets)
        from finrec_dgl.benchmarking import measure_noise
        from finrec_dgl.benchmarking.noise import LEVELS

        found = measure_noise(
            opened,
            out,
            _parts(part),
            names(kinds) or tuple(LEVELS),
            numbers(levels, "--levels"),
            seeds,
            epochs,
            nodes,
            output.progress,
        )
        shown: list[Shown] = []
        for one in found:
            shown += [*one.tables.values(), *([one.spread] if one.spread else [])]
        output.result(
            {"out": str(out), "datasets": [one.to_mapping() for one in found]},
            lambda console: show_tables(console, shown),
        )


def cold(
    datasets: Datasets,
    out: Out,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="random, popularity, content, text, hybrid, hybrid-text, hybrid-graph; by default "
            "all of them.",
        ),
    ] = None,
    seeds: Seeds = 5,
    config: Configs = None,
    sets: Sets = None,
    budget: Budget = 12,
    valid_windows: Windows = 3,
    grid: Grid = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare models on products or customers held out altogether, and on the others.

    The data sets are made with preprocess --split cold-items or cold-users.
    """
    with Output(json=json, quiet=quiet, debug=debug) as output:
        opened = open_all(datasets, config, sets)
        from finrec_dgl.benchmarking import COLD_MODELS, Tuning, compare_cold

        tuning = Tuning(budget, valid_windows, read_grid(grid))
        wanted = names(models) or COLD_MODELS
        found = compare_cold(opened, out, wanted, seeds, tuning, output.progress)
        _result(output, out, found)


def speed(
    only: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="convergence, encoding, messages, ranking, sampling, scale, startup; "
            "by default all of them.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A JSON file of all figures.")] = None,
    threads: Annotated[int, typer.Option(help="Of PyTorch and of native code.")] = 2,
    repeats: Annotated[int, typer.Option(help="Of each side, after a warm-up.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="A small size, to see that all runs.")] = (
        False
    ),
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER", help="Where gowalla or stocknet is; what needs it is skipped."
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Time the costly parts beside other software, in turn, and tell ratios with their spread."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        folders = read_folders(data)
        from finrec_dgl.base.files import write_json
        from finrec_dgl.benchmarking.speed import CASES, Settings, measure_speed

        settings = Settings(threads, repeats, quick, folders)
        found = measure_speed(settings, names(only) or CASES, output.progress)
        if out is not None:
            write_json(out, found)
        output.result(found, lambda console: show_speed(console, found))


def read_folders(texts: Sequence[str] | None) -> dict[str, Path]:
    """name -> folder of ``NAME=FOLDER``. Raises UsageError for another form or no folder."""
    folders = {}
    for text in texts or ():
        name, _, folder = text.partition("=")
        if name not in DATA or not Path(folder).is_dir():
            raise UsageError(
                f"'{text}' names no public data set and its folder",
                expected=f"{' or '.join(DATA)}, then = and a folder that is there",
                where="--data",
            )
        folders[name] = Path(folder)
    return folders


def show_speed(console: Console, found: Mapping[str, Any]) -> None:
    """Draw a table for each case: what was timed, and each side's ratio to ours."""
    for case, figures in found.items():
        rows = [
            (what, side, f"{one['ms']:,.2f}", f"{one['ratio']:.2f}", _spread(one))
            for what, sides in figures.get("compared", {}).items()
            for side, one in sides.items()
        ]
        if rows:
            columns = ("", "side", "ms", "ratio", "least to most")
            console.print(table(case, columns, rows))
        rest = {name: value for name, value in figures.items() if name != "compared"}
        console.print(table("" if rows else case, ("", ""), list(_flat(rest))))


def _spread(one: Mapping[str, float]) -> str:
    return f"{one['least_ratio']:.2f} to {one['most_ratio']:.2f}"


def _flat(figures: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}: ")
        else:
            yield f"{before}{name}", value


def _result(output: Output, out: Path, found: Mapping[str, Outcome]) -> None:
    """Tell several outcomes, by name."""

    def show(console: Console) -> None:
        for one in found.values():
            show_outcome(console, one)

    told = {name: one.to_mapping() for name, one in found.items()}
    output.result({"out": str(out), **told}, show)


def _parts(text: str) -> tuple[str, ...]:
    from finrec_dgl.benchmarking.ablation import FORMS

    return FORMS if text == "all" else names(text) or ()


def open_all(
    datasets: Sequence[Path], configs: Sequence[Path] | None, sets: Sequence[str] | None
) -> list[tuple[Dataset, TrainConfig]]:
    """The data set and configuration of each folder; wrong ones are found before any work.

    Raises UsageError for folders of one name, and for another number of configurations.
    """
    counts = Counter(path.resolve().name for path in datasets)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise UsageError(
            f"several data sets are named {', '.join(twice)}",
            expected="folders of different names, since each names its results",
            mend="rename one, or compare on it with another --out",
        )
    files: list[Path | None] = [*configs] if configs else [None]
    if len(files) == 1:
        files *= len(datasets)
    if len(files) != len(datasets):
        raise UsageError(
            f"there are {len(files)} configurations for {len(datasets)} data sets",
            expected="one for all, or one for each in their order",
            where="--config",
        )
    settings = [read_config(file, list(sets or []), {}) for file in files]
    from finrec_dgl.dataset import load_dataset

    return [(load_dataset(path), one) for path, one in zip(datasets, settings, strict=True)]


def read_grid(texts: Sequence[str] | None) -> dict[str, list[Any]] | None:
    """configuration key -> values of ``KEY=[A,B]``; None of nothing. Raises UsageError."""
    from finrec_dgl.base.config import apply_sets

    grid = {}
    for text in texts or ():
        key = text.partition("=")[0].strip()
        values: Any = apply_sets({}, [text])
        for part in key.split("."):
            values = values[part]
        if not isinstance(values, list) or not values:
            raise UsageError(
                f"'{text}' holds no list of values",
                expected="KEY=[A,B], such as lr=[1e-5,1e-3]",
                where="--grid",
            )
        grid[key] = values
    return grid or None


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Draw each table, then all side by side."""
    show_tables(console, [*outcome.tables, *([outcome.combined] if outcome.combined else [])])


class Shown(Protocol):
    """A table that can be drawn."""

    @property
    def title(self) -> str: ...

    @property
    def headers(self) -> tuple[str, ...]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def cells(self) -> list[tuple[str, ...]]: ...


def show_tables(console: Console, tables: Sequence[Shown]) -> None:
    """Draw each of ``tables``, with its notes below."""
    for one in tables:
        console.print(table(one.title, one.headers, one.cells()))
        for note in one.notes:
            console.print(f"  {note}", markup=False)
