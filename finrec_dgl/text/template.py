"""Records to text: one string a row of a table, made from its named columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.config import suggest
from finrec_dgl.base.errors import DataError

# Unicode's separators and control characters too, which \s alone does not cover in Arrow's RE2.
_BLANKS = r"[\s\p{Z}\p{Cc}]+"
_CLOSED = r"[.!?…:;]$"


def humanise(column: str) -> str:
    """A column's name as people write it: ``assetSubCategory`` gives ``Asset sub category``.

    Words in capitals stay as they are (``ISIN``, ``ESG_score`` gives ``ESG score``).
    """
    spaced = re.sub(r"[_\-.\s]+", " ", column)
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", spaced)
    words = [word if word.isupper() and len(word) > 1 else word.lower() for word in spaced.split()]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def render_table(
    table: pa.Table,
    columns: Sequence[str],
    title: str | None = None,
    categories: Sequence[str] = (),
) -> list[str]:
    """One text for each row of ``table``; the empty string where every value is absent.

    Those of ``columns`` that are ``categories`` come first, since what a text begins with weighs
    most with an encoder, and a name says less than a kind; then the value of ``title``, bare; then
    the rest of ``columns``, each group in order. Beside a title a string stands for itself, since a
    label that every text has makes all alike to an encoder; all else, and everything where there is
    no title, is ``Label: value.`` with the column's name humanised, in the order of ``columns``.
    Null and blank values are skipped, and every run of white space becomes one space. ``title`` may
    be one of ``columns`` or not::

        Large cap. Technology. Acme Growth. Ongoing charge: 0.2.

    Raises DataError where a column is absent or holds something other than plain values.
    """
    named = list(dict.fromkeys(columns))
    if title is not None:
        rest = [column for column in named if column != title]
        leading = [column for column in rest if column in categories]
        named = [*leading, title, *(column for column in rest if column not in leading)]
    absent = [column for column in named if column not in table.column_names]
    if absent:
        hints = ", ".join(f"{name!r}{suggest(name, table.column_names)}" for name in absent)
        raise DataError(
            f"columns asked for as text are not in the table: {hints}",
            expected=f"some of {', '.join(table.column_names)}",
        )
    texts: list[str] = []
    # In batches, whose columns are plain arrays cut at the same rows.
    for batch in table.select(named).to_batches(max_chunksize=65_536):
        texts.extend(_render(batch, named, title))
    return texts if named else [""] * len(table)


def _render(batch: pa.RecordBatch, columns: Sequence[str], title: str | None) -> list[str]:
    values = {column: _values(batch, column) for column in columns}
    sentences = [
        _closed(values[column])
        if column == title or (title is not None and _is_words(batch[column].type))
        else pc.binary_join_element_wise(f"{humanise(column)}: ", _closed(values[column]), "")
        for column in columns
    ]
    empty = pa.array([""] * len(batch), pa.string())
    body = pc.binary_join_element_wise(empty, *sentences, " ", null_handling="skip")
    body = pc.utf8_trim_whitespace(body)
    if title is not None:
        # A lone title stays as it was written.
        alone = pc.fill_null(pc.equal(body, _closed(values[title])), False)
        body = pc.if_else(alone, values[title], body)
    texts: list[str] = body.to_pylist()
    return texts


def _is_words(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _values(batch: pa.RecordBatch, column: str) -> pa.Array:
    """The column as trimmed strings, null where there is nothing to say."""
    values = batch[column]
    try:
        values = pc.cast(values, pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise DataError(
            f"a column of type {values.type} cannot be made into text",
            expected="strings, numbers, truth values or dates",
            where=f"column {column}",
        ) from error
    values = pc.utf8_trim_whitespace(pc.replace_substring_regex(values, _BLANKS, " "))
    return pc.if_else(pc.equal(values, ""), None, values)


def _closed(values: pa.Array) -> pa.Array:
    # A null operand makes the whole sentence null, which is what skips it.
    stopped = pc.match_substring_regex(values, _CLOSED)
    return pc.if_else(stopped, values, pc.binary_join_element_wise(values, ".", ""))
