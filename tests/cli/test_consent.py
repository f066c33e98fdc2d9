"""Consent by command, without a broker: what is sent, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from services.cli import consent
from services.cli.app import app
from services.kernel import keys
from services.kernel.consent import TOPIC, Register
from services.kernel.errors import ConfigError
from services.kernel.record import Inbound, Message
from services.kernel.sensitive import SensitiveBytes

ABOUT = ["--agency", "gmp", "--recipient", "housing-gm", "--purpose", "housing", "--by", "A1234"]
TAKEN = ["--taken-by", "advocate", "--wording", "v3", "--interpreter", "independent", "--in-private"]
NOW = 1_795_000_000.0


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the commands sent; they read it again as the topic has it."""
    keys.init_dev(tmp_path, [])
    monkeypatch.setenv("SR_KEYS_DIR", str(tmp_path))
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    found: list[Message] = []

    def read_all(_: object, topic: str, *, name: str) -> Iterator[Inbound]:
        for offset, message in enumerate(m for m in found if m.topic == topic):
            yield Inbound(topic, 0, offset, 0, None, SensitiveBytes(message.value or b""))

    def send_together(_: object, messages: list[tuple[Message, int]], *, name: str) -> None:
        found.extend(message for message, _partition in messages)

    monkeypatch.setattr(consent, "read_all", read_all)
    monkeypatch.setattr(consent, "send_together", send_together)
    return found


def run(command: str, *more: str) -> Result:
    return CliRunner().invoke(app, ["consent", command, *ABOUT, *more])


def grants(sent: list[Message]) -> int:
    register = Register()
    for message in sent:
        if message.topic == TOPIC:
            register.hear(message.value, 0)
    return len(register.grants())


def test_a_withdrawal_counts_whatever_the_clock_that_recorded(
    sent: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    assert run("record", "--person", "P-7", *TAKEN).exit_code == 0
    assert grants(sent) == 1
    monkeypatch.setattr("time.time", lambda: NOW - 3600)
    assert run("withdraw", "--person", "P-7").exit_code == 0
    assert grants(sent) == 0
    said, entry = (msgspec.json.decode(message.value or b"") for message in sent[-2:])
    assert entry["time"] == said["at"], "what was let out until the withdrawal counts is recalled"


@pytest.mark.parametrize("case", ["CASE 1", "abc", "a" * 17])
def test_a_case_that_is_no_code_is_a_usage_error(sent: list[Message], case: str) -> None:
    refused = run("record", "--person", "P-7", *TAKEN, "--case", case).exception
    assert isinstance(refused, ConfigError)
    assert "$.case" in str(refused)
    assert sent == []
