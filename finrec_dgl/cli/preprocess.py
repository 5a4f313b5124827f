"""``finrec-dgl preprocess``: tables in, a data set of graph, text vectors and splits out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finrec_dgl.cli.inspect import show_description
from finrec_dgl.cli.options import names
from finrec_dgl.cli.output import Debug, Json, Output, Quiet

Columns = Annotated[str | None, typer.Option(metavar="A,B,C", help="Columns to take, in order.")]


def preprocess(
    source: Annotated[Path, typer.Argument(help="A folder of tables, or a known data set.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    format: Annotated[
        str,
        typer.Option(metavar="auto|tables|fartrans|stocknet|amazon|lightgcn", help="What it is."),
    ] = "auto",
    split: Annotated[
        str,
        typer.Option(
            metavar="auto|temporal|last-out|random|given|cold-items|cold-users",
            help="How to split.",
        ),
    ] = "auto",
    cut: Annotated[str | None, typer.Option(help="Date: from here on it is the test's.")] = None,
    valid_cut: Annotated[
        str | None, typer.Option(help="Date: from here to --cut it is the validation's.")
    ] = None,
    test_end: Annotated[str | None, typer.Option(help="Date: the test ends before it.")] = None,
    split_file: Annotated[Path | None, typer.Option(help="A split made elsewhere.")] = None,
    valid_share: Annotated[float, typer.Option(help="Share of interactions to validate on.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Share of interactions to test on.")] = 0.2,
    cold_share: Annotated[
        float, typer.Option(help="Share of items or users to hold out altogether.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Of the random split, and of what is held out.")] = 0,
    k_core: Annotated[
        int, typer.Option(help="Keep users and items with at least so many training interactions.")
    ] = 0,
    encoder: Annotated[
        str, typer.Option(help="minilm, none, or a Hugging Face model: its id or its folder.")
    ] = "minilm",
    revision: Annotated[str | None, typer.Option(help="The model's revision.")] = None,
    pooling: Annotated[str, typer.Option(metavar="auto|mean|cls|last", help="Of tokens.")] = "auto",
    max_length: Annotated[int, typer.Option(help="Tokens of a text that are read.")] = 128,
    precision: Annotated[
        str,
        typer.Option(metavar="auto|float32|bfloat16|int8", help="Of the encoder's arithmetic."),
    ] = "auto",
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda|cuda:N", help="Where texts are encoded; auto: a GPU if any."
        ),
    ] = "auto",
    prefix: Annotated[str, typer.Option(help="An instruction to put before each text.")] = "",
    item_text: Columns = None,
    item_categories: Columns = None,
    item_numbers: Columns = None,
    user_text: Columns = None,
    user_categories: Columns = None,
    user_numbers: Columns = None,
    on_bad_rows: Annotated[
        str,
        typer.Option(metavar="error|drop", help="Stop at a bad row, or leave it out and count."),
    ] = "error",
    keep_retweets: Annotated[
        bool, typer.Option("--keep-retweets", help="StockNet: count retweets as interactions.")
    ] = False,
    user_ids: Annotated[
        str, typer.Option(metavar="keep|hashed|none", help="How user ids are stored.")
    ] = "keep",
    cache: Annotated[Path | None, typer.Option(help="Where text vectors are kept.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no text vectors.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a data set that is there.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Turn tables into a data set: graph, text vectors, splits."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        from finrec_dgl.dataset import PreprocessOptions, SplitOptions, describe
        from finrec_dgl.dataset import preprocess as make
        from finrec_dgl.tables import ReadOptions
        from finrec_dgl.text import EncoderSpec, default_cache

        options = PreprocessOptions(
            format=format,
            read=ReadOptions(
                on_bad_rows=on_bad_rows,
                item_text=names(item_text),
                item_categories=names(item_categories),
                item_numbers=names(item_numbers),
                user_text=names(user_text),
                user_categories=names(user_categories),
                user_numbers=names(user_numbers),
                keep_retweets=keep_retweets,
            ),
            split=SplitOptions(
                kind=split,
                cut=cut,
                valid_cut=valid_cut,
                test_end=test_end,
                split_file=str(split_file) if split_file else None,
                valid_share=valid_share,
                test_share=test_share,
                cold_share=cold_share,
                seed=seed,
            ),
            k_core=k_core,
            encoder=EncoderSpec(
                name=encoder,
                revision=revision,
                pooling=pooling,
                max_length=max_length,
                precision=precision,
                prefix=prefix,
                device=device,
            ),
            cache=None if no_cache else str(cache or default_cache()),
            user_ids=user_ids,
        )
        made = make(source, out, options, progress=output.progress, overwrite=overwrite)
        description = describe(made)
        output.result(description, lambda console: show_description(console, description))
