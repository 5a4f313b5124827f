"""Amazon reviews 2018 (Ni, Li and McAuley, EMNLP 2019): JSON lines of reviews and of products."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables import dates
from finrec_dgl.tables.choices import Suggested, choose_columns
from finrec_dgl.tables.contract import Tables
from finrec_dgl.tables.faults import interaction_faults, merge_profiles, sift
from finrec_dgl.tables.options import ReadOptions
from finrec_dgl.tables.sheets import DROP_HINT, open_bytes, unreadable

LOOKED_FOR = "a JSON lines file of reviews (reviewerID, asin; with meta_*.json), plain or .gz"
_ENDINGS = (".json", ".json.gz", ".json.zst")
_REVIEW = pa.schema(
    [
        ("reviewerID", pa.string()),
        ("asin", pa.string()),
        ("unixReviewTime", pa.int64()),
        ("overall", pa.float64()),
        ("summary", pa.string()),
        ("reviewText", pa.string()),
    ]
)
_SOURCES = {
    "user_id": "reviewerID",
    "item_id": "asin",
    "timestamp": "unixReviewTime",
    "weight": "overall",
}
_PRODUCT_TEXT = ("title", "brand", "category", "description", "feature")
_BLOCK = 16 << 20
_BREAKING = frozenset(("br", "p", "div", "li", "ul", "ol", "tr", "td", "th", "table", "hr"))
_UNSEEN = frozenset(("script", "style"))


def fits(folder: Path) -> bool:
    """Whether one of the JSON files begins with a review."""
    return any(_is_review(path) for path in _json_files(folder) if not _is_meta(path))


def read(folder: Path, options: ReadOptions) -> Tables:
    """Read one file of reviews and, where there is one, meta_*.json of the products.

    The time is unixReviewTime, the weight the rating (overall), the text summary and reviewText.
    HTML is taken out of all texts. Products told several times are merged. Raises DataError.
    """
    dropped: dict[str, int] = {}
    files = _json_files(folder)
    reviews = [path for path in files if not _is_meta(path)]
    if len(reviews) != 1:
        names = ", ".join(path.name for path in reviews) or "none"
        raise DataError(
            f"there are {len(reviews)} files of reviews: {names}",
            expected="one",
            where=str(folder),
            mend="keep one set of reviews in a folder (the 5-core is part of the whole)",
        )
    metas = [path for path in files if _is_meta(path)]
    if len(metas) > 1:
        raise DataError(
            f"there are {len(metas)} meta files: {', '.join(path.name for path in metas)}",
            expected="at most one",
            where=str(folder),
            mend="keep the one that belongs to the reviews",
        )
    interactions = _interactions(reviews[0], options, dropped)
    items = _products(metas[0], options, dropped) if metas else None
    return Tables(
        interactions,
        items,
        item_title=None if items is None else "title",
        format="amazon",
        dropped=dropped,
        **choose_columns(
            options,
            items,
            None,
            item=Suggested(_PRODUCT_TEXT, ("main_cat", "category")),
        ),
    )


def _json_files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.name.endswith(_ENDINGS) and path.is_file()
    )


def _is_meta(path: Path) -> bool:
    return path.name.startswith("meta_")


def _is_review(path: Path) -> bool:
    try:
        with open_bytes(path) as stream:
            first = stream.read(1 << 20).lstrip().split(b"\n", 1)[0]
        found = json.loads(first)
    except (DataError, OSError, ValueError):
        return False
    return isinstance(found, dict) and {"reviewerID", "asin"} <= found.keys()


@dataclass(frozen=True)
class _Objects:
    """The origin of JSON lines."""

    path: Path
    table: pa.Table
    drop_hint: str = DROP_HINT

    def where(self, row: int, column: str) -> str:
        """The place of a value: its line, counted from 1 with blank lines."""
        filled = (number for number, line in _lines(self.path) if line.strip())
        number = next((number for at, number in enumerate(filled) if at == row), row + 1)
        return f"{self.path}, line {number}, key {_SOURCES.get(column, column)}"

    def value(self, row: int, column: str) -> str:
        """One value as text."""
        return str(self.table[_SOURCES.get(column, column)][row].as_py())


def _interactions(path: Path, options: ReadOptions, dropped: dict[str, int]) -> pa.Table:
    raw = _read_reviews(path, options, dropped)
    if not raw.num_rows:
        raise DataError("there are no reviews", expected="a JSON object a line", where=str(path))
    # nulls are filled first: with null_handling="skip" Arrow leaves out rows that are all null
    parts = [pc.fill_null(_cleaned(raw[name]), "") for name in ("summary", "reviewText")]
    text = pc.utf8_trim_whitespace(pc.binary_join_element_wise(*parts, "\n"))
    table = pa.table(
        {
            "user_id": raw["reviewerID"],
            "item_id": raw["asin"],
            "timestamp": dates.to_seconds(raw["unixReviewTime"]),
            "weight": raw["overall"],
            "text": pc.if_else(pc.equal(text, ""), None, text),
        }
    )
    kept = sift(
        table,
        interaction_faults(table),
        _Objects(path, raw),
        name="interactions",
        on_bad_rows=options.on_bad_rows,
        dropped=dropped,
    )
    if not kept.num_rows:
        raise DataError("all reviews are at fault, none is left", where=str(path))
    return kept


def _read_reviews(path: Path, options: ReadOptions, dropped: dict[str, int]) -> pa.Table:
    try:
        with open_bytes(path) as stream:
            return _parse(stream)
    except pa.ArrowInvalid as error:
        if "Empty JSON" in str(error):
            return _REVIEW.empty_table()
        found = error
    except OSError as error:
        raise unreadable(path, error) from error
    # the parser does not say which line; look for it, or for all of them
    sound = [line for _, line, _ in _sound(path, _review_problem, "reviews", options, dropped)]
    try:
        return _parse(pa.BufferReader(b"".join(sound))) if sound else _REVIEW.empty_table()
    except pa.ArrowInvalid:
        raise DataError(f"{path.name} cannot be parsed: {found}", where=str(path)) from found


def _parse(stream: Any) -> pa.Table:
    table = pa_json.read_json(
        stream,
        read_options=pa_json.ReadOptions(block_size=_BLOCK),
        parse_options=pa_json.ParseOptions(
            explicit_schema=_REVIEW, unexpected_field_behavior="ignore"
        ),
    )
    table.validate(full=True)  # the parser lets strings through that are not UTF-8
    return table


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open_bytes(path) as stream:
            rest = b""
            number = 0
            while chunk := stream.read(1 << 20):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    number += 1
                    yield number, line + b"\n"
            if rest:
                yield number + 1, rest + b"\n"
    except OSError as error:
        raise unreadable(path, error) from error


def _sound(
    path: Path,
    problem: Callable[[Mapping[str, Any]], str | None],
    name: str,
    options: ReadOptions,
    dropped: dict[str, int],
) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Number, bytes and object of the lines that are JSON objects without a ``problem``."""
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            found = json.loads(line.decode("utf-8-sig"))
            reason = problem(found) if isinstance(found, dict) else "not an object"
        except UnicodeDecodeError:
            reason = "not UTF-8 text"
        except ValueError:
            reason = "not JSON"
        if reason is None:
            yield number, line, found
        elif options.on_bad_rows == "error":
            raise DataError(
                f"{name}: line {number} is {reason}",
                expected="one JSON object a line, in double quotes, as in the 2018 release",
                where=f"{path}, line {number}",
                mend=f"correct the line{DROP_HINT}",
            )
        else:
            reason = f"{name}: {reason}"
            dropped[reason] = dropped.get(reason, 0) + 1


