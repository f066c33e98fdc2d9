"""What `leak` says of itself: the trace knows what was recalled, whatever interrupted it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from services.cli import leak
from services.cli.app import app
from services.cli.leak_trace import Trace
from services.kernel.errors import ConfigError, UnreachableError
from services.kernel.ledger import TOPIC
from services.ledger.store import Store
from tests.ledger.helpers import append, entries, key, record, url

RECORDS = 8
Run = Callable[..., Result]


class Broker:
    """Takes transactions and appends their entries to the log, as the ledger service does; some are refused.

    Attributes:
        sent: topics of what it took.
        refuse_from: the number of the transaction from which on it refuses.
    """

    def __init__(self, database: str) -> None:
        self.sent: list[str] = []
        self.refuse_from = 1 << 30
        self._database = database
        self._transactions = 0

    def send(self, _: object, messages: list[tuple[Any, int]], **__: object) -> None:
        if self._transactions >= self.refuse_from:
            raise UnreachableError("sending: the broker is away")
        self._transactions += 1
        self.sent += [message.topic for message, _ in messages]
        with Store(self._database) as store:
            append(store, [message.value for message, _ in messages if message.topic == TOPIC])


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker(url(tmp_path))
    monkeypatch.setattr(leak, "send", made.send)
    monkeypatch.setattr(leak, "send_together", made.send)
    with Store(url(tmp_path)) as store:
        append(store, list(entries(2 * RECORDS)))
    return made


@pytest.fixture
def run(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")

    def leak_(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, ["leak", *arguments], input=typed)

    return leak_


@pytest.fixture
def file(tmp_path: Path, run: Run) -> Path:
    """The trace of every record."""
    named = [option for number in range(RECORDS) for option in ("--record", record(number))]
    done = run("trace", str(tmp_path / "trace.json"), "--by", "A1", "--no-term", *named)
    assert done.exit_code == 0, (done.output, done.exception)
    return tmp_path / "trace.json"


def read(file: Path) -> Trace:
    return msgspec.json.decode(file.read_bytes(), type=Trace)


def places(numbers: range) -> set[str]:
    """Of the copies of these records; the first was withheld."""
    return {f"{p}/{key(p, n)}" for p in ("idva-service", "victim-support-gm") for n in numbers if n % 10}


def test_a_recall_that_breaks_off_keeps_what_it_recalled(
    run: Run, file: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leak, "_TOGETHER", 4)
    broker.refuse_from = 1
    assert isinstance(run("recall", str(file), "--by", "A1").exception, UnreachableError)
    first = set(read(file).recalled)
    assert 0 < len(first) < len(places(range(RECORDS)))
    broker.refuse_from = 1 << 30
    assert f"recalled {14 - len(first)} copies" in run("recall", str(file), "--by", "A1").output
    assert set(read(file).recalled) == places(range(RECORDS))


def test_what_the_log_knows_as_recalled_comes_into_the_trace(run: Run, file: Path, broker: Broker) -> None:
    """As after a kill between the transaction and the writing of the trace."""
    before = file.read_bytes()
    assert "recalled 14 copies" in run("recall", str(file), "--by", "A1").output
    recalled = read(file).recalled
    file.write_bytes(before)
    broker.sent.clear()
    assert "recalled 0 copies" in run("recall", str(file), "--by", "A1").output
    assert broker.sent == []
    assert read(file).recalled == recalled


def test_a_receipt_is_taken_down_once(run: Run, file: Path, broker: Broker) -> None:
    run("recall", str(file), "--by", "A1")
    broker.sent.clear()
    assert run("receipt", str(file), "--by", "A1", "--partner", "idva-service").exit_code == 0
    again = run("receipt", str(file), "--by", "A1", "--partner", "idva-service").exception
    assert isinstance(again, ConfigError)
    assert "taken down already" in str(again)
    assert broker.sent == [TOPIC]
