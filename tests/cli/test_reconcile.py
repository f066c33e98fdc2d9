"""What `audit reconcile` prints, and what it says of a state that it cannot use, before anything is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import audit_reconcile
from services.cli.app import app
from services.cli.audit_reconcile import Pass
from services.cli.policy_sign import private_key
from services.kernel import keys
from services.kernel.errors import ConfigError, RefusedError
from services.ledger.reconcile import Compared, Delivered, Logged, Settled, read_statement
from tests.ledger.helpers import url


def test_the_statement_is_a_line_among_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    done = Pass([Compared(("redactor", "agency.gmp.marac", 0), 7, 8)], [Delivered("p", 2, 0)], Logged(9), Settled(9))
    monkeypatch.setattr(audit_reconcile, "compare", lambda *_, **__: done)
    key = tmp_path / "keys" / "approvers" / "first-approver.dev"
    shown = CliRunner().invoke(app, ["audit", "reconcile", "--sign-with", str(key), "--json"])
    assert shown.exit_code == 0, (shown.output, shown.exception)
    rows = [json.loads(line) for line in shown.output.splitlines()]
    assert read_statement(rows[-1]["statement"], private_key(key).public_key()) == Settled(9)
    text = CliRunner().invoke(app, ["audit", "reconcile", "--sign-with", str(key)]).output
    statement = text[text.index("auditor\n") :]
    assert read_statement(statement, private_key(key).public_key()) == Settled(9)


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
