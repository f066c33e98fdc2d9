"""What the loop is given: who handles records, whether it may publish, and the bounds of every wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import Producer

from services.kernel.record import Batch, Inbound, Outcome
from services.kernel.vocabulary import Reason


class Processor(Protocol):
    """What the loop needs of a worker."""

    def process(self, records: list[Inbound], batch: Batch) -> list[Outcome]:
        """Outcomes of a prefix of `records`."""
        ...

    def quarantine(self, record: Inbound, reason: Reason) -> Outcome:
        """The outcome of a record that cannot be sent as it came out."""
        ...


class Lease(Protocol):
    """May the service publish now, and on what?"""

    def facts(self, now: int) -> dict[str, str] | None:
        """What holds at `now` (milliseconds since the epoch) for the whole batch; None where nothing may be published.

        It was read to its end just now; what cannot be read is None.
        """
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


class Leftovers(Protocol):
    """What a transaction of an earlier producer may have left behind."""

    def end(self, producer: Producer, ask: Callable[..., None], *, certain: bool = False) -> None:
        """Decide it under the id of `producer`, which has no transaction open; `ask` calls it until it answers.

        `certain`: something is known to be there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one batch and of every wait, in seconds. `message_bytes` gives the largest message of a topic."""

    batch_records: int
    batch_wait: float
    batch_bytes: int
    commit_deadline: float
    answer: float
    flood: int
    message_bytes: Callable[[str], int]
