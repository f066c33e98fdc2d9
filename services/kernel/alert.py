"""What an operator must know, as `schemas/messages/ops-alert.json` has it."""

from __future__ import annotations

import orjson

from services.kernel.ledger import rfc3339
from services.kernel.record import Message

TOPIC = "ops.alert"


def alert(
    event: str, *, service: str, slot: int, severity: str, now: int, topic: str | None = None,
    partition: int | None = None, offset: int | None = None, count: int | None = None,
) -> Message:  # fmt: skip
    """One alert.

    Args:
        now: milliseconds since the epoch.
        count: of what the event counts.
    """
    body = {
        "v": 1,
        "time": rfc3339(now),
        "service": service,
        "instance": f"{service}-{slot}",
        "event": event,
        "severity": severity,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "count": count,
    }
    return Message(TOPIC, None, orjson.dumps(body))
