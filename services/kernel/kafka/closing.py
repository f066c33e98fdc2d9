"""Close the gate: the message, then the fences, then the entry of the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping

from services.kernel import ledger
from services.kernel.gate import Gate, Why, check
from services.kernel.kafka.reader import fence, send
from services.kernel.ledger import rfc3339


def close_gate(config: Mapping[str, str], *, by: str, why: Why, reference: str | None, slots: int) -> None:
    """Close it. No router publishes from its next batch on; fenced, one that stands still cannot commit either.

    Args:
        by: who closes it, for the ledger.
        slots: router slots 0 to this are fenced.

    Raises:
        ConfigError: `by` or `reference` is no id; nothing was done.
        SafeReportingError: broker unreachable, principal refused. What was done before holds.
    """
    now = int(time.time() * 1000)
    said = Gate("closed", rfc3339(now), by, why, reference)
    check("gate close", said)
    send(config, [(said.message, 0)])
    try:
        fence(config, [f"router-{slot}" for slot in range(slots + 1)])
    finally:
        send(config, [(ledger.gate("closed", by=by, second=None, reference=reference, now=now), 0)])
