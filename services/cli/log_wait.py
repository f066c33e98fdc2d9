"""Questions to the log that must know all that was said: it follows its topic, and may be behind."""

from __future__ import annotations

import time
from collections.abc import Mapping

from services.kernel import ledger
from services.kernel.errors import UnreachableError
from services.kernel.kafka.stretch import written
from services.ledger.store import Store

#: Seconds to wait for the ledger service.
PATIENCE = 30.0


def caught_up(store: Store, config: Mapping[str, str], *, name: str, patience: float = PATIENCE) -> None:
    """Return when the log holds all that its topic holds now. Open the connection that asks after it, not before.

    Args:
        name: prefix of the group name, which the principal's permissions must cover.

    Raises:
        UnreachableError: the log is still behind after `patience` seconds, or broker or database are away.
    """
    end, ends = written(config, ledger.TOPIC, name=name), time.monotonic() + patience
    while (reached := store.state().next_offset) < end:
        if time.monotonic() > ends:
            raise UnreachableError(
                f"the log is {end - reached} offsets behind its topic after {patience:.0f} s: is the ledger service up?"
            )
        time.sleep(0.1)
