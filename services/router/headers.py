"""What a partner's message carries beside its value: written anew, and joinable with nobody else's copy.

Ids and keys are HMACs under keys derived for one partner and purpose. Type and schema name the view and
never feed or agency; the time is that of release. Nothing of the input's headers goes on.
"""

from __future__ import annotations

from typing import NamedTuple

from services.kernel.keys import derive, pseudonym
from services.kernel.record import Header
from services.router.partners import Purpose

SOURCE = b"/safe-reporting"


class PartnerKeys(NamedTuple):
    """The keys of one partner for one purpose, one for each use, so that no two uses can be compared."""

    event: bytes
    message: bytes
    record: bytes
    subject: bytes

    @classmethod
    def of(cls, material: bytes, partner: str, purpose: Purpose) -> PartnerKeys:
        """Derive from the 32 bytes of the key file `partner-<id>`."""
        return cls(*(derive(material, f"safe-reporting/{partner}/{purpose}/{use}") for use in cls._fields))

    def event_id(self, record: str, source: tuple[str, int, int]) -> str:
        """`ce_id`: one for each version of a record that was received, the same when it is sent again."""
        topic, partition, offset = source
        return pseudonym(self.event, record, topic, str(partition), str(offset))

    def message_key(self, record: str) -> bytes:
        """Key of the message: one for each record, so that a newer version replaces an older one."""
        return pseudonym(self.message, record).encode()

    def record_id(self, record: str) -> str:
        """The record's id inside the view."""
        return pseudonym(self.record, record)

    def subject_id(self, source: str) -> str:
        """The id inside the view of a person or another record."""
        return pseudonym(self.subject, source)


def partner_headers(view: str, *, event_id: str, released: str) -> tuple[Header, ...]:
    """All headers of a partner's message (CloudEvents, Kafka binding, binary mode).

    Args:
        released: time of release, RFC 3339 UTC.
    """
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", SOURCE),
        ("ce_type", f"safe-reporting.view.{view}".encode()),
        ("ce_time", released.encode()),
        ("ce_dataschema", f"urn:safe-reporting:view:{view}:1.0".encode()),
        ("content-type", b"application/json"),
    )
