"""Small folders of tables, and reading them to be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables import read_source

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write files (text or bytes by name) into a folder and give it."""

    def write(files: dict[str, str | bytes]) -> Path:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(data)
        return tmp_path

    return write


@pytest.fixture
def refused() -> Callable[..., DataError]:
    """Read a source that must be refused as bad data, and give the error."""

    def read(path: Path, **arguments: object) -> DataError:
        with pytest.raises(DataError) as caught:
            read_source(path, **arguments)
        assert caught.value.exit_code == 2
        return caught.value

    return read
