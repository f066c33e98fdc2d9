"""`audit hold` and `lift`: a hold covers something, and neither is done before its entry was sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from services.cli import audit_retention
from services.cli.app import app
from services.kernel.errors import ConfigError, UnreachableError
from services.ledger import retention
from services.ledger.store import Store
from tests.ledger.helpers import append, entries, record, url

COUNT = 100


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name, value in (("LEDGER_DATABASE", url(tmp_path)), ("KAFKA_BOOTSTRAP", "broker:9092")):
        monkeypatch.setenv(f"SR_{name}", value)
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    with Store(url(tmp_path)) as made:
        append(made, list(entries(COUNT)))
        yield made


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Entries that went to the broker."""
    done: list[Any] = []

    def send(_: dict[str, str], messages: list[tuple[Any, int]]) -> None:
        done.extend(orjson.loads(message.value) for message, _ in messages)

    monkeypatch.setattr(audit_retention, "send", send)
    return done


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments, "--by", "A1234"])


def held(store: Store) -> list[str]:
    with store.connection() as connection:
        return [name for name, *_ in retention.holds(connection)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--leaves", "90-30"), ("--leaves", f"0-{COUNT}"), ("--leaves", "7"), ("--leaves", "-3-5"),
        ("--record", ""), ("--record", record(3)[:4]), ("--record", "00" * 16), ("--record", "xyz"), (),
    ],
)  # fmt: skip
def test_a_hold_that_would_keep_nothing_is_refused(store: Store, sent: list[Any], arguments: tuple[str, ...]) -> None:
    done = run("hold", "case", "--reason", "inquest", *arguments)
    assert isinstance(done.exception, ConfigError)
    assert (held(store), sent) == ([], [])


@pytest.mark.parametrize("arguments", [("--leaves", f"0-{COUNT - 1}"), ("--leaves", "5-5"), ("--record", record(3))])
def test_a_hold_is_placed_and_lifted_with_entries(store: Store, sent: list[Any], arguments: tuple[str, str]) -> None:
    assert run("hold", "case", "--reason", "inquest", *arguments).exit_code == 0
    assert held(store) == ["case"]
    assert isinstance(run("lift", "other").exception, ConfigError)
    assert run("lift", "case").exit_code == 0
    assert held(store) == []
    assert [entry["why"] for entry in sent] == ["hold_placed", "hold_lifted"]


def test_a_hold_whose_entry_cannot_be_sent_is_neither_placed_nor_lifted(
    store: Store, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("hold", "case", "--reason", "inquest", "--record", record(3)).exit_code == 0

    def refuse(*_: Any) -> None:
        raise UnreachableError("away")

    monkeypatch.setattr(audit_retention, "send", refuse)
    assert isinstance(run("lift", "case").exception, UnreachableError)
    assert isinstance(run("hold", "more", "--reason", "x", "--leaves", "0-1").exception, UnreachableError)
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "")
    assert isinstance(run("lift", "case").exception, ConfigError)
    assert held(store) == ["case"]
