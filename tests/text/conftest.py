"""Tiny models that several tests read and none changes."""

from pathlib import Path

import pytest
from tiny_models import save_bert, save_decoder


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny encoder."""
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny decoder."""
    return save_decoder(tmp_path_factory.mktemp("llama"))
