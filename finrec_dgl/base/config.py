"""Frozen configurations from plain mappings: unknown keys and wrong types refused, all at once."""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from finrec_dgl.base.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def suggest(word: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?`` where one of ``known`` is near ``word``, else the empty string."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def choice(name: str, value: object, known: Sequence[str]) -> list[str]:
    """The problems with ``value`` as one of ``known``: an empty list where there are none."""
    if value in known:
        return []
    return [f"{name} is {value!r}; known: {', '.join(known)}{suggest(str(value), known)}"]


def refuse(problems: Sequence[str], *, where: str = "configuration") -> None:
    """Raise one ConfigError that names every one of ``problems``; none: do nothing."""
    if problems:
        raise ConfigError("; ".join(problems), where=where)


def from_mapping(cls: type[T], mapping: Mapping[str, Any], *, where: str = "configuration") -> T:
    """Make the frozen dataclass ``cls`` from a nested mapping.

    Absent keys take their defaults. Every unknown key and wrong type is named in one ConfigError.
    """
    problems: list[str] = []
    instance = _build(cls, mapping, "", problems)
    refuse(problems, where=where)
    return typing.cast(T, instance)


def _build(cls: Any, mapping: Mapping[str, Any], prefix: str, problems: list[str]) -> Any:
    if not isinstance(mapping, Mapping):
        problems.append(f"{prefix.rstrip('.') or 'the configuration'} is not a table of keys")
        return None
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        if key not in names:
            problems.append(f"unknown key '{prefix}{key}'{suggest(str(key), names)}")
            continue
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            values[key] = _build(hint, value, f"{prefix}{key}.", problems)
        else:
            values[key] = _convert(hint, value, f"{prefix}{key}", problems)
    if problems:
        return None
    return cls(**values)


def _convert(hint: Any, value: Any, name: str, problems: list[str]) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        members = typing.get_args(hint)
        if value is None and type(None) in members:
            return None
        rest = [member for member in members if member is not type(None)]
        return _convert(rest[0], value, name, problems)
    if origin is tuple:
        if isinstance(value, (list, tuple)):
            member = typing.get_args(hint)[0]
            return tuple(_convert(member, one, name, problems) for one in value)
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif hint in (int, str, bool) and type(value) is hint:
        return value
    expected = getattr(hint, "__name__", str(hint))
    problems.append(f"{name} is {value!r}, expected {expected}")
    return None


def to_mapping(instance: Any) -> dict[str, Any]:
    """The nested mapping that ``from_mapping`` reads back; tuples become lists, as in JSON."""
    mapping: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(instance)))
    return mapping


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises ConfigError where it is absent or not TOML."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(
            f"the configuration cannot be read: {error.strerror}", where=str(path)
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration is not TOML: {error}", where=str(path)) from error


def apply_sets(mapping: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """A copy of ``mapping`` with every ``dotted.key=value`` of ``sets`` put in.

    A value is read as TOML (``3``, ``0.1``, ``true``, ``[10, 10]``), else as a bare string.
    """
    merged: dict[str, Any] = json.loads(json.dumps(mapping))
    for assignment in sets:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                f"'{assignment}' is not an assignment", expected="key=value", where="--set"
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *parents, last = key.strip().split(".")
        table = merged
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise ConfigError(f"'{parent}' holds a value, not keys", where=f"--set {key}")
        table[last] = value
    return merged
