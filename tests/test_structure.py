"""Holds the shape of the package: the order of folders, what no module may do or import early."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "finrec_dgl"
MODULES = sorted(PACKAGE.rglob("*.py"))

# an import may point only to the same folder or an earlier one
ORDER = (
    *("base", "tables", "graph", "kernels", "sampling", "text", "dataset", "evaluation"),
    *("baselines", "relations", "nn", "training", "recommending", "benchmarking", "cli"),
)
HEAVY = {"torch", "dgl", "transformers", "pandas", "sklearn", "tokenizers", "sentence_transformers"}
LIGHT_FOLDERS = {"base", "tables", "cli"}


def name_of(module: Path) -> str:
    """The test id of a module, also the folder and file that a failure is about."""
    return str(module.relative_to(PACKAGE))


def folder_of(module: Path) -> str:
    """The stage a module belongs to; the empty string for the package's own files."""
    return module.relative_to(PACKAGE).parts[0] if module.parent != PACKAGE else ""


def imported(node: ast.AST) -> list[str]:
    """The dotted names that one statement imports from."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def at_import_time(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Every statement that runs when the module is imported."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        yield node
        for part in ("body", "orelse", "handlers", "finalbody"):
            yield from at_import_time(getattr(node, part, []))


each_module = pytest.mark.parametrize("module", MODULES, ids=name_of)


def test_every_folder_has_its_place() -> None:
    """Catches a new folder that nobody put in order, or one that is gone."""
    folders = {folder_of(module) for module in MODULES} - {""}
    assert folders <= set(ORDER)


@each_module
def test_imports_point_one_way(module: Path) -> None:
    """Catches an import of a later stage, even inside a function: stages would no longer part."""
    if folder_of(module) == "":
        return  # the package's front, which names later modules lazily
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        for name in imported(node):
            parts = name.split(".")
            if parts[0] == "finrec_dgl" and parts[1] in ORDER:
                assert ORDER.index(parts[1]) <= ORDER.index(folder_of(module)), name


@each_module
def test_a_module_opens_with_one_sentence(module: Path) -> None:
    """Catches a module that does not say what it is for."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert docstring
    first = docstring.split("\n\n")[0]
    assert first.endswith(".")
    assert ". " not in first.replace("\n", " ").replace("et al. ", "")


@each_module
def test_no_module_does_what_is_forbidden(module: Path) -> None:
    """Catches asserts (gone under -O), prints, pickles, and DGL imported past the one place."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "torch.load"}, called
            safe = any(ast.unparse(one) == "allow_pickle=False" for one in node.keywords)
            assert called not in {"np.load", "numpy.load"} or safe, called
        for name in imported(node):
            root = name.split(".")[0]
            assert root not in {"pickle", "cloudpickle", "joblib"}, name
            assert root != "dgl" or name_of(module) == "graph/backend.py", name


@each_module
def test_light_folders_import_nothing_heavy(module: Path) -> None:
    """Catches an import that would make ``finrec-dgl --help`` take seconds."""
    if folder_of(module) not in {*LIGHT_FOLDERS, ""}:
        return
    for node in at_import_time(ast.parse(module.read_text(encoding="utf-8")).body):
        for name in imported(node):
            assert name.split(".")[0] not in HEAVY, name


def test_test_modules_have_names_of_their_own() -> None:
    """Catches two helpers of one name, or an import from a conftest: which is found is chance."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    stems = [file.stem for file in files if file.name != "conftest.py"]
    assert {stem for stem in stems if stems.count(stem) > 1} == set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not any(name.split(".")[0] == "conftest" for name in imported(node)), file
