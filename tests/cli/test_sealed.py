"""The file of a release goes from person to person, and no passing fault spoils it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.cli import sealed
from services.cli.sealed import Content, Desk, Signer, Terms
from services.kernel import keys
from services.kernel.errors import RefusedError
from services.kernel.ledger import rfc3339
from services.kernel.proposal import TOPIC, Proposal
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes
from services.kernel.settings import load_settings

NOW = int(time.time() * 1000)
PROPOSAL = Proposal("msa-s52", "ab" * 16, "cd" * 16, b"{}")
TOLD = dict.fromkeys(("nationality", "exploitation", "sex", "age_band", "region")) | {"quarter": "2026-Q4"}
Release = Callable[[str], str]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Topics of what was sent, entries of refusals among it."""
    made: list[str] = []

    def send(_: object, messages: list[Any], **__: object) -> None:
        made.extend(message.topic for message, _ in messages)

    monkeypatch.setattr(sealed, "send", send)
    monkeypatch.setattr(sealed, "send_together", send)
    monkeypatch.setattr(sealed, "read_all", lambda *_, **__: iter(()))
    return made


@pytest.fixture
def release(tmp_path: Path, sent: list[str]) -> Release:
    keys.init_dev(tmp_path / "keys", [])
    settings = load_settings(
        kafka_bootstrap="127.0.0.1:1", kafka_security_protocol="PLAINTEXT",
        approvers_file=tmp_path / "keys" / "approvers.yaml",
    )  # fmt: skip
    said = {"proposal": PROPOSAL.id, "duty": PROPOSAL.kind, "time": rfc3339(NOW), "sha256": PROPOSAL.sha256}
    headers = tuple((f"sr-{name}", SensitiveBytes(value.encode())) for name, value in said.items())
    found = Inbound(TOPIC, 0, 7, NOW, None, SensitiveBytes(b""), headers)
    terms = Terms("msa-s52", "MSA 2015 s.52", r"MS1-\d+", 2, 30)

    def run(person: str) -> str:
        signer = Signer(person, tmp_path / "keys" / "approvers" / f"{person}.dev", "the duty applies", "MS1-7")
        made = Content("sealed.msa-s52", TOLD)
        return Desk(settings).release(found, terms, signer, tmp_path / "r.json", lambda *_: made, NOW)

    return run


def test_who_meets_a_passing_fault_runs_it_again(
    release: Release, sent: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> list[bytes]:
        raise RefusedError("not opened: the entry is written, but the ledger service does not answer; is it up?")

    release("first-approver")
    approved = (tmp_path / "r.json").read_bytes()
    monkeypatch.setattr(sealed, "open_all", down)
    for _ in range(2):
        with pytest.raises(RefusedError, match="does not answer"):
            release("second-approver")
    assert (tmp_path / "r.json").read_bytes() == approved
    monkeypatch.setattr(sealed, "open_all", lambda *_, **__: [msgspec.msgpack.encode(PROPOSAL)])
    sent.clear()
    assert "approved by first-approver, second-approver" in release("second-approver")
    assert sent == ["sealed.msa-s52", "ledger"]


def test_who_approved_already_does_not_spoil_the_file(
    release: Release, sent: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release("first-approver")
    approved = (tmp_path / "r.json").read_bytes()
    with pytest.raises(RefusedError, match="`first-approver` has approved already: another person"):
        release("first-approver")
    assert (tmp_path / "r.json").read_bytes() == approved
    assert sent == []
    monkeypatch.setattr(sealed, "open_all", lambda *_, **__: [msgspec.msgpack.encode(PROPOSAL)])
    release("second-approver")
    assert sent == ["sealed.msa-s52", "ledger"]


DEEP = b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@pytest.mark.parametrize("opened", [b"\xc1", b"\x91" * 200_000], ids=["no message", "deep"])
def test_what_is_sealed_and_is_no_proposal_is_refused(
    release: Release, sent: list[str], monkeypatch: pytest.MonkeyPatch, opened: bytes
) -> None:
    release("first-approver")
    monkeypatch.setattr(sealed, "open_all", lambda *_, **__: [opened])
    with pytest.raises(RefusedError, match="is no proposal"):
        release("second-approver")


@pytest.mark.parametrize("content", [b"\xff", b"{}", DEEP], ids=["binary", "another", "deep"])
def test_a_proposal_of_something_else_is_refused_by_its_id(content: bytes) -> None:
    made = Proposal("msa-s52", "ab" * 16, "cd" * 16, content)
    for read in (made.notification, made.disclosure):
        with pytest.raises(RefusedError, match=r"proposal `(ab){16}` holds no"):
            read()
