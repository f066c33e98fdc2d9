"""What others wrote, on the terminal of who reads it: neither its control characters nor Rich's own markup act."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from services.cli import evaluate_report, quarantine
from services.cli.app import app
from services.cli.detectors import Detector
from services.evaluation.gold import GoldSpan, GoldText
from services.evaluation.score import Answer, score
from services.kernel import ledger
from services.kernel.quarantine import SetAside
from services.kernel.record import Decision, Inbound, Outcome
from services.kernel.vocabulary import EntityClass, OutcomeKind
from services.ledger import retention, tables
from services.ledger.retention import Span
from services.ledger.store import Store
from tests.ledger.helpers import NOW, append, record, url

SENT = SetAside(
    "not_json", None, (), b'{"a": "\x1b]52;c;eA==\x07"}\xff\n\tb', {"/a\x1b[2J": "\x9b31m\u202eIP \u00e9"}
)  # fmt: skip


@pytest.mark.parametrize("terminal", [True, False])
def test_a_quarantined_record_is_escaped_on_a_terminal_and_raw_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, terminal: bool
) -> None:
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setattr(quarantine, "_opened", lambda *_: (None, SENT))
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(out, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stdout", out)
    quarantine.open_("0/0", tmp_path, "A1", quarantine.Why.AUDIT, "A2", tmp_path)
    out.flush()
    shown = out.buffer.getvalue()  # type: ignore[attr-defined]  # the bytes that were given above
    if terminal:
        escaped = "/a\\x1b[2J: \\x9b31m\\u202eIP \u00e9\n" + '{"a": "\\x1b]52;c;eA==\\x07"}\\xff\n\tb\n'
        assert shown.decode() == escaped
    else:
        assert SENT.value is not None
        assert shown.endswith(SENT.value + b"\n")


def test_the_reason_of_a_hold_is_shown_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    with Store(url(tmp_path)) as store:
        for name, reason in (("one", "see [/y]"), ("two", "see [urgent]")):
            retention.hold(store, name, record=None, span=Span(0, 1), reason=reason, by="A1", now=NOW)
    done = CliRunner().invoke(app, ["audit", "holds"])
    assert done.exit_code == 0, done.exception
    assert "see [/y]" in done.output
    assert "see [urgent]" in done.output


@pytest.mark.parametrize("command", [["search"], ["statement", record(1)]])
def test_what_an_entry_says_is_shown_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """A basis is free text, and what a database holds may have been edited."""
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    arrived = Inbound("redacted", 1, 0, NOW, None, None)
    text = "[red]a[/] [/b] :key: \x1b]0;c\x07"
    decided = Decision("idva-service" if command[0] == "statement" else text, "v", "allow", ("p",), text, "5" * 32)
    outcome = Outcome(OutcomeKind.FORWARDED, record=record(1), agency="gmp", decisions=(decided,))
    made = ledger.entry(arrived, outcome, service="router", slot=0, previous=-1, now=NOW)
    with Store(url(tmp_path)) as store:
        append(store, [made.value or b""])
        with store.connection(write=True) as connection:
            connection.execute(sa.update(tables.leaf).values(fault=None))
    done = CliRunner().invoke(app, ["audit", *command])
    assert done.exit_code == 0, done.exception
    assert "[red]a[/] [/b] :key: \\x1b]0;c\\x07" in done.output


def test_names_of_gold_files_and_texts_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = GoldText("G\x1b[2J-1", "IP is Polish.", (GoldSpan(6, 12, EntityClass.NATIONALITY, True),))
    detector = Detector("engine", "ours", lambda: lambda _: ())
    evaluate_report.show("cases [/y]", [text], [(detector, score([text], [Answer((), 0.1)]))], True)
    shown = capsys.readouterr().out
    assert "cases [/y]: 1 texts" in shown
    assert "G [2J-1" in shown
    assert "\x1b" not in shown
