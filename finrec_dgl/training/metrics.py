"""The record of a run, epoch by epoch: JSON lines always, TensorBoard where it is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from finrec_dgl.base.files import write_atomically


class MetricsLog:
    """Appends records to ``metrics.jsonl`` of a run.

    ``keep`` (phase, epoch): records of that phase after that epoch are taken out first; a run that
    was cut off between its record and its checkpoint would otherwise hold them twice.
    """

    def __init__(self, run: Path, keep: tuple[str, int]) -> None:
        self.path = run / "metrics.jsonl"
        records = read_metrics(self.path)
        phase, epoch = keep
        # before the first checkpoint there is nothing of this phase to keep
        last = epoch if epoch else -1
        kept = [one for one in records if one["phase"] != phase or one["epoch"] <= last]
        if len(kept) != len(records) or not self.path.exists():
            text = "".join(_line(one) for one in kept)
            write_atomically(self.path, lambda target: target.write_text(text, encoding="utf-8"))
        self._board = _tensorboard(run)

    def write(self, record: Mapping[str, Any]) -> None:
        """Add one record and make sure that it is on disk."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{record['phase']}/{name}", value, record["epoch"])
            self._board.flush()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole records of a run; a last line cut short is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(dict(record), allow_nan=False) + "\n"


def _tensorboard(run: Path) -> Any:
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run / "tensorboard"))
