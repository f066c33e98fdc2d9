"""What `audit reconcile` prints, and what it says of a state that it cannot use, before anything is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from services.cli import audit_reconcile
from services.cli.app import app
from services.cli.audit_reconcile import Pass
from services.cli.policy_sign import private_key
from services.kernel import keys, ledger, supersede
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.topology import load_topology
from services.kernel.record import Inbound, Outcome
from services.kernel.sensitive import SensitiveBytes
from services.kernel.settings import load_settings
from services.kernel.vocabulary import OutcomeKind
from services.ledger.reconcile import Compared, Delivered, Logged, Settled, read_statement
from services.ledger.store import Store
from tests.ledger.helpers import NOW, append, record, url


def test_the_statement_is_a_line_among_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    with Store(url(tmp_path)):  # a log without an entry
        pass
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
    with Store(url(tmp_path)):  # a log without an entry
        pass
    key = tmp_path / "keys" / "approvers" / "first-approver.dev"
    arguments = ["audit", "reconcile", "--sign-with", str(key), "--state", str(tmp_path / name)]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, RefusedError if name == "text" else ConfigError)
    assert "SR_KAFKA_BOOTSTRAP" not in str(done.exception)


class Topics:
    """What `Stretch` reads: the messages of each topic, and where the topics of agencies begin."""

    def __init__(self, oldest: int = 0) -> None:
        self.messages: dict[str, list[Inbound]] = {}
        self._oldest = oldest

    def hold(self, topic: str, offset: int, key: bytes | None = None, value: bytes | None = b"{}") -> None:
        made = Inbound(
            topic, 0, offset, NOW, SensitiveBytes(key) if key else None, SensitiveBytes(value) if value else None
        )
        self.messages.setdefault(topic, []).append(made)

    def stretch(self, _: object, starts: Mapping[tuple[str, int], int], *, name: str) -> SimpleNamespace:
        firsts = {place: self._oldest if place[0].startswith("agency.") else 0 for place in starts}
        read = [m for t, p in starts if p == 0 for m in self.messages.get(t, ()) if m.offset >= starts[t, p]]
        ends = {(t, p): max([starts[t, p], *(m.offset + 1 for m in read if m.topic == t)]) for t, p in starts}
        return SimpleNamespace(firsts=firsts, ends=ends, records=lambda: iter(read))


@pytest.fixture
def reconcile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Topics, Settled], Pass]:
    monkeypatch.setattr(audit_reconcile, "caught_up", lambda *_, **__: None)

    def run(topics: Topics, settled: Settled) -> Pass:
        monkeypatch.setattr(audit_reconcile, "Stretch", topics.stretch)
        settings = load_settings(kafka_bootstrap="127.0.0.1:1", kafka_security_protocol="PLAINTEXT")
        with Store(url(tmp_path)) as store:
            return audit_reconcile.compare(settings, load_topology(), store, settled, patience=1)

    return run


def taken(topics: Topics, tmp_path: Path, *bodies: bytes) -> None:
    """The log takes entries from the `ledger` topic."""
    with Store(url(tmp_path)) as store:
        for body in bodies:
            topics.hold(ledger.TOPIC, store.state().next_offset, value=body)
            append(store, [body])


def test_a_recall_is_whole_and_an_entry_that_the_log_passed_over_is_not(
    tmp_path: Path, reconcile: Callable[[Topics, Settled], Pass]
) -> None:
    topics, key = Topics(), "5" * 32
    made = ledger.recall(record(1), [("idva-service", key)], source=("redacted", 1, 0), reference="t", by="A1", now=NOW)
    taken(topics, tmp_path, made.value or b"")
    for offset, message in enumerate(supersede.messages("partner.idva-service", key, now=NOW)):
        topics.hold(message.topic, offset, message.key, message.value)
    first = reconcile(topics, Settled())
    assert first.whole
    assert first.logged == Logged(1)
    topics.hold(ledger.TOPIC, 1, value=b"a consultation")
    second = reconcile(topics, first.settled)
    assert (second.whole, second.logged) == (False, Logged(1, lost=(1,)))


def test_records_that_expired_unread_fail_the_next_pass(
    tmp_path: Path, reconcile: Callable[[Topics, Settled], Pass]
) -> None:
    feed, topics = "agency.gmp.marac", Topics(oldest=150)
    place = ("redactor", feed, 0)
    outcome = Outcome(OutcomeKind.REDACTED, record=record(1))
    entry = ledger.entry(
        Inbound(feed, 0, 150, NOW, None, None), outcome, service="redactor", slot=0, previous=149, now=NOW
    )
    taken(topics, tmp_path, entry.value or b"")
    topics.hold(feed, 150)
    done = reconcile(topics, Settled(offsets={place: 99}))
    assert not done.whole
    assert {one.place: one.unread for one in done.compared if one.unread} == {place: 50}
    assert reconcile(topics, Settled()).whole
