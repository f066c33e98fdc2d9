"""One partition of a topic, read from a position that the reader keeps itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from services.kernel.kafka.client import RECONNECT, inbound, is_transient, quiet, translate
from services.kernel.record import Inbound


class Source:
    """Committed records of partition 0 of `topic` from `start`, in the order of the topic.

    Args:
        name: prefix of the group name, which the principal's permissions must cover.
    """

    def __init__(self, config: Mapping[str, str], topic: str, *, name: str, start: int, **overrides: Any) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                **config,
                **RECONNECT,
                "group.id": f"{name}-source",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
                "fetch.message.max.bytes": 8 * 1024 * 1024,
                "queued.min.messages": 50_000,
                "receive.message.max.bytes": 64 * 1024 * 1024,
                "logger": quiet(),
                **overrides,
            }
        )
        self._consumer.assign([TopicPartition(topic, 0, start)])
        #: Position after the last message that was read, or after what a transaction left behind it.
        self.position = start
        #: Whether nothing came since the end was reached.
        self.at_end = False

    def read(self, most: int, seconds: float) -> list[Inbound]:
        """At most `most` records; fewer where `seconds` pass, or the end of the topic is reached.

        Raises:
            SafeReportingError: the principal is refused, the topic is missing, or the position is not there any more.
        """
        records: list[Inbound] = []
        ends = time.monotonic() + seconds
        while len(records) < most and (left := ends - time.monotonic()) > 0:
            at_end = False
            for message in self._consumer.consume(most - len(records), min(left, 0.05)):
                error = message.error()
                if error is None:
                    records.append(inbound(message))
                    self.position = records[-1].offset + 1
                    self.at_end = at_end = False
                elif error.code() == KafkaError._PARTITION_EOF:
                    self.position = max(self.position, int(message.offset() or 0))
                    self.at_end = at_end = True
                elif not is_transient(error):
                    raise translate(error, f"reading `{self._topic}` from {self.position}")
            if at_end and records:
                break
        return records

    def close(self) -> None:
        """Leave the topic."""
        self._consumer.close()
