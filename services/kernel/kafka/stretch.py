"""Parts of topics, from positions that the caller kept to where the topics end now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from services.kernel.errors import UnreachableError
from services.kernel.kafka.client import RECONNECT, inbound, quiet, translate
from services.kernel.record import Inbound

#: Topic and partition.
Part = tuple[str, int]
_ANSWER_S = 10.0


class Stretch:
    """Committed records from `starts` on.

    Attributes:
        firsts: the first offset that each partition still held when reading began.
        ends: position behind the last record, markers of transactions included; known once a partition was read.
    """

    def __init__(self, config: Mapping[str, str], starts: Mapping[Part, int], *, name: str) -> None:
        """`name` is the prefix of the group name, which the principal's permissions must cover."""
        self._name = name
        self._starts = starts
        self._consumer = Consumer(
            {
                **config,
                **RECONNECT,
                "group.id": f"{name}-stretch",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "receive.message.max.bytes": 64 * 1024 * 1024,
                "fetch.wait.max.ms": 20,
                "logger": quiet(),
            }
        )
        self.firsts: dict[Part, int] = {}
        self.ends: dict[Part, int] = {}

    def records(self, *, patience: float = 60.0) -> Iterator[Inbound]:
        """Every record up to the end that its partition had when it was reached.

        Raises:
            SafeReportingError: broker unreachable, principal refused, topic missing, or `patience` seconds without
                a record or an end.
        """
        try:
            yield from self._records(patience)
        finally:
            self._consumer.close()

    def _records(self, patience: float) -> Iterator[Inbound]:
        places = [TopicPartition(topic, partition, start) for (topic, partition), start in self._starts.items()]
        for place in places:
            self.firsts[place.topic, place.partition] = self._first(place)
        self._consumer.assign(places)
        last = time.monotonic()
        while self.ends.keys() != self._starts.keys():
            message = self._consumer.poll(0.5)
            if message is None:
                if time.monotonic() - last > patience:
                    raise UnreachableError(f"reading topics: no answer for {patience:.0f} s")
                continue
            last, error = time.monotonic(), message.error()
            if error is None:
                yield inbound(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                reached = str(message.topic()), int(message.partition() or 0)
                self.ends.setdefault(reached, int(message.offset() or 0))
            else:
                raise translate(error, f"reading `{message.topic()}`")

    def _first(self, place: TopicPartition) -> int:
        try:
            edges = self._consumer.get_watermark_offsets(
                TopicPartition(place.topic, place.partition), timeout=_ANSWER_S
            )
        except KafkaException as error:
            raise translate(error, f"asking where `{place.topic}` begins") from error
        if edges is None:
            raise UnreachableError(f"the broker did not tell where `{place.topic}` begins")
        return int(edges[0])


def written(config: Mapping[str, str], topic: str, *, name: str) -> int:
    """Where partition 0 of `topic` ends, with what open transactions wrote.

    Raises:
        SafeReportingError: broker unreachable, principal refused, topic missing.
    """
    settings = {**config, "group.id": f"{name}-end", "isolation.level": "read_uncommitted", "logger": quiet()}
    consumer = Consumer(settings)
    try:
        edges = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=_ANSWER_S)
    except KafkaException as error:
        raise translate(error, f"asking for the end of `{topic}`") from error
    finally:
        consumer.close()
    if edges is None:
        raise UnreachableError(f"the broker did not tell where `{topic}` ends")
    return int(edges[1])
