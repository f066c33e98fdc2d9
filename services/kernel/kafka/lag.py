"""Where groups are and where their topics end, asked without joining the group or reading a record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.kernel.errors import UnreachableError
from services.kernel.kafka.client import RECONNECT, quiet, translate

#: Beyond every offset: all that a partition holds is older than what was asked for.
END = 2**63 - 1


class Position(NamedTuple):
    """One partition of a group: the offset that it handles next (None: it has none), and the end of the topic."""

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int


class Positions:
    """Asks for the positions of groups; keep it, its connections are used again.

    Args:
        groups: input topics and their number of partitions, by group.
    """

    def __init__(self, config: Mapping[str, str], groups: Mapping[str, Sequence[tuple[str, int]]]) -> None:
        self._asked = {
            group: [TopicPartition(topic, number) for topic, count in topics for number in range(count)]
            for group, topics in groups.items()
        }
        settings = {**config, **RECONNECT, "enable.auto.commit": False, "logger": quiet()}
        self._consumers = {group: Consumer({**settings, "group.id": group}) for group in groups}

    def read(self, *, seconds: float) -> list[Position]:
        """Every partition of every group.

        Raises:
            SafeReportingError: not all was answered in `seconds`; nothing is said then, rather than half of it.
        """
        deadline = time.monotonic() + seconds
        return [position for group in self._asked for position in self._group(group, deadline)]

    def end(self, topic: str, *, seconds: float) -> int:
        """Where partition 0 of `topic` ends for a reader of committed records; raises as `read` does."""
        consumer = next(iter(self._consumers.values()))
        return self._end(consumer, TopicPartition(topic, 0), time.monotonic() + seconds)

    def expiring(self, ages: Mapping[str, int], *, now: int, seconds: float) -> dict[tuple[str, str, int], int]:
        """The first offset that is younger than its topic's age, by group, topic and partition; `end` where none is.

        Args:
            ages: milliseconds by topic; a topic that is not there is not asked for.
            now: milliseconds since the epoch, by the broker's clock as far as that is known.

        Raises:
            SafeReportingError: as `read` does.
        """
        deadline = time.monotonic() + seconds
        found = {}
        for group, places in self._asked.items():
            asked = [TopicPartition(p.topic, p.partition, now - ages[p.topic]) for p in places if p.topic in ages]
            try:
                answers = self._consumers[group].offsets_for_times(asked, timeout=_left(deadline)) if asked else []
            except KafkaException as error:
                raise translate(error, f"asking how old the records of `{group}` are") from error
            for answer in answers:
                if answer.error is None:
                    offset = answer.offset if answer.offset >= 0 else END
                    found[group, answer.topic, answer.partition] = offset
        return found

    def close(self) -> None:
        """Close the connections."""
        for consumer in self._consumers.values():
            with contextlib.suppress(KafkaException):
                consumer.close()

    def _group(self, group: str, deadline: float) -> list[Position]:
        consumer = self._consumers[group]
        try:
            committed = consumer.committed(self._asked[group], timeout=_left(deadline))
        except KafkaException as error:
            raise translate(error, f"asking for the positions of `{group}`") from error
        return [
            Position(group, p.topic, p.partition, p.offset if p.offset >= 0 else None, self._end(consumer, p, deadline))
            for p in committed
        ]

    @staticmethod
    def _end(consumer: Consumer, place: TopicPartition, deadline: float) -> int:
        asked = TopicPartition(place.topic, place.partition)
        try:
            edges = consumer.get_watermark_offsets(asked, timeout=_left(deadline))
        except KafkaException as error:
            raise translate(error, f"asking for the end of `{place.topic}`") from error
        if edges is None:
            raise UnreachableError(f"the broker did not tell where `{place.topic}` ends in time")
        return int(edges[1])


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
