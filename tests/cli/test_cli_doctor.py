"""The doctor: a sound installation passes, each way of being broken is found and mended."""

from __future__ import annotations

from importlib import metadata

import pytest

from finrec_dgl.base.errors import DataError
from finrec_dgl.cli import doctor
from finrec_dgl.cli.doctor import Check, examine, packages, places, show_bytes
from finrec_dgl.text import hub, minilm


def problems(checks: list[Check]) -> dict[str, str | None]:
    """What did not pass, with its mend."""
    return {check.name: check.mend for check in checks if check.status != "ok"}


def test_this_installation_is_usable(finrec):
    """Catches a doctor that finds fault with a sound installation, or says too little."""
    said = finrec("doctor", "--json")
    assert said.code == 0, said.err
    assert said.document["usable"] is True
    names = {check["name"] for check in said.document["checks"]}
    assert {"python", "torch", "dgl", "dgl with torch", "threads", "vector cache"} <= names
    assert "ready" in finrec("doctor").out


def test_a_missing_and_an_old_package_are_problems(monkeypatch, finrec):
    """Catches a missing dependency that only a traceback would tell of."""
    real = metadata.version

    def version(name: str) -> str:
        if name == "scipy":
            raise metadata.PackageNotFoundError(name)
        return "1.0" if name == "torch" else real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    found = problems(list(packages()))
    assert set(found) == {"scipy", "torch"}
    assert 'pip install "torch' in str(found["torch"])
    said = finrec("doctor")
    assert said.code == 1
    assert "problem: scipy: python -m pip install" in said.out


def test_a_missing_dgl_is_a_warning(monkeypatch, finrec):
    """Catches a doctor that calls an installation unusable which runs every command."""
    real = metadata.version

    def version(name: str) -> str:
        if name == "dgl":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr("finrec_dgl.graph.backend.dgl_version", lambda: None)
    said = finrec("doctor", "--json")
    assert said.code == 0
    (found,) = [check for check in said.document["checks"] if "dgl" in check["name"].split()]
    assert found["status"] == "warning"
    assert "only needed for" in found["found"]
    assert 'pip install "dgl' in found["mend"]


def test_an_extra_is_not_asked_for():
    """Catches a doctor that finds fault where a package of an extra is absent."""
    assert "tensorboard" not in {check.name for check in packages()}


def test_a_library_that_cannot_be_imported_is_a_problem_not_a_crash(monkeypatch):
    """Catches a doctor that dies of the illness it is asked about."""

    def backend() -> None:
        raise OSError("libdgl.so: cannot open shared object file")

    monkeypatch.setattr("finrec_dgl.graph.backend.describe_backend", backend)
    found = problems(examine())
    assert "graph backend" in found
    assert "--force-reinstall" in str(found["graph backend"])


def test_an_encoder_that_is_absent_is_a_warning(monkeypatch, finrec):
    """Catches a doctor that needs the default encoder, which --encoder can replace."""
    monkeypatch.setattr(hub, "cached_snapshot", lambda *_: None)
    monkeypatch.setattr(minilm, "packaged", lambda: None)
    said = finrec("doctor", "--json")
    assert said.code == 0
    (found,) = [check for check in said.document["checks"] if "encoder" in check["name"]]
    assert found["status"] == "warning"
    assert "minilm" in found["mend"]


def test_an_encoder_that_was_changed_is_a_problem(monkeypatch, tmp_path, finrec):
    """Catches weights that are not the pinned ones passing the doctor."""

    def verify(_: object) -> None:
        raise DataError("model.safetensors is not the file it should be", mend="remove it")

    monkeypatch.setattr(hub, "cached_snapshot", lambda *_: tmp_path)
    monkeypatch.setattr(minilm, "verify", verify)
    assert finrec("doctor").code == 1


def test_little_disk_is_a_warning(monkeypatch):
    """Catches a full disk that is told of only after an hour of encoding."""
    usage = doctor.shutil.disk_usage("/")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage._replace(free=1024))
    assert "disk of the cache" in problems(list(places()))


@pytest.mark.parametrize(
    ("count", "shown"), [(10, "10 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB")]
)
def test_sizes_are_readable(count, shown):
    """Catches sizes in plain bytes."""
    assert show_bytes(count) == shown
