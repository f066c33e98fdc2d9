"""What is released from quarantine, and what is refused before anything of it is opened."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from typer.testing import CliRunner

from services.cli import quarantine as command
from services.cli.app import app
from services.kernel import quarantine
from services.kernel.errors import RefusedError
from services.kernel.record import Inbound
from services.kernel.sealing import Sealer
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import Reason
from tests.locks import LOCK


def test_what_the_router_set_aside_is_not_sent_around_the_redactor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Inbound("redacted", 1, 7, 0, None, SensitiveBytes(b"{}"))
    sealer = Sealer(str(pyrage.x25519.Identity.generate().to_public()), key_id="test", lock=LOCK)
    made = quarantine.message(source, Reason.CRASHED, sealer=sealer)
    headers = tuple((name, SensitiveBytes(value)) for name, value in made.headers)
    key, value = SensitiveBytes(made.key or b""), SensitiveBytes(made.value or b"")
    held = Inbound(quarantine.TOPIC, 1, 3, 0, key, value, headers)
    monkeypatch.setattr(command, "read_all", lambda *_, **__: [held])

    def never(*_: object, **__: object) -> None:
        pytest.fail("it was opened")

    monkeypatch.setattr(command, "open_one", never)
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "nowhere:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    for name in ("identity", "key"):
        (tmp_path / name).write_text("x")
    done = CliRunner().invoke(
        app,
        [
            "quarantine", "release", "1/3", "--identity", str(tmp_path / "identity"), "--by", "A1234",
            "--why", "fault_review", "--second", "B5678", "--second-key", str(tmp_path / "key"),
        ],
    )  # fmt: skip
    assert isinstance(done.exception, RefusedError), done.output
    assert "with `replay`" in str(done.exception)
