"""How much of a batch's limits is used: less where the broker is slow, so that a transaction ends before it times out.

A transaction that takes longer than its time-out is ended by the broker, and its worker with it. A new worker would
meet the same batch and the same slow topic, for ever. So a worker begins with one record, goes on to larger batches
while the broker is fast, and back to smaller ones before it is too slow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.kernel.kafka.seams import Limits
from services.kernel.record import Inbound, Outcome

#: The share of the limits below which no slow transaction leads: where each takes long, however small it is, less would
#: only carry less.
LEAST = 1 / 32
#: Seconds of a transaction: faster, and the next batch may be twice as large, which ends in time also if it takes twice
#: as long; slower, and it is half as large.
SLOW = 4.0


class Pace:
    """The share of `limits` that the next batch may use."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._one = 1 / limits.batch_records
        self._share = self._one

    def full(self, records: int, size: int) -> bool:
        """True where a batch of `records` with `size` bytes takes no more."""
        most = max(1.0, self._limits.batch_records * self._share)
        return records >= most or size >= self._limits.batch_bytes * max(self._share, LEAST)

    @contextmanager
    def of(self, finished: list[tuple[Inbound, Outcome]]) -> Iterator[None]:
        """Learn from the transaction inside; from one that is given up only where that took long."""
        began = time.monotonic()
        carried: list[Inbound] = []
        try:
            yield
            carried = [record for record, _ in finished]
        finally:
            self.took(time.monotonic() - began, carried)

    def took(self, seconds: float, records: list[Inbound]) -> None:
        """Learn from `seconds` for `records`. A batch that was not full says nothing of a larger one."""
        if seconds > SLOW:
            self._share = min(self._share, max(LEAST, self._share / 2))
        elif seconds < SLOW and self.full(len(records), sum(len(record.value or b"") for record in records)):
            self._share = min(1.0, self._share * 2)

    def overtaken(self) -> None:
        """What the batch was decided on changed before it was decided: the next one must be through sooner."""
        self._share = max(self._one, self._share / 4)
