"""Opening the gate: the file that goes from person to person, and what opens nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli import gate
from services.cli.app import app
from services.kernel import keys
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError
from services.kernel.gate import KEY, TOPIC, Gate, GateState, Heard
from services.kernel.ledger import rfc3339
from services.kernel.record import Inbound, Message
from services.kernel.sensitive import SensitiveBytes

CLOSED_AT = 1_770_000_000_000


@pytest.fixture
def stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GateState:
    """The gate as a router knows it: closed; what the command sends is heard by it."""
    keys.init_dev(tmp_path, [])
    found = GateState(load_approvers(tmp_path / "approvers.yaml"))
    hear(found, Gate("closed", rfc3339(CLOSED_AT), "A1", "drill").message, CLOSED_AT)

    def send(_: object, messages: list[tuple[Message, int]]) -> None:
        for message, _partition in messages:
            if message.topic == TOPIC:
                hear(found, message, CLOSED_AT + 1)

    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    monkeypatch.setattr(gate, "_stands", lambda _: found)
    monkeypatch.setattr(gate, "send", send)
    monkeypatch.setattr("time.time", lambda: CLOSED_AT / 1000 + 1)
    return found


def hear(state: GateState, message: Message, at: int) -> Heard:
    return state.hear(Inbound(TOPIC, 0, 0, at, SensitiveBytes(KEY), SensitiveBytes(message.value or b"")))


def opening(folder: Path, person: str, *more: str) -> Result:
    key = str(folder / "approvers" / f"{person}.dev")
    return CliRunner().invoke(app, ["gate", "open", str(folder / "open.json"), "--by", person, "--key", key, *more])


def test_a_reference_that_no_router_reads_opens_nothing_and_keeps_the_first_signature(
    stands: GateState, tmp_path: Path
) -> None:
    assert "one more person" in opening(tmp_path, "first-approver").output
    signed = (tmp_path / "open.json").read_bytes()
    refused = opening(tmp_path, "second-approver", "--reference", "form 12").exception
    assert isinstance(refused, ConfigError)
    assert "no spaces" in refused.faults[0]
    assert stands.since is not None
    assert (tmp_path / "open.json").read_bytes() == signed
    done = opening(tmp_path, "second-approver", "--reference", "INC-12")
    assert "opened by first-approver and second-approver" in done.output, done.exception
    assert stands.since is None


def test_what_cannot_be_written_is_said_and_leaves_nothing(
    stands: GateState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:40])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    refused = opening(tmp_path, "first-approver").exception
    assert isinstance(refused, ConfigError)
    assert "No space left on device" in refused.faults[0]
    assert not (tmp_path / "open.json").exists()
    monkeypatch.undo()
    assert stands.since is not None
