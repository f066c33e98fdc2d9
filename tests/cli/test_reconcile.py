"""`audit reconcile`: what it cannot use as its state is said in one line, before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.kernel import keys
from services.kernel.errors import ConfigError, RefusedError
from tests.ledger.helpers import url


@pytest.mark.parametrize("name", ["folder", "none/state", "bytes", "text"])
def test_a_state_that_is_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "text").write_text("no statement")
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    key = tmp_path / "keys" / "approvers" / "first-approver.dev"
    arguments = ["audit", "reconcile", "--sign-with", str(key), "--state", str(tmp_path / name)]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, RefusedError if name == "text" else ConfigError)
    assert "SR_KAFKA_BOOTSTRAP" not in str(done.exception)
