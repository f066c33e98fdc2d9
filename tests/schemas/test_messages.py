"""The service's own messages: closed, and equal to what the code writes."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import orjson
import pyrage
import pytest

from services.cli.quarantine import Why
from services.kernel import ledger, quarantine, safety
from services.kernel.gate import Gate
from services.kernel.record import Decision, Inbound, Outcome
from services.kernel.safety import Acknowledgement
from services.kernel.sealing import Sealer
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import CoarseReason, Operation, OutcomeKind, Reason, Risk, Role
from services.router import facts
from tests.locks import LOCK
from tests.schemas.files import FEEDS, MESSAGES, SCHEMAS, Schema, read


def message(name: str) -> Schema:
    return read(SCHEMAS / "messages" / f"{name}.json")


def valid(name: str, value: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(message(name)).is_valid(value)


RECORD = Inbound("agency.gmp.police-crime", 1, 7, 0, None, SensitiveBytes(b"{}"))
TIME = "2026-02-03T21:41:00.000Z"


def entry(result: Outcome, **changes: Any) -> dict[str, Any]:
    made = ledger.entry(RECORD, result, service="router", slot=0, previous=6, now=1_770_000_000_000)
    assert made.value is not None
    return {**orjson.loads(made.value), **changes}


FORWARDED = Outcome(
    OutcomeKind.FORWARDED,
    agency="gmp",
    feed="police-crime",
    area="E08000003",
    roles=("victim", "suspect"),
    record="ab" * 32,
    detail=b"age-encryption.org/v1",
    decisions=(Decision("victim-support-gm", "victim-support", "allow", ("permit-victim-support",), "DPA 2018 s.35"),),
    versions=(("policy", "0a1b"),),
    decided_at=TIME,
)


@pytest.mark.parametrize("name", MESSAGES)
def test_file_is_a_schema_with_its_own_id(name: str) -> None:
    schema = message(name)
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"] == f"urn:safe-reporting:message:{name}:1.0"


@pytest.mark.parametrize("kind", OutcomeKind)
def test_entries_that_the_code_writes_are_valid(kind: OutcomeKind) -> None:
    assert valid("ledger-entry", entry(Outcome(kind, reason=Reason.SCHEMA_INVALID)))
    assert valid("ledger-entry", entry(FORWARDED))


@pytest.mark.parametrize("why", Why)
def test_consultations_that_the_code_writes_are_valid(why: Why) -> None:
    place = (RECORD.topic, RECORD.partition, RECORD.offset)
    made = ledger.opened(place, by="18204", why=why.value, second="18205", now=1_770_000_000_000)
    assert made.value is not None
    assert valid("ledger-entry", orjson.loads(made.value))


def test_consultation_names_who_and_why() -> None:
    assert not valid("ledger-entry", entry(FORWARDED, operation="consultation"))
    assert valid("ledger-entry", entry(FORWARDED, operation="consultation", by="18204", why="dip_sample"))


@pytest.mark.parametrize(
    "change",
    [
        {"masks": 3},
        {"reason": "residual"},
        {"reason": "text_held"},
        {"roles": ["refugee"]},
        {"area": "Poland"},
        {"feed": "asylum"},
        {"sealed": "not base64!"},
        {"sealed": 5},
        {"outcome": "passed"},
        {"why": "curious"},
        {"time": "yesterday"},
    ],
)
def test_entry_has_no_place_for_anything_else(change: dict[str, Any]) -> None:
    assert not valid("ledger-entry", entry(FORWARDED, **change))


def test_vocabularies_are_the_codes_own() -> None:
    properties = message("ledger-entry")["properties"]
    assert set(properties["operation"]["enum"]) == set(Operation)
    assert set(properties["outcome"]["enum"]) == {*OutcomeKind, "expired_unread", "consulted", "recalled", None}
    assert set(properties["reason"]["enum"]) == {*CoarseReason, None}
    assert set(properties["roles"]["items"]["enum"]) == set(Role)
    assert set(properties["feed"]["enum"]) == {*FEEDS, None}


def test_every_list_of_feeds_has_them_all() -> None:
    words = (SCHEMAS.parent / "policies" / "cedar" / "schema.cedarschema").read_text()
    of_policies = re.findall(r'"([a-z-]+)"', words.partition("entity Feed enum")[2].partition("]")[0])
    of_messages = [message(name)["properties"]["feed"]["enum"] for name in ("ledger-entry", "safety-alert")]
    for held in (facts.FEEDS, of_policies, *of_messages):
        assert {feed for feed in held if feed is not None} == set(FEEDS)


def test_grades_of_an_alert_are_the_codes_own() -> None:
    assert set(message("safety-alert")["properties"]["risk"]["enum"]) == set(Risk)


@pytest.mark.parametrize("feed", safety.GRADES)
def test_a_grade_is_a_code_of_its_feed_and_every_code_is_a_grade(feed: str) -> None:
    node = read(SCHEMAS / "feeds" / f"{feed}.json")
    for key in safety.GRADES[feed]:
        node = node["properties"][key]
    assert node["confluent:tags"] == ["CODE"]
    for value in node["enum"]:
        nested: Any = value
        for key in reversed(safety.GRADES[feed]):
            nested = {key: nested}
        assert safety.grade(feed, nested) == (value or Risk.UNKNOWN)


def test_quarantine_envelope_holds_coarse_reasons_only() -> None:
    headers = {
        "content-type": "application/age", "sr-reason": "content", "sr-source-topic": "agency.gmp.police-crime",
        "sr-source-partition": "1", "sr-source-offset": "7", "sr-time": TIME, "sr-recipient": "seal-2026-q1",
    }  # fmt: skip
    assert valid("quarantine-envelope", headers)
    sealer = Sealer(str(pyrage.x25519.Identity.generate().to_public()), key_id="seal-2026-q1", lock=LOCK)
    made = quarantine.message(RECORD, Reason.SCHEMA_INVALID, sealer=sealer)
    assert valid("quarantine-envelope", {name: value.decode() for name, value in made.headers})
    assert not valid("quarantine-envelope", {**headers, "sr-reason": "text_held"})
    assert not valid("quarantine-envelope", {**headers, "sr-rule": "visa"})
    assert not valid("quarantine-envelope", {**headers, "content-type": "application/json"})


def test_consent_control_and_alerts() -> None:
    consent = {
        "v": 1, "subject": "ab" * 16, "recipient": "idva-service", "purpose": "independent_advocacy",
        "scope": "contact", "state": "withdrawn", "at": TIME, "by": "18204", "reference": None,
    }  # fmt: skip
    assert valid("consent", consent)
    assert not valid("consent", {**consent, "state": "implied"})
    assert not valid("consent", {**consent, "name": "x"})
    gate = {
        "v": 1, "kind": "gate", "state": "closed", "at": TIME, "by": "op-1", "why": "leak_suspected",
        "reference": "INC-4",
    }  # fmt: skip
    assert valid("control", gate)
    assert not valid("control", {**gate, "state": "ajar"})
    for said in (Gate("closed", TIME, "op-1", "drill"), Gate("open", TIME, "op-1", "restored", refuse=("0" * 16,))):
        assert said.message.value is not None
        assert valid("control", orjson.loads(said.message.value))
    assert not valid("control", {**gate, "refuse": ["another"]})
    source = ("agency.gmp.police-crime", 1, 7)
    made = safety.hold(source, 1_770_000_000_000, Reason.CRASHED, agency="gmp", feed="police-crime", risk=Risk.HIGH)
    assert made.value is not None
    alert = orjson.loads(made.value)
    assert valid("safety-alert", alert)
    assert not valid("safety-alert", {**alert, "risk": "severe"})
    assert not valid("safety-alert", {**alert, "text": "x"})
    said = Acknowledgement(alert["id"], TIME, "18204", "INC-7").message
    assert said.value is not None
    assert valid("safety-acknowledgement", orjson.loads(said.value))
    assert not valid("safety-acknowledgement", {**orjson.loads(said.value), "note": "x"})
    entry_of_it = ledger.looked(source, agency="gmp", feed=None, by="18204", reference="INC-7", now=1_770_000_000_000)
    assert entry_of_it.value is not None
    assert valid("ledger-entry", orjson.loads(entry_of_it.value))
    ops = {
        "v": 1, "time": TIME, "service": "redactor", "instance": "redactor-0", "event": "flood_stop",
        "severity": "critical", "topic": "agency.gmp.police-crime", "partition": 1, "offset": 7, "count": 40,
    }  # fmt: skip
    assert valid("ops-alert", ops)
    assert not valid("ops-alert", {**ops, "event": "Free words"})
