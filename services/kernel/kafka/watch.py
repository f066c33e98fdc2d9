"""Keep up with topics: read to their end before each batch, and remember nothing but what is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from services.kernel.kafka.client import RECONNECT, PositionError, inbound, is_transient, may_pass, quiet, translate
from services.kernel.record import Inbound


class Watch:
    """Follows topics from their beginning.

    Args:
        topics: names; with their number of partitions where that is not one each.
        name: prefix of the group name, which the principal's permissions must cover.
        told: called with each record once, in the order of its partition.
        wait: seconds that one reading may take.
    """

    def __init__(
        self,
        config: Mapping[str, str],
        topics: Sequence[str] | Mapping[str, int],
        *,
        name: str,
        told: Callable[[Inbound], None],
        wait: float = 2.0,
    ) -> None:
        settings = {
            **config,
            **RECONNECT,
            "group.id": f"{name}-watch",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
            "logger": quiet(),
        }
        self._consumer = Consumer(settings)
        #: Asks for the ends on a connection of its own, for a broker answers in order and a fetch waits for data. The
        #: end is that of all that was appended: what a transaction has not made visible yet is waited for.
        self._asker = Consumer({**settings, "isolation.level": "read_uncommitted"})
        counts = topics if isinstance(topics, Mapping) else dict.fromkeys(topics, 1)
        self._partitions = [TopicPartition(topic, n, 0) for topic, count in counts.items() for n in range(count)]
        self._consumer.assign(self._partitions)
        self._told = told
        self._wait = wait
        self._reached = {(partition.topic, partition.partition): 0 for partition in self._partitions}

    def fresh(self) -> bool:
        """Read every topic to the end that it has now; False where that did not come off in time.

        Where a partition does not say its end, what the others have at hand is told all the same.

        Raises:
            PositionError: a topic ends before what was read of it: what it says now is not known.
            SafeReportingError: the principal is refused, or a topic is missing.
        """
        started = time.monotonic()
        ends = self._ends()
        if ends is None:
            until = time.monotonic() + self._wait
            while time.monotonic() < until and self._take(0.05):
                pass
            return False
        if any(self._reached[place] > end for place, end in ends.items()):
            raise PositionError("a topic that the service must know was made anew, or lost its end: start again")
        while any(self._reached[place] < end for place, end in ends.items()):
            if time.monotonic() > started + self._wait:
                return False
            self._take(0.05)
        return True

    def _ends(self) -> dict[tuple[str, int], int] | None:
        """The end of each partition; None where the broker does not say."""
        ends = {}
        for partition in self._partitions:
            try:
                _, end = self._asker.get_watermark_offsets(partition, timeout=self._wait)
            except KafkaException as error:
                if may_pass(error.args[0]):
                    self._look_again(partition.topic)
                    return None
                raise translate(error, f"reading `{partition.topic}`") from error
            ends[partition.topic, partition.partition] = end
        return ends

    def _look_again(self, topic: str) -> None:
        """Ask who leads now. The asker fetches nothing, so nothing else tells it that a leader is gone.

        Raises:
            SafeReportingError: the topic is missing.
        """
        try:
            error = self._asker.list_topics(topic, timeout=1.0).topics[topic].error
        except KafkaException:
            return
        if error is not None and not is_transient(error):
            raise translate(error, f"reading `{topic}`")

    def _take(self, seconds: float) -> bool:
        """Take in what comes next; False where nothing came in time."""
        message = self._consumer.poll(seconds)
        if message is None:
            return False
        error = message.error()
        if error is None:
            record = inbound(message)
            self._told(record)
            self._reached[record.topic, record.partition] = record.offset + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._reached[str(message.topic()), int(message.partition() or 0)] = int(message.offset() or 0)
        elif not is_transient(error):
            raise translate(error, "reading what the service must know before it publishes")
        return True

    def close(self) -> None:
        """Leave the topics."""
        self._consumer.close()
        self._asker.close()
