"""Where groups are and where their topics end, asked without joining the group or reading a record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.kernel.errors import UnreachableError
from services.kernel.kafka.admin_types import TopicMetadata
from services.kernel.kafka.client import RECONNECT, may_pass, quiet, translate

#: Beyond every offset: all that a partition holds is older than what was asked for.
END = 2**63 - 1


class Position(NamedTuple):
    """One partition of a group: the offset that it handles next (None: it has none), and the end of the topic.

    `end` is None where nothing is known of the partition: nobody leads it just now, or (`missing`) its topic is not
    there.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int | None
    missing: bool = False


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
        self._unknown: set[tuple[str, int]] = set()

    def read(self, *, seconds: float) -> list[Position]:
        """Every partition of every group.

        1. Ask who leads. The consumers fetch nothing, so nothing else tells them that a leader is gone.
        2. Ask for the group's positions.
        3. Ask each leader for the end.

        Raises:
            SafeReportingError: the broker does not answer in `seconds`, or tells nothing of any partition.
        """
        deadline = time.monotonic() + seconds
        found = [position for group in self._asked for position in self._group(group, deadline)]
        if found and all(position.end is None and not position.missing for position in found):
            raise UnreachableError("the broker tells of no partition where it ends")
        return found

    def end(self, topic: str, *, seconds: float) -> int:
        """Where partition 0 of `topic` ends for a reader of committed records; raises as `read` does."""
        consumer = next(iter(self._consumers.values()))
        end = self._end(consumer, TopicPartition(topic, 0), time.monotonic() + seconds)
        if end is None:
            raise UnreachableError(f"nobody leads `{topic}` just now, or it is missing")
        return end

    def expiring(self, ages: Mapping[str, int], *, now: int, seconds: float) -> dict[tuple[str, str, int], int]:
        """The first offset that is younger than its topic's age, by group, topic and partition; `end` where none is.

        Args:
            ages: milliseconds by topic; a topic that is not there is not asked for.
            now: milliseconds since the epoch, by the broker's clock as far as that is known.

        Partitions of which `read` knew nothing the last time are left out.

        Raises:
            SafeReportingError: as `read` does.
        """
        deadline = time.monotonic() + seconds
        found = {}
        for group, places in self._asked.items():
            asked = [
                TopicPartition(p.topic, p.partition, now - ages[p.topic])
                for p in places
                if p.topic in ages and (p.topic, p.partition) not in self._unknown
            ]
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
            topics = consumer.list_topics(timeout=_left(deadline)).topics  # 1
            committed = consumer.committed(self._asked[group], timeout=_left(deadline))  # 2
        except KafkaException as error:
            raise translate(error, f"asking for the positions of `{group}`") from error
        made = []
        for place in committed:
            topic = topics.get(place.topic)
            led = topic is not None and _is_led(topic, place.partition)
            end = self._end(consumer, place, deadline) if led and place.error is None else None  # 3
            at = place.offset if place.offset >= 0 else None
            made.append(Position(group, place.topic, place.partition, at, end, missing=topic is None))
        self._unknown -= {(place.topic, place.partition) for place in committed}
        self._unknown |= {(one.topic, one.partition) for one in made if one.end is None}
        return made

    @staticmethod
    def _end(consumer: Consumer, place: TopicPartition, deadline: float) -> int | None:
        """Where a partition ends; None where its leader is moving, or does not answer in time."""
        asked = TopicPartition(place.topic, place.partition)
        try:
            edges = consumer.get_watermark_offsets(asked, timeout=_left(deadline))
        except KafkaException as error:
            if may_pass(error.args[0]):
                return None
            raise translate(error, f"asking for the end of `{place.topic}`") from error
        return None if edges is None else int(edges[1])


def _is_led(topic: TopicMetadata, number: int) -> bool:
    """Whether somebody leads a partition, as far as the cluster knows."""
    partition = topic.partitions.get(number)
    return partition is not None and partition.leader >= 0


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
