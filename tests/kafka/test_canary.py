"""Planted text goes through every path of the real pipeline, and comes out nowhere it must not."""

from __future__ import annotations

import copy
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from services.cli.pipeline import Pipeline
from services.kernel.attestation import HEADER
from services.kernel.kafka.embedded import EmbeddedKafka, free_ports
from services.kernel.kafka.reader import send
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Inbound, Message
from services.kernel.samples import Sample, load_samples
from services.kernel.schema import Action, load_feeds
from services.kernel.vocabulary import Tag
from tests.hostile import bad_inputs

pytestmark = pytest.mark.kafka

#: Must not reach a partner, nor anything that is kept or shown about a record.
SECRET = "qzvsecret"  # noqa: S105 - a marker
#: A name may reach a partner whose view has names, but never ledger, logs or metrics.
NAME = "Qzvname"
PARTNERS = [f"partner.{partner}" for partner in load_topology().partners]
PROTECTED = set(Tag) - {Tag.PERSON, Tag.ROLE, Tag.RELATIONSHIP, Tag.AREA, Tag.CONSENT, Tag.TIME, Tag.CODE, Tag.NAME}
PROTECTED -= {Tag.RECORD_ID, Tag.RECORD_VERSION, Tag.REFERENCE, Tag.CONTACT, Tag.ADDRESS, Tag.BIRTH_DATE}
PROTECTED -= {Tag.IDENTIFIER, Tag.FREE_TEXT}


def planted(sample: Sample) -> Message:
    """The sample with a marker in every free string of a protected field, in names, key, header, unknown field."""
    value = copy.deepcopy(sample.value)
    plan = load_feeds(ROOT / "schemas").get(sample.headers["ce_dataschema"])
    assert plan is not None
    for container, key, pattern in _leaves(value, ""):
        leaf = plan.leaves.get(pattern)
        if leaf is None or not isinstance(container[key], str):
            continue
        before = container[key]
        kept = "unprotected" in sample.about and leaf.unprotected is not Action.DROP
        if leaf.tag in PROTECTED and leaf.protected is Action.DROP and not kept:
            container[key] = f"{SECRET} {before}"
        elif leaf.tag is Tag.NAME:
            container[key] = NAME
        if not plan.validate(value):  # a closed list of codes: it cannot hold the marker
            container[key] = before
    value["unheardOf"] = {SECRET: [SECRET]}
    message = sample.message(value)
    return Message(
        message.topic, f"{SECRET}-key".encode(), message.value, (*message.headers, ("x-status", SECRET.encode()))
    )


