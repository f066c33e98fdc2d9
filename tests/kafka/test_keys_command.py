"""Sealing keys by period: made, taken up, destroyed with an entry, and then nothing opens what was sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.kernel import keys
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all
from services.kernel.sealing import Sealer, open_sealed

pytestmark = pytest.mark.kafka


@pytest.fixture
def folder(broker: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in broker.environment("compliance").items():
        monkeypatch.setenv(name, value)
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_APPROVERS_FILE", str(tmp_path / "keys" / "approvers.yaml"))
    return tmp_path


def rotate(folder: Path, period: str) -> Result:
    options = ["--vault", str(folder / "vault"), "--services", str(folder / "keys")]
    return CliRunner().invoke(app, ["keys", "rotate", period, *options])


def destroy(folder: Path, period: str, by: str = "A1", recipient: str | None = None) -> Result:
    key = folder / "keys" / "approvers" / "second-approver.dev"
    options = ["--vault", str(folder / "vault"), "--by", by, "--second", "second-approver", "--second-key", str(key)]
    public = folder / "keys" / f"seal-pub.{recipient or period}"
    return CliRunner().invoke(app, ["keys", "destroy", period, *options, "--recipient", str(public)])


def test_a_period_is_made_taken_up_and_destroyed(broker: EmbeddedKafka, folder: Path) -> None:
    for period in ("2026-11", "2026-12"):
        done = rotate(folder, period)
        assert done.exit_code == 0, (done.output, done.exception)
    found = keys.load(folder / "keys", ["seal-pub", "lock-pub"])
    assert found["seal-pub"].id == "2026-12"
    old = keys.Key("seal-pub", "2026-11", (folder / "keys" / "seal-pub.2026-11").read_bytes().strip())
    sealed = Sealer.of(old, found["lock-pub"]).seal(b"a record")
    identity = (folder / "vault" / "seal-identity.2026-11").read_text().strip()
    assert open_sealed(sealed, identity) == b"a record"
    done = destroy(folder, "2026-11")
    assert done.exit_code == 0, (done.output, done.exception)
    assert not (folder / "vault" / "seal-identity.2026-11").exists()
    left = (folder / "vault" / "seal-identity.2026-12").read_text().strip()
    with pytest.raises(RefusedError):
        open_sealed(sealed, left)
    entries = [
        json.loads(r.value.reveal()) for r in read_all(broker.client_config("admin"), "ledger", name="a") if r.value
    ]
    entry = next(e for e in reversed(entries) if e.get("reference") == "seal-identity/2026-11")
    assert (entry["operation"], entry["by"], entry["approved_by"]) == ("erasure", "A1", ["second-approver"])


def test_what_is_refused(folder: Path) -> None:
    rotate(folder, "2026-12")
    for period in ("2026-12", "2026-11", "december"):
        assert isinstance(rotate(folder, period).exception, ConfigError)
    assert isinstance(destroy(folder, "2026-10", recipient="2026-12").exception, ConfigError)
    assert isinstance(destroy(folder, "2026-12", by="second-approver").exception, RefusedError)
    assert (folder / "vault" / "seal-identity.2026-12").exists()
    copy = folder / "vault" / "seal-identity.copy"
    copy.write_text((folder / "vault" / "seal-identity.2026-12").read_text())
    refused = destroy(folder, "2026-12").exception
    assert isinstance(refused, RefusedError)
    assert "is a copy" in str(refused)
