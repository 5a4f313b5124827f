"""The entry point: every command, and what is said when one cannot go on."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from finrec_dgl._version import __version__
from finrec_dgl.base.errors import FinrecError, UsageError
from finrec_dgl.cli import (
    benchmark,
    demo,
    doctor,
    evaluate,
    generate,
    inspect,
    preprocess,
    recommend,
    train,
)
from finrec_dgl.cli.output import Output

PROGRAM = "finrec-dgl"
INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended
TERMINATED = 143

# typer carries its own copy of click in some releases, so the base of its errors is found from here
_ParseError: Any = next(one for one in typer.BadParameter.__mro__ if one.__name__ == "UsageError")

# plain help: rich would take as long to import as everything else together
app = typer.Typer(name=PROGRAM, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command("generate")(generate.generate)
app.command("preprocess")(preprocess.preprocess)
app.command("inspect")(inspect.inspect)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("recommend")(recommend.recommend)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)

benchmarks = typer.Typer(
    rich_markup_mode=None,
    help="Measure how well models rank, what parts and data are worth, and speed.",
)
benchmarks.command("accuracy")(benchmark.accuracy)
benchmarks.command("ablation")(benchmark.ablation)
benchmarks.command("pseudo")(benchmark.pseudo)
benchmarks.command("noise")(benchmark.noise)
benchmarks.command("cold")(benchmark.cold)
benchmarks.command("speed")(benchmark.speed)
app.add_typer(benchmarks, name="benchmark")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Recommend financial products by text and graph together."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (None: the process's own) and return its exit code.

    0: done; 1: a failure of ours; 2: options or data that cannot be used; 130: interrupted.
    """
    if argv is None:
        argv = sys.argv[1:]
        # as Python ends it looks for garbage in all that was imported, and sets it free by itself
        atexit.register(gc.freeze)
        signal.signal(signal.SIGTERM, _terminate)
        # threads that spin while they wait make a busy machine many times slower; read when
        # PyTorch is first imported
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        if "--debug" not in argv:
            # those of other packages, which no user of a command can mend
            warnings.simplefilter("ignore")
    output = Output.of(argv)
    try:
        code = typer.main.get_command(app).main(
            args=list(argv), prog_name=PROGRAM, standalone_mode=False
        )
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except FinrecError as error:
        return _explain(output, error, error.exit_code)
    except _ParseError as error:
        return _explain(output, _usage_error(error), UsageError.exit_code)
    except MemoryError:
        return _explain(output, _out_of_memory(), FinrecError.exit_code)
    except Exception as error:
        return _explain(output, _failure_of_ours(error), FinrecError.exit_code)
    if code == INTERRUPTED:
        return _explain(output, _interrupted(), INTERRUPTED)
    return code if isinstance(code, int) else 0


def _terminate(*_: object) -> None:
    # unlike the signal's default, this lets unfinished files be put away
    sys.exit(TERMINATED)


def _explain(output: Output, error: FinrecError, code: int) -> int:
    if output.debug:
        traceback.print_exc()
    output.error(error)
    return code


def _usage_error(error: Any) -> UsageError:
    path = error.ctx.command_path if error.ctx is not None else PROGRAM
    return UsageError(error.format_message(), where=path, mend=f"see '{path} --help'")


def _out_of_memory() -> FinrecError:
    return FinrecError(
        "there was not enough memory",
        mend="a smaller --batch-size, --sampler neighbor, or a larger --k-core needs less",
    )


def _failure_of_ours(error: Exception) -> FinrecError:
    told = " ".join(f"{type(error).__name__}: {error}".split())
    return FinrecError(f"a failure of ours: {told}; run again with --debug for the traceback")


def _interrupted() -> FinrecError:
    return FinrecError(
        "interrupted; nothing was lost: what was finished stands, and train goes on with --resume"
    )
