"""Finding out what a folder holds, and reading it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from finrec_dgl.base.config import choice
from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.tables.contract import Tables
from finrec_dgl.tables.options import FORMATS, ReadOptions
from finrec_dgl.tables.readers import amazon, fartrans, lightgcn, stocknet, tables
from finrec_dgl.tables.readers.edges import EDGES

_READERS: dict[str, ModuleType] = {
    "tables": tables,
    "fartrans": fartrans,
    "stocknet": stocknet,
    "amazon": amazon,
    "lightgcn": lightgcn,
}


def recognise(path: str | Path) -> str:
    """The format (one of ``FORMATS``) of the folder ``path``, by the files in it.

    Raises DataError where none fits, listing what was looked for, or where several do.
    """
    folder = _folder(path)
    fitting = [name for name in FORMATS if _READERS[name].fits(folder)]
    if fitting == ["tables", "stocknet"]:  # StockNet's files are more than interactions
        return "stocknet"
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DataError(
            f"the folder could be of {len(fitting)} formats: {', '.join(fitting)}",
            where=str(folder),
            mend=f"say which, such as --format {fitting[0]}",
        )
    present = sorted(one.name for one in folder.iterdir())
    shown = ", ".join(present[:8]) + (", ..." if len(present) > 8 else "")
    raise DataError(
        "the folder is empty" if not present else f"no known data: the folder holds {shown}",
        expected="; ".join(f"{name}: {_READERS[name].LOOKED_FOR}" for name in FORMATS),
        where=str(folder),
        mend="give the folder that holds these files, or name your files so",
    )


def read_source(
    path: str | Path, *, format: str = "auto", options: ReadOptions | None = None
) -> Tables:
    """Read the folder ``path`` as ``format`` (one of ``FORMATS``, or ``auto``: recognised).

    Raises DataError that names file, row and column where the data cannot be used, and UsageError
    for an unknown format or option.
    """
    options = options or ReadOptions()
    problems = choice("format", format, ("auto", *FORMATS))
    if problems:
        raise UsageError(problems[0], where="--format")
    folder = _folder(path)
    name = recognise(folder) if format == "auto" else format
    if options.keep_retweets and name != "stocknet":
        raise UsageError(
            f"keep_retweets is of no use with the format {name}",
            expected="the format stocknet",
            where="read options",
        )
    if name != "tables" and (folder / EDGES).is_dir():
        raise DataError(
            f"there is a folder {EDGES}, and the format {name} has no edge tables",
            expected="the format tables",
            where=str(folder),
            mend="move the folder elsewhere, or read the tables with --format tables",
        )
    result: Tables = _READERS[name].read(folder, options)
    return result


def _folder(path: str | Path) -> Path:
    folder = Path(path)
    if not folder.exists():
        raise DataError(
            "the source does not exist", expected="a folder of tables", where=str(folder)
        )
    if not folder.is_dir():
        raise DataError(
            "the source is a file, not a folder",
            expected="a folder of tables",
            where=str(folder),
            mend=f"give its folder, {folder.parent}",
        )
    return folder
