"""Follow a topic as a group: what was handled is read again only where the process is killed within a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError

from services.kernel.kafka.client import group_consumer, inbound, is_transient, translate
from services.kernel.record import Inbound

#: Positions that are done are committed once a second, and at the end.
_SETTINGS: dict[str, Any] = {
    "auto.offset.reset": "earliest", "enable.auto.commit": True, "auto.commit.interval.ms": 1000,
}  # fmt: skip


class Follow:
    """A member of `group` that reads `topic`, from its beginning where the group has no position.

    Use it as: `take`, handle, `done`. What was taken and not done is read again by a successor.
    """

    def __init__(self, config: Mapping[str, str], topic: str, *, group: str, slot: int) -> None:
        self._consumer = group_consumer(config, group=group, slot=slot, **_SETTINGS)
        self._consumer.subscribe([topic])
        self._topic = topic
        self._last: Any = None

    @property
    def joined(self) -> bool:
        """Whether it was given a part of the topic."""
        return bool(self._consumer.assignment())

    def take(self, seconds: float) -> Inbound | None:
        """The next record, or None after `seconds`; the end of a partition says nothing of the others.

        Raises:
            SafeReportingError: the principal is refused, or the topic is missing.
        """
        ends = time.monotonic() + seconds
        while (message := self._consumer.poll(max(0.0, ends - time.monotonic()))) is not None:
            error = message.error()
            if error is None:
                self._last = message
                return inbound(message)
            if error.code() != KafkaError._PARTITION_EOF and not is_transient(error):
                raise translate(error, f"reading `{self._topic}`")
        return None

    def done(self) -> None:
        """What was taken last is handled."""
        self._consumer.store_offsets(message=self._last)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()
