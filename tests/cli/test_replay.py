"""`replay list` beside canaries: none is a record of anybody's, whatever today's deployment makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from typer.testing import CliRunner, Result

from services.cli import replay
from services.cli.app import app
from services.kernel import keys, ledger
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.record import Inbound, Message, Outcome
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import OutcomeKind, Reason
from services.ledger.store import Store
from tests.ledger.helpers import NOW, append, record, url

FEED = "agency.gmp.police-crime"
#: Offsets: one that is unchanged, a canary that was redacted, one that is new.
PLAIN, PLANTED, NEW = range(3)


class Today:
    """Knows no canary by its key any more, but the one that is new; lets nothing on."""

    def __init__(self, *_: Any) -> None:
        """Nothing to build."""

    def run(self, arrived: Inbound) -> tuple[Outcome, None, None]:
        return Outcome(OutcomeKind.QUARANTINED, Reason.CRASHED, canary=arrived.offset == NEW), None, None


def test_a_list_that_cannot_be_written_is_said_before_a_record_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "read_all", lambda *_, **__: pytest.fail("read"))
    done = CliRunner().invoke(app, ["replay", "list", str(tmp_path / "none" / "r.json")])
    assert isinstance(done.exception, ConfigError)
    assert "cannot be written: No such file or directory" in str(done.exception)


def test_canaries_are_in_no_figure_of_a_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    arrived = [Inbound(FEED, 0, offset, NOW, None, None) for offset in (PLAIN, PLANTED, NEW)]
    bodies = []
    for one in arrived[:NEW]:
        outcome = Outcome(OutcomeKind.REDACTED, record=record(one.offset), canary=one.offset == PLANTED)
        entry = ledger.entry(one, outcome, service="redactor", slot=0, previous=one.offset - 1, now=NOW)
        bodies.append(entry.value or b"")
    with Store(url(tmp_path)) as store:
        append(store, bodies, signed=False)

    def read(_: object, topic: str, **__: object) -> Iterator[Inbound]:
        yield from arrived if topic == FEED else ()

    monkeypatch.setattr(replay, "read_all", read)
    monkeypatch.setattr(replay, "_Again", Today)
    file = tmp_path / "r.json"
    done = CliRunner().invoke(app, ["replay", "list", str(file)])
    assert done.exit_code == 0, (done.output, done.exception)
    listed = orjson.loads(file.read_bytes())
    assert listed["records"] == 1
    assert [one["offset"] for one in listed["differences"]] == [PLAIN]


class Otherwise:
    """Sets everything aside: what stands in offsets 0 to 2 is one record, the rest are records without an id."""

    def __init__(self, *_: Any) -> None:
        """Nothing to build."""

    def run(self, arrived: Inbound) -> tuple[Outcome, None, Message]:
        known = arrived.offset < 3
        name = record(1 if known else arrived.offset)
        sent = Message("redacted", name.encode(), b"", (("ce_id", b"a position" if known else name.encode()),))
        return Outcome(OutcomeKind.QUARANTINED, Reason.CRASHED, record=name), None, sent


def test_of_each_record_the_last_version_alone_is_listed_and_none_without_an_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again, an older version would be the newest, and a record without an id one more record."""
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("SR_LEDGER_DATABASE", url(tmp_path))
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    arrived = [Inbound(FEED, 0, offset, NOW + offset, None, None) for offset in range(4)]
    with Store(url(tmp_path)) as store:
        for one in arrived:
            outcome = Outcome(OutcomeKind.REDACTED, record=record(min(one.offset, 1)))
            entry = ledger.entry(one, outcome, service="redactor", slot=0, previous=one.offset - 1, now=NOW)
            append(store, [entry.value or b""], signed=False)

    def read(_: object, topic: str, **__: object) -> Iterator[Inbound]:
        yield from (arrived[n] for n in (1, 2, 0, 3)) if topic == FEED else ()

    monkeypatch.setattr(replay, "read_all", read)
    monkeypatch.setattr(replay, "_Again", Otherwise)
    done = CliRunner().invoke(app, ["replay", "list", str(tmp_path / "r.json")])
    assert done.exit_code == 0, (done.output, done.exception)
    listed = orjson.loads((tmp_path / "r.json").read_bytes())
    assert (listed["records"], [one["offset"] for one in listed["differences"]]) == (4, [2])


def test_a_list_that_went_out_keeps_both_approvals_and_goes_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.init_dev(tmp_path / "keys", [])
    monkeypatch.setenv("SR_APPROVERS_FILE", str(tmp_path / "keys" / "approvers.yaml"))
    monkeypatch.setenv("SR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SR_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    sent: list[object] = []
    arrived = Inbound(FEED, 0, 7, NOW, None, SensitiveBytes(b"{}"))
    monkeypatch.setattr(replay, "read_one", lambda *_, **__: arrived)
    monkeypatch.setattr(replay, "send", lambda _, messages: sent.extend(messages))
    one = replay.Difference(FEED, 0, 7, 1, None, "redacted", "redacted", True, (), ())
    file = tmp_path / "r.json"
    file.write_bytes(msgspec.json.encode(replay.Listed(1, (one,))))

    def publish(person: str) -> Result:
        key = str(tmp_path / "keys" / "approvers" / f"{person}.dev")
        return CliRunner().invoke(
            app, ["replay", "publish", str(file), "--by", person, "--key", key, "--reason", "the detector changed"]
        )

    assert publish("first-approver").exit_code == 0
    signed_once = file.read_bytes()
    done = publish("second-approver")
    assert (done.exit_code, len(sent)) == (0, 1), (done.output, done.exception)
    kept = orjson.loads((tmp_path / "r.json.published").read_bytes())
    assert [approval["by"] for approval in kept["approvals"]] == ["first-approver", "second-approver"]
    file.write_bytes(signed_once)
    again = publish("second-approver").exception
    assert isinstance(again, RefusedError)
    assert "this list went out" in str(again)
    assert len(sent) == 1
