"""Headers of a record: what an agency must send, and the allow-list that goes on to the router."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.kernel.ledger import RECEIVED
from services.kernel.record import Header, Inbound
from services.kernel.vocabulary import Reason

#: Topic of redacted records.
REDACTED = "redacted"

_TOPIC = re.compile(r"agency\.(?P<agency>[a-z0-9]+(?:-[a-z0-9]+)*)\.(?P<feed>[a-z0-9]+(?:-[a-z0-9]+)*)")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z", re.ASCII)
_CONTENT_TYPE = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE | re.ASCII)
_MAX_HEADER = 512


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where a record comes from and what it says it is."""

    agency: str
    feed: str
    dataschema: str
    time: str


def place(topic: str) -> tuple[str, str] | None:
    """Agency and feed of a topic `agency.<agency>.<feed>`, None for any other."""
    match = _TOPIC.fullmatch(topic)
    return (match["agency"], match["feed"]) if match else None


def read_headers(record: Inbound) -> Envelope | Reason:
    """The envelope of a record, or the reason why its headers cannot be trusted.

    CloudEvents, Kafka binding, binary mode. Each header once, and all in agreement with the topic.
    """
    where = place(record.topic)
    if where is None:
        return Reason.TOPIC_MISMATCH
    agency, feed = where
    found: dict[str, str] = {}
    for name in ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "content-type"):
        value = record.header(name)
        if not value or len(value) > _MAX_HEADER:
            return Reason.MISSING_HEADER
        found[name] = value.decode("utf-8", "replace")
    if (
        found["ce_specversion"] != "1.0"
        or not _TIME.fullmatch(found["ce_time"])
        or not _CONTENT_TYPE.fullmatch(found["content-type"])
    ):
        return Reason.MISSING_HEADER
    if (found["ce_source"], found["ce_type"]) != (f"urn:safe-reporting:agency:{agency}", f"safe-reporting.{feed}"):
        return Reason.TOPIC_MISMATCH
    if not found["ce_dataschema"].startswith("urn:safe-reporting:"):
        return Reason.UNKNOWN_SCHEMA
    if not found["ce_dataschema"].startswith(f"urn:safe-reporting:{feed}:"):
        return Reason.TOPIC_MISMATCH
    return Envelope(agency, feed, found["ce_dataschema"], found["ce_time"])


def redacted_headers(
    envelope: Envelope, *, position: str, received: int, detector: str, policy: str, attestation: bytes
) -> tuple[Header, ...]:
    """All headers of a redacted record; none of the agency's own is copied but time and schema.

    Args:
        position: pseudonym of the source position.
        received: when the source record reached the broker, milliseconds since the epoch.
    """
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", position.encode()),
        ("ce_source", f"urn:safe-reporting:agency:{envelope.agency}".encode()),
        ("ce_type", f"safe-reporting.{envelope.feed}".encode()),
        ("ce_time", envelope.time.encode()),
        ("ce_dataschema", envelope.dataschema.encode()),
        ("content-type", b"application/json"),
        (RECEIVED, str(received).encode()),
        ("sr-detector", detector.encode()),
        ("sr-policy", policy.encode()),
        ("sr-attestation", attestation),
    )
