"""What the documents say holds: commands parse, links resolve, settings and formats are told."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finrec_dgl.base.config import apply_sets, from_mapping, read_toml, tomllib
from finrec_dgl.tables import FORMATS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(finrec-dgl [^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_SETTING = re.compile(r"^\| `(\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of ``page`` in ``language``."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [code for name, code in found if name == language]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every ``finrec-dgl`` line of every shell block: its page and its words."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["finrec-dgl"]:
                    yield page.name, words[1:]


COMMANDS = list(commands())


def find(words: list[str]) -> tuple[Any, list[str]]:
    """The command that ``words`` name, and the words that are left for it."""
    import typer

    from finrec_dgl.cli.app import app

    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def parse(words: list[str]) -> dict[str, Any]:
    """The values that ``words`` give the parameters of their command, which is not run."""
    command, left = find(words)
    assert not hasattr(command, "commands"), f"no command in: {words}"
    values: dict[str, Any] = command.make_context("finrec-dgl", list(left)).params
    return values


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of ``page``, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", one.lower()) for one in _HEADING.findall(text))
    return {one.strip().replace(" ", "-") for one in plain}


def test_there_is_something_to_check() -> None:
    """Catches a pattern that no longer finds anything, so that all else passes unseen."""
    assert len(PAGES) >= 7
    assert len(COMMANDS) >= 20
    assert {"generate", "preprocess", "inspect", "train", "evaluate", "recommend", "benchmark"} <= {
        words[0] for _, words in COMMANDS
    }


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda one: " ".join(one)[:60])
def test_a_command_parses(page: str, words: list[str]) -> None:
    """Catches a command, option or argument in the documents that the command line lacks."""
    values = parse(words)
    if "sets" in values:
        from finrec_dgl.training import TrainConfig

        from_mapping(TrainConfig, apply_sets({}, values["sets"] or []))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_in_a_sentence_exists(page: Path) -> None:
    """Catches an option named in running text that is gone."""
    for line in _INLINE.findall(page.read_text(encoding="utf-8")):
        words = shlex.split(line)[1:]
        if words[0].startswith("-"):
            continue
        command, left = find(words)
        known = {name for one in command.params for name in one.opts + one.secondary_opts}
        assert hasattr(command, "callback"), line
        assert command.name in words, line
        unknown = [one for one in left if one.startswith("--")]
        assert set(unknown) <= known | {"--help"}, line


def test_named_options_exist() -> None:
    """Catches ``--an-option`` in running text that no command has."""
    import typer

    from finrec_dgl.cli.app import app

    known = {"--help"}
    todo: list[Any] = [typer.main.get_command(app)]
    while todo:
        command = todo.pop()
        todo += getattr(command, "commands", {}).values()
        known |= {name for one in command.params for name in one.opts + one.secondary_opts}
    for page in PAGES:
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for code in re.findall(r"`(--[^`\n]+)`", text):
            options = re.findall(r"(?:^|\s)(--[\w-]+)", code)
            assert set(options) <= known, f"{page.name}: {code}"


def test_named_configurations_are_there_and_hold() -> None:
    """Catches a configuration that a command names and nobody wrote, or with a wrong key."""
    from finrec_dgl.training import TrainConfig

    given = [parse(words).get("config") or [] for _, words in COMMANDS]
    named = {path for one in given for path in (one if isinstance(one, list) else [one])}
    assert named
    for path in sorted(named):
        from_mapping(TrainConfig, read_toml(ROOT / path), where=str(path))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    """Catches a link to a file or a heading that is not there."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


def test_make_targets_exist() -> None:
    """Catches a ``make`` command in the documents that the Makefile lacks."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"^make (\w+)|`make (\w+)`", page.read_text("utf-8"), re.M):
            assert re.search(rf"^{''.join(target)}:", makefile, re.M), target


def test_every_setting_is_told_with_its_default() -> None:
    """Catches a field of the configuration that the model's page lacks, or tells otherwise."""
    from finrec_dgl.nn import HybridConfig
    from finrec_dgl.relations import PairConfig
    from finrec_dgl.training import FinetuneConfig, TrainConfig

    text = (DOCS / "model.md").read_text(encoding="utf-8")
    for cls in (HybridConfig, PairConfig, TrainConfig, FinetuneConfig):
        section = re.split(r"\n##+ ", text.partition(f"\n### {cls.__name__}\n")[2])[0]
        told = dict(_SETTING.findall(section))
        default = cls()
        assert list(told) == [one.name for one in dataclasses.fields(cls)], cls.__name__
        for name, value in told.items():
            if not dataclasses.is_dataclass(getattr(default, name)):
                assert value == shown(getattr(default, name)), f"{cls.__name__}.{name}"


def shown(value: Any) -> str:
    """A default as the tables of settings show it: a TOML value in backquotes, or ``none``."""
    return "none" if value is None else f"`{json.dumps(value)}`"


def test_every_format_is_told() -> None:
    """Catches a source that can be read and is not documented, or the reverse."""
    text = (DOCS / "tables.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### `(\w+)`$", text, re.M)) == set(FORMATS)


def test_the_rule_for_columns_is_told() -> None:
    """Catches a column name of the rule for text, categories and numbers that the page lacks."""
    from finrec_dgl.tables.choices import CATEGORY_NAMES, CODE_WORDS, TEXT_NAMES, TIME_WORDS

    text = (DOCS / "tables.md").read_text(encoding="utf-8")
    for start, names in (("2. Its name", TEXT_NAMES), ("4. Its name", CATEGORY_NAMES)):
        line = next(one for one in text.splitlines() if one.startswith(start))
        assert tuple(re.findall(r"`(\w+)`", line)) == names
    for start, names in (("- codes:", CODE_WORDS), ("- times:", TIME_WORDS)):
        line = next(one for one in text.splitlines() if one.startswith(start))
        told = re.findall(r"`([a-z]+)`", line)
        assert tuple(told) == names


def test_every_baseline_is_told() -> None:
    """Catches a model of the comparison that the page on evaluation lacks."""
    from finrec_dgl.benchmarking import MODELS, REFERENCE

    text = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    section = text.partition("## The baselines")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `([\w-]+)` \|", section, re.M))
    assert told == set(MODELS) - {REFERENCE}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_compile(page: Path) -> None:
    """Catches Python that does not compile or imports what is not there, and wrong TOML."""
    from finrec_dgl.training import TrainConfig

    for code in blocks(page, "toml"):
        from_mapping(TrainConfig, tomllib.loads(code))
    for code in blocks(page, "python"):
        tree = ast.parse(code)
        compile(tree, page.name, "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for one in node.names:
                    assert hasattr(module, one.name), f"{node.module}.{one.name}"