def _review_problem(found: Mapping[str, Any]) -> str | None:
    for field in _REVIEW:
        value = found.get(field.name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        fits_kind = (
            isinstance(value, str)
            if pa.types.is_string(field.type)
            else whole and -(2**63) <= int(value or 0) < 2**63
            if pa.types.is_integer(field.type)
            else whole or isinstance(value, float)
        )
        if value is not None and not fits_kind:
            return f"a review whose {field.name} is not of type {field.type}"
    return None


def _product_problem(found: Mapping[str, Any]) -> str | None:
    asin = found.get("asin")
    return None if isinstance(asin, str) and asin else "a product without asin"


def _products(path: Path, options: ReadOptions, dropped: dict[str, int]) -> pa.Table:
    columns: dict[str, list[str | None]] = {
        name: [] for name in ("item_id", *_PRODUCT_TEXT, "main_cat")
    }
    for _, _, found in _sound(path, _product_problem, "products", options, dropped):
        columns["item_id"].append(found["asin"])
        for name in (*_PRODUCT_TEXT, "main_cat"):
            columns[name].append(_flat(found.get(name), " > " if name == "category" else " "))
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    if not table.num_rows:
        raise DataError("there are no products", expected="a JSON object a line", where=str(path))
    merged = merge_profiles(table, "item_id")
    if merged.num_rows < table.num_rows:
        dropped["product told twice (merged)"] = table.num_rows - merged.num_rows
    return merged


def _flat(value: object, joint: str) -> str | None:
    """A text, or a list of texts without its repeats, as one clean text; null where empty."""
    parts = value if isinstance(value, list) else [value]
    texts = [strip_html(part) for part in parts if isinstance(part, str)]
    return joint.join(dict.fromkeys(text for text in texts if text)) or None


def _cleaned(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts without HTML and outer white space."""
    return pa.chunked_array([_cleaned_chunk(chunk) for chunk in column.chunks], pa.string())


def _cleaned_chunk(texts: pa.Array) -> pa.Array:
    texts = pc.utf8_trim_whitespace(texts)
    marked = pc.fill_null(pc.match_substring_regex(texts, "[<&]"), False)
    clean = [strip_html(text) for text in texts.filter(marked).to_pylist()]
    return pc.replace_with_mask(texts, marked, pa.array(clean, pa.string()))


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unseen = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.unseen += tag in _UNSEEN
        if tag in _BREAKING:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN and self.unseen:
            self.unseen -= 1
        if tag in _BREAKING:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.parts.append(data)


def strip_html(text: str) -> str:
    """``text`` without tags, with its character references resolved and single spaces."""
    if "<" in text or "&" in text:
        parser = _Text()
        parser.feed(text)
        parser.close()
        text = "".join(parser.parts)
    return " ".join(text.split())