def _leaves(value: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    for key, child in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
        pattern = f"{path}/{key if isinstance(value, dict) else '*'}"
        if isinstance(child, dict | list):
            yield from _leaves(child, pattern)
        else:
            yield value, key, pattern


def everything(record: Inbound) -> bytes:
    parts = [record.key.reveal() if record.key else b"", record.value.reveal() if record.value else b""]
    for name, value in record.headers:
        parts += [name.encode(), value.reveal() if value else b""]
    return b"\n".join(parts)


@pytest.fixture(scope="module")
def run(broker: EmbeddedKafka) -> Iterator[dict[str, Any]]:
    """One run of planted samples, every bad input, and forged records; what came out, by place."""
    samples = load_samples(ROOT / "samples")
    good = [planted(sample) for sample in samples]
    police = next(s for s in samples if s.topic.endswith("police-crime"))
    bad = bad_inputs(police, SECRET)
    (port,) = free_ports(1)
    with Pipeline(broker, settings={"SR_METRICS_PORT": str(port)}, routers=0) as redactors:
        before = len(redactors.entries())
        earlier = {(record.partition, record.offset) for record in redactors.read("redacted")}
        redactors.send([*good, *bad.values(), police.message()])
        total = len(good) + len(bad) + 1
        _wait_for(redactors, before + total)
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read()
        logs = b"".join(file.read_bytes() for file in redactors.logs.glob("*.log"))
        redacted = [r for r in redactors.read("redacted") if (r.partition, r.offset) not in earlier]
        forged = [_forged(redacted[-1], None), _forged(redacted[-1], b"e30.AAAA.dev"), _swapped(redacted)]
        send(broker.client_config("admin"), [(message, 0) for message in forged])
        count = len(redacted) + len(forged)
        with Pipeline(broker, redactors=0, keys_dir=redactors.keys_dir) as routers:
            _wait_for(routers, before + total + count)
            logs += b"".join(file.read_bytes() for file in routers.logs.glob("*.log"))
            yield {
                "entries": routers.entries()[before:],
                "partners": [record for topic in PARTNERS for record in routers.read(topic)],
                "quarantine": routers.read("quarantine"),
                "ledger": routers.read("ledger"),
                "safety": routers.read("ops.safety"),
                "metrics": metrics,
                "logs": logs,
                "good": len(good),
                "bad": bad,
                "forged": len(forged),
            }


def _wait_for(pipeline: Pipeline, entries: int) -> None:
    ends = time.monotonic() + 120
    while len(pipeline.entries()) < entries:
        assert time.monotonic() < ends, f"{len(pipeline.entries())} of {entries} entries"
        pipeline._check_alive()
        time.sleep(0.3)


def _forged(record: Inbound, attestation: bytes | None) -> Message:
    """A redacted record with another attestation, or none, and a secret in it."""
    kept = [(name, value.reveal() if value else b"") for name, value in record.headers if name != HEADER]
    kept += [(HEADER, attestation)] if attestation else []
    return Message("redacted", b"forged", b'{"nationality": "%s"}' % SECRET.encode(), tuple(kept))


def _swapped(records: list[Inbound]) -> Message:
    """The value of one record under the attestation of another."""
    first, second = records[0], next(r for r in records if r.value != records[0].value)
    headers = tuple((name, value.reveal() if value else b"") for name, value in first.headers)
    assert second.value is not None
    return Message("redacted", b"swapped", second.value.reveal(), headers)


def test_the_markers_reached_the_service(run: dict[str, Any]) -> None:
    assert run["good"] >= 56
    assert len(run["partners"]) > 20
    assert any(NAME.encode() in everything(record) for record in run["partners"])


def test_no_secret_reaches_a_partner(run: dict[str, Any]) -> None:
    assert [r.topic for r in run["partners"] if SECRET.encode() in everything(r).lower()] == []


@pytest.mark.parametrize("mark", [SECRET, NAME])
def test_no_marker_stands_in_ledger_logs_metrics_or_quarantine_metadata(run: dict[str, Any], mark: str) -> None:
    needle = mark.lower().encode()
    assert not [r.offset for r in run["ledger"] if needle in everything(r).lower()]
    assert not [r.offset for r in run["quarantine"] if needle in everything(r).lower()]  # sealed bodies included
    assert not [r.offset for r in run["safety"] if needle in everything(r).lower()]
    assert needle not in run["metrics"].lower()
    assert needle not in run["logs"].lower()
    assert b"safe_reporting_records_total" in run["metrics"]
    assert b"service_started" in run["logs"]


def test_every_record_has_exactly_one_outcome(run: dict[str, Any]) -> None:
    entries = [e for e in run["entries"] if e["service"] == "redactor"]
    assert len(entries) == run["good"] + len(run["bad"]) + 1
    outcomes = [e["outcome"] for e in entries]
    assert outcomes.count("redacted") == run["good"] + 1
    assert outcomes.count("withheld") == 1
    assert outcomes.count("quarantined") == len(run["bad"]) - 1
    assert {e["reason"] for e in entries if e["outcome"] == "quarantined"} == {"format"}


def test_forged_records_are_quarantined_by_the_router(run: dict[str, Any]) -> None:
    entries = [e for e in run["entries"] if e["service"] == "router" and e["outcome"] == "quarantined"]
    assert len(entries) == run["forged"]
    assert {e["reason"] for e in entries} == {"policy"}


def test_partners_see_no_header_but_their_own(run: dict[str, Any]) -> None:
    allowed = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "content-type"}
    assert {name for record in run["partners"] for name, _ in record.headers} == allowed


def test_the_safety_desk_hears_of_every_record_that_is_held_whole(run: dict[str, Any]) -> None:
    schema = jsonschema_rs.validator_for(json.loads((ROOT / "schemas/messages/safety-alert.json").read_text()))
    alerts = [json.loads(record.value.reveal()) for record in run["safety"] if record.value]
    assert all(schema.is_valid(alert) for alert in alerts)
    told = {(a["source"]["topic"], a["source"]["partition"], a["source"]["offset"]) for a in alerts}
    held = [e["source"] for e in run["entries"] if e["outcome"] == "quarantined"]
    assert {(s["topic"], s["partition"], s["offset"]) for s in held} <= told
