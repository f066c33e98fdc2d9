"""`safe-reporting duty release`, without a broker: what lies sealed beside the proposal stops no release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import duty
from services.cli.app import app
from services.kernel.errors import RefusedError
from services.kernel.notification import DUTY, Notification
from services.kernel.proposal import TOPIC, Proposal
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes

GOOD = Notification("Brazilian", ("labour",), "male", "18-24", "North West", "2026-Q3")
ODD = Notification("Brazilian", ("labour",), "male", "18-24", "North West", "2026-Q5")


class SixWait:
    """A desk at which five good proposals wait and one that cannot be read; a release makes its content at once."""

    def __init__(self, *_: Any) -> None:
        self.proposals = {f"p{n}": Proposal.of(ODD if n == 5 else GOOD, id_=f"p{n}", subject=f"s{n}") for n in range(6)}

    def waiting(self) -> list[Inbound]:
        return [
            Inbound(TOPIC, 0, n, 0, key=None, value=SensitiveBytes(b"x"),
                    headers=(("sr-proposal", SensitiveBytes(id_.encode())), ("sr-duty", SensitiveBytes(DUTY.encode()))))
            for n, id_ in enumerate(self.proposals)
        ]  # fmt: skip

    def find(self, id_: str) -> Inbound:
        return next(record for record in self.waiting() if record.header("sr-proposal") == id_.encode())

    def open(self, records: list[Inbound], _readers: Any) -> list[Proposal]:
        return [self.proposals[(record.header("sr-proposal") or b"").decode()] for record in records]

    def release(self, found: Inbound, _terms: Any, _signer: Any, _file: Path, make: Any, _now: int) -> str:
        (opened,) = self.open([found], None)
        return json.dumps(make(opened, None).value)


def release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proposal: str) -> Any:
    monkeypatch.setattr(duty, "Desk", SixWait)
    (tmp_path / "identity").write_text("x")
    return CliRunner().invoke(
        app,
        ["duty", "release", proposal, "--file", str(tmp_path / "f"), "--by", "a", "--key", str(tmp_path / "k"),
         "--reason", "r", "--reference", "MS1-2026-7", "--identity", str(tmp_path / "identity")],
    )  # fmt: skip


def test_one_that_cannot_be_read_stops_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = release(monkeypatch, tmp_path, "p0")
    assert done.exit_code == 0, done.exception
    assert json.loads(done.output)["nationality"] == "Brazilian"


def test_one_that_cannot_be_read_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused = release(monkeypatch, tmp_path, "p5").exception
    assert isinstance(refused, RefusedError)
    assert "`p5` holds no notification" in str(refused)
