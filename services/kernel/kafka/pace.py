"""How much of a batch's limits is used: less where the broker is slow, so that a transaction ends before it times out.

A transaction that takes longer than its time-out is ended by the broker, and its worker with it. A new worker would
meet the same batch and the same slow topic, for ever. So a worker begins with small batches, goes on to larger ones
while the broker is fast, and back to smaller ones before it is too slow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.kernel.kafka.seams import Limits
from services.kernel.record import Inbound, Outcome

#: The least share of the limits, and the fewest records: where each transaction takes long, however small it is, less
#: would only carry less.
LEAST, FEWEST = 1 / 32, 16
#: Seconds of a transaction: faster, and the next batch may be twice as large; slower, and it is half as large.
FAST, SLOW = 0.8, 3.0


class Pace:
    """The share of `limits` that the next batch may use."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._share = LEAST

    def full(self, records: int, size: int) -> bool:
        """True where a batch of `records` with `size` bytes takes no more."""
        most = max(self._limits.batch_records * self._share, min(FEWEST, self._limits.batch_records))
        return records >= most or size >= self._limits.batch_bytes * self._share

    @contextmanager
    def of(self, finished: list[tuple[Inbound, Outcome]]) -> Iterator[None]:
        """Learn from the transaction inside, done or given up."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.took(time.monotonic() - began, [record for record, _ in finished])

    def took(self, seconds: float, records: list[Inbound]) -> None:
        """Learn from `seconds` for `records`. A batch that was not full says nothing of a larger one."""
        if seconds > SLOW:
            self._share = max(LEAST, self._share / 2)
        elif seconds < FAST and self.full(len(records), sum(len(record.value or b"") for record in records)):
            self._share = min(1.0, self._share * 2)
