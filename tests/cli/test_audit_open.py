"""What is sealed in an entry and is no detail of one."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson
import pyrage
import pytest
from typer.testing import CliRunner

from services.cli import audit_totals, unlock
from services.cli.app import app
from services.kernel import keys
from services.kernel.errors import RefusedError
from services.kernel.ledger import rfc3339
from services.ledger.store import Store
from tests.ledger.helpers import NOW, append, entries, url


@pytest.mark.parametrize("sealed", [False, True])
def test_sealed_detail_that_somebody_made_up_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: bool
) -> None:
    """Anybody seals to a public key, and a base64 of no bytes passes for the schema."""
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    vault = tmp_path / "keys" / "compliance" / "seal-identity.dev"
    recipient = pyrage.x25519.Identity.from_str(vault.read_text().strip()).to_public()
    made_up = base64.b64encode(pyrage.encrypt(b"\0\0\0\1x", [recipient])).decode() if sealed else "A"
    body = next(entries(1))
    with Store(url(tmp_path)) as store:
        number = store.state().size
        append(store, [orjson.dumps(orjson.loads(body) | {"sealed": made_up, "id": "a" * 32})], signed=False)
    monkeypatch.setattr(unlock, "send", lambda *_: None)
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    day = rfc3339(NOW)[:10]
    monkeypatch.setattr(audit_totals, "_start", lambda _: NOW - 1000)
    for command in (("open", str(number)), ("totals", day)):
        options = ("--by", "A1", "--why", "audit", "--identity", str(vault))
        said = CliRunner().invoke(app, ["audit", *command, *options]).exception
        assert isinstance(said, RefusedError)
        assert "is no detail of an entry" in str(said)
