"""Every bad input ends in one quarantine outcome with its reason; nothing raises, nothing of it is open."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import orjson
import pytest
from msgspec.structs import replace

from services.kernel import quarantine
from services.kernel.errors import RefusedError
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import OutcomeKind, Reason
from tests.redactor.helpers import BATCH, crime, inbound, make_step, opened, samples, small_crime, unsealed

STEP = make_step()
CANARY = "Fooish-canary"


def headers(**changes: str | None) -> tuple[tuple[str, SensitiveBytes | None], ...]:
    """The headers of a crime record; None leaves one out."""
    given = {**samples()["police-crime-02"]["headers"], **{name.replace("__", "-"): v for name, v in changes.items()}}
    return tuple((name, SensitiveBytes(value.encode())) for name, value in given.items() if value is not None)


def with_person(**changes: Any) -> dict[str, Any]:
    return small_crime(persons=[{"id": "p1", "roles": ["VIC"], **changes}])


GOOD = small_crime()
VALUES = [
    pytest.param(f"not json {CANARY}".encode(), Reason.NOT_JSON, id="not JSON"),
    pytest.param(b"", Reason.EMPTY, id="empty"),
    pytest.param(b" \n", Reason.EMPTY, id="only space"),
    pytest.param(b"null", Reason.SCHEMA_INVALID, id="null"),
    pytest.param(b"{}", Reason.SCHEMA_INVALID, id="empty object"),
    pytest.param(b"[]", Reason.SCHEMA_INVALID, id="a list"),
    pytest.param(b'"text"', Reason.SCHEMA_INVALID, id="a string"),
    pytest.param(b'{"record": "CR-1", "incident": {}}', Reason.SCHEMA_INVALID, id="JSON of wrong shape"),
    pytest.param(json.dumps(small_crime(persons="x")).encode(), Reason.SCHEMA_INVALID, id="persons is a string"),
    pytest.param(json.dumps(small_crime(persons=["x"])).encode(), Reason.SCHEMA_INVALID, id="a person is a string"),
    pytest.param(json.dumps(with_person(roles=[CANARY])).encode(), Reason.SCHEMA_INVALID, id="unknown role code"),
    pytest.param(json.dumps(with_person(roles="VIC")).encode(), Reason.SCHEMA_INVALID, id="roles not a list"),
    pytest.param(json.dumps(with_person(surname=["x"])).encode(), Reason.SCHEMA_INVALID, id="text is a list"),
    pytest.param(json.dumps(with_person(charged="yes")).encode(), Reason.SCHEMA_INVALID, id="flag is a word"),
    pytest.param(
        b'{"record":{"id":"CR-1"},"incident":{"area":"E99000001"}}', Reason.SCHEMA_INVALID, id="unknown borough"
    ),
    pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Reason.TOO_DEEP, id="10,000 levels"),
    pytest.param(b"[" + b"1," * 400_000 + b"1]", Reason.TOO_MANY_LEAVES, id="400,000 leaves"),
    pytest.param(b"[" + b"1," * 999_999 + b"1]", Reason.OVERSIZE, id="a million leaves"),
    pytest.param(b'{"a":"' + b"x" * 10_000_000 + b'"}', Reason.OVERSIZE, id="10 MB"),
    pytest.param(b'{"a":NaN}', Reason.BAD_NUMBER, id="NaN"),
    pytest.param(b'{"a":1e999}', Reason.BAD_NUMBER, id="huge float"),
    pytest.param(b'{"a":' + b"9" * 400 + b"}", Reason.BAD_NUMBER, id="400 digits"),
    pytest.param(b'{"a":"\xff\xfe"}', Reason.NOT_UTF8, id="invalid UTF-8"),
    pytest.param(b'{"a":"\\ud83d"}', Reason.LONE_SURROGATE, id="lone surrogate"),
    pytest.param(b'{"record":{"id":"1","id":"2"}}', Reason.DUPLICATE_KEY, id="duplicate key"),
]


@pytest.mark.parametrize(("data", "reason"), VALUES)
def test_a_bad_value_is_quarantined(data: bytes, reason: Reason) -> None:
    check(crime(raw=data), reason)


HEADERS = [
    *[
        pytest.param({name: None}, Reason.MISSING_HEADER, id=f"no {name}")
        for name in ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "content__type")
    ],
    pytest.param({"ce_id": ""}, Reason.MISSING_HEADER, id="empty id"),
    pytest.param({"ce_id": "x" * 10_000}, Reason.MISSING_HEADER, id="endless id"),
    pytest.param({"ce_specversion": "0.3"}, Reason.MISSING_HEADER, id="old specversion"),
    pytest.param({"ce_time": "yesterday"}, Reason.MISSING_HEADER, id="time in words"),
    pytest.param({"ce_time": "2026-01-01T10:00:00+05:30"}, Reason.MISSING_HEADER, id="time with a foreign zone"),
    pytest.param({"content__type": "text/plain"}, Reason.MISSING_HEADER, id="content type"),
    pytest.param({"ce_source": "urn:safe-reporting:agency:tprc"}, Reason.TOPIC_MISMATCH, id="other agency"),
    pytest.param({"ce_type": "safe-reporting.marac"}, Reason.TOPIC_MISMATCH, id="other type"),
    pytest.param({"ce_dataschema": "urn:safe-reporting:marac:1.0"}, Reason.TOPIC_MISMATCH, id="other feed's schema"),
    pytest.param({"ce_dataschema": "urn:safe-reporting:police-crime:9.9"}, Reason.UNKNOWN_SCHEMA, id="unknown version"),
    pytest.param({"ce_dataschema": "urn:else:police-crime:1.0"}, Reason.UNKNOWN_SCHEMA, id="unknown schema"),
]


@pytest.mark.parametrize(("changes", "reason"), HEADERS)
def test_bad_headers_are_quarantined(changes: dict[str, str | None], reason: Reason) -> None:
    check(crime(GOOD, headers=headers(**changes)), reason)


def test_a_header_given_twice_counts_as_missing() -> None:
    check(
        crime(GOOD, headers=(*headers(), ("ce_type", SensitiveBytes(b"safe-reporting.marac")))), Reason.MISSING_HEADER
    )


def test_headers_that_are_null_or_no_text_are_quarantined() -> None:
    check(crime(GOOD, headers=(*headers(ce_id=None), ("ce_id", None))), Reason.MISSING_HEADER)
    check(
        crime(GOOD, headers=(*headers(ce_type=None), ("ce_type", SensitiveBytes(b"\xff\xff")))), Reason.TOPIC_MISMATCH
    )


@pytest.mark.parametrize("topic", ["redacted", "agency.gmp", "agency.gmp.police-crime.x", "agency..police-crime"])
def test_a_topic_that_is_no_feed_is_quarantined(topic: str) -> None:
    check(crime(GOOD, topic=topic), Reason.TOPIC_MISMATCH)


def test_the_step_can_be_told_to_quarantine() -> None:
    record = crime(small_crime(note=CANARY), key=SensitiveBytes(CANARY.encode()))
    for reason in (Reason.TIMEOUT, Reason.CRASHED, Reason.FAULT):
        outcome = STEP.quarantine(record, reason)
        assert (outcome.kind, outcome.reason, outcome.feed) == (OutcomeKind.QUARANTINED, reason, "police-crime")
        assert quarantine.read(unsealed(outcome.messages[0])).reason == reason


def test_unread_record_without_value_can_be_quarantined() -> None:
    outcome = STEP.quarantine(replace(crime(GOOD), key=None, value=None, timestamp=-1, headers=()), Reason.CRASHED)
    content = quarantine.read(unsealed(outcome.messages[0]))
    assert (content.key, content.value, content.headers) == (None, None, ())


def test_a_null_value_is_a_tombstone_whatever_its_headers() -> None:
    outcome = STEP(replace(crime(GOOD), value=None, headers=()), BATCH)
    assert (outcome.kind, outcome.reason, outcome.messages) == (OutcomeKind.WITHHELD, Reason.TOMBSTONE, ())
    assert (outcome.agency, outcome.feed) == ("gmp", "police-crime")
    assert opened(outcome).reason == "tombstone"


def test_opened_quarantine_that_is_none_is_refused() -> None:
    with pytest.raises(RefusedError, match="no record set aside"):
        quarantine.read(b"\x00")


def check(record: Inbound, reason: Reason) -> None:
    """One quarantine outcome: the record sealed whole, position and coarse reason open, nothing else."""
    started = time.perf_counter()
    outcome = STEP(record, BATCH)
    assert time.perf_counter() - started < 2
    assert outcome.kind is OutcomeKind.QUARANTINED
    assert outcome.reason is reason
    assert opened(outcome).reason == reason
    assert outcome.record is None
    message, alert = outcome.messages
    assert alert.topic == "ops.safety"
    assert (message.topic, len(message.key or b"")) == ("quarantine", 32)
    open_headers = dict(message.headers)
    assert open_headers["sr-reason"] == reason.coarse.encode()
    assert open_headers["sr-source-topic"] == record.topic.encode()
    assert open_headers["sr-source-offset"] == str(record.offset).encode()
    assert open_headers["sr-recipient"] == b"test"
    assert record.value is not None
    content = quarantine.read(unsealed(message))
    assert content.value == record.value.reveal()
    assert content.key == (record.key.reveal() if record.key else None)
    assert len(content.headers) == len(record.headers)
    shown = b"".join(value for _, value in message.headers) + orjson.dumps(
        msgspec.to_builtins((outcome.agency, outcome.feed, outcome.area, outcome.roles, outcome.versions))
    )
    assert CANARY.encode() not in shown
    assert CANARY.encode() not in (message.value or b"")


def test_inbound_of_samples_is_good() -> None:
    assert STEP(inbound(samples()["police-crime-02"]), BATCH).kind is OutcomeKind.REDACTED


@pytest.mark.parametrize("timestamp", [-1, 253_402_300_800_000, 2**63 - 1])
def test_a_time_beyond_every_calendar_is_no_reason_to_fail(timestamp: int) -> None:
    outcome = STEP(crime(raw=b"not json", timestamp=timestamp), BATCH)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.QUARANTINED, Reason.NOT_JSON)
