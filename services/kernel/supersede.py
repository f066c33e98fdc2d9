"""What a partner is told of a copy that it must delete: the same message for a correction, an expiry or a leak."""

from __future__ import annotations

import hashlib

from services.kernel.jsonio import canonical
from services.kernel.ledger import rfc3339
from services.kernel.record import Message

SCHEMA = "urn:safe-reporting:message:supersede:1.0"


def own_key(key: str) -> str:
    """The key of the message that asks for the deletion of `key`."""
    return hashlib.sha256(f"supersede {key}".encode()).hexdigest()[:32]


def messages(topic: str, key: str, *, now: int) -> tuple[Message, Message]:
    """The message that asks for the deletion of `key`, and the tombstone that removes it from the topic.

    The first has a key of its own, so that the tombstone does not remove it as well.
    """
    own = own_key(key)
    body = {"v": 1, "key": key, "action": "delete", "time": rfc3339(now)}
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", own.encode()),
        ("ce_source", b"/safe-reporting"),
        ("ce_type", b"safe-reporting.supersede"),
        ("ce_time", rfc3339(now).encode()),
        ("ce_dataschema", SCHEMA.encode()),
        ("content-type", b"application/json"),
    )
    return Message(topic, own.encode(), canonical(body), headers), Message(topic, key.encode(), None)
