"""Consent by command: what does not count is not sent, and a withdrawal asks for a recall."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.kernel import keys
from services.kernel.consent import Book, Register
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all
from services.kernel.keys import pseudonym
from services.kernel.paths import ROOT

pytestmark = pytest.mark.kafka

ABOUT = ["--agency", "gmp", "--recipient", "housing-gm", "--purpose", "housing", "--by", "A1234"]
TAKEN = ["--taken-by", "advocate", "--wording", "v3", "--interpreter", "independent", "--in-private"]


@pytest.fixture
def keys_dir(broker: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in broker.environment("cli-consent").items():
        monkeypatch.setenv(name, value)
    keys.init_dev(tmp_path, [])
    monkeypatch.setenv("SR_KEYS_DIR", str(tmp_path))
    return tmp_path


def run(command: str, *more: str) -> Result:
    return CliRunner().invoke(app, ["consent", command, "--person", "P-7", *ABOUT, *more])


def holds(broker: EmbeddedKafka, subject: str) -> bool:
    register = Register()
    for record in read_all(broker.client_config("admin"), "consent", name="admin"):
        register.hear(record.value.reveal() if record.value else None, record.offset)
    book = Book(register.grants())
    return book.given([subject], "housing-gm", "housing", now=int(time.time() * 1000) + 1)


def test_a_consent_is_recorded_and_withdrawn_with_its_entries(broker: EmbeddedKafka, keys_dir: Path) -> None:
    subject = pseudonym(keys.secret(keys.load(keys_dir, ["pseudonym"])["pseudonym"]), "gmp", "P-7")
    done = run("record", *TAKEN, "--reference", "C-7")
    assert done.exit_code == 0, (done.output, done.exception)
    assert holds(broker, subject)
    time.sleep(0.01)
    done = run("withdraw")
    assert done.exit_code == 0, done.output
    assert not holds(broker, subject)
    entries = [
        msgspec.json.decode(record.value.reveal())
        for record in read_all(broker.client_config("admin"), "ledger", name="admin")
        if record.value is not None and subject.encode() in record.value.reveal()
    ]
    assert {(entry["purpose"], entry["scope"]) for entry in entries} == {("housing", "record")}
    assert [(entry["why"], entry.get("asks")) for entry in entries] == [
        ("consent_given", None),
        ("consent_withdrawn", "recall"),
    ]
    schema = json.loads((ROOT / "schemas" / "messages" / "ledger-entry.json").read_text())
    assert all(jsonschema_rs.validator_for(schema).is_valid(entry) for entry in entries)
    assert b"P-7" not in b"".join(msgspec.json.encode(entry) for entry in entries)


def test_a_withdrawal_on_a_clock_behind_counts(
    broker: EmbeddedKafka, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = pseudonym(keys.secret(keys.load(keys_dir, ["pseudonym"])["pseudonym"]), "gmp", "P-7")
    assert run("record", *TAKEN).exit_code == 0
    assert holds(broker, subject)
    behind = time.time() - 3600
    with monkeypatch.context() as slow:
        slow.setattr("services.cli.consent.time.time", lambda: behind)
        done = run("withdraw")
    assert done.exit_code == 0, (done.output, done.exception)
    assert not holds(broker, subject)


def test_what_does_not_count_is_refused_and_not_sent(broker: EmbeddedKafka, keys_dir: Path) -> None:
    before = len(list(read_all(broker.client_config("admin"), "consent", name="admin")))
    done = run("record", "--taken-by", "police", *TAKEN[2:])
    assert isinstance(done.exception, RefusedError)
    assert "was taken by the police" in str(done.exception)
    assert isinstance(run("record", *TAKEN, "--under-18").exception, RefusedError)
    assert isinstance(run("record", *TAKEN, "--days", "91").exception, RefusedError)
    other = CliRunner().invoke(
        app, ["consent", "withdraw", "--person", "P", *ABOUT[:4], "--purpose", "research", *ABOUT[6:]]
    )
    assert isinstance(other.exception, ConfigError)
    assert "`housing-gm` has no purpose `research`: housing" in str(other.exception)
    assert isinstance(run("record", *TAKEN, "--scope", "Status!").exception, ConfigError)
    assert len(list(read_all(broker.client_config("admin"), "consent", name="admin"))) == before
