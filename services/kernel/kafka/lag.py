"""Where groups are and where their topics end, asked without joining the group or reading a record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.kernel.errors import SafeReportingError, UnreachableError
from services.kernel.kafka.admin_types import TopicMetadata
from services.kernel.kafka.client import RECONNECT, may_pass, quiet, translate

Place = tuple[str, int]


class Position(NamedTuple):
    """One partition of a group: the offset that it handles next (None: it has none), and the end of the topic.

    `end` is that of a reader of committed records, `written` counts what open transactions wrote as well. Both are None
    where nothing is known of the partition: nobody leads it just now, nobody tells where its group is, or (`missing`)
    its topic is not there.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int | None
    missing: bool = False
    written: int | None = None


class Positions:
    """Asks for the positions of groups; keep it, its connections are used again.

    Groups are asked for by readers of uncommitted records. Those are told of a position that a transaction holds as it
    was before; a reader of committed ones would wait until the transaction ends.

    Args:
        groups: input topics and their number of partitions, by group.
    """

    def __init__(self, config: Mapping[str, str], groups: Mapping[str, Sequence[tuple[str, int]]]) -> None:
        self._asked = {
            group: [TopicPartition(topic, number) for topic, count in topics for number in range(count)]
            for group, topics in groups.items()
        }
        settings = {**config, **RECONNECT, "enable.auto.commit": False, "logger": quiet()}
        uncommitted = settings | {"isolation.level": "read_uncommitted"}
        self._askers = {group: Consumer({**uncommitted, "group.id": group}) for group in groups}
        first = next(iter(groups))
        self._writer = self._askers[first]  # sees what is written
        self._reader = Consumer({**settings, "group.id": first, "isolation.level": "read_committed"})
        self._ends: dict[Place, tuple[int, int]] = {}

    def read(self, *, seconds: float) -> list[Position]:
        """Every partition of every group.

        1. Ask who leads. The consumers fetch nothing, so nothing else tells them that a leader is gone.
        2. Ask for each group's positions; a group that does not tell in its share of the time is not known.
        3. Ask each leader for the ends.

        Raises:
            SafeReportingError: the broker does not answer in `seconds`, tells nothing of any partition, or refuses a
                topic or every group.
        """
        deadline = time.monotonic() + seconds
        topics = self._topics(deadline)  # 1
        committed = self._committed(deadline)  # 2
        self._ends = self._known_ends(topics, deadline)  # 3
        found = []
        for group, places in self._asked.items():
            for place in places:
                at = committed.get((group, place.topic, place.partition))
                ends = self._ends.get((place.topic, place.partition)) if at is not None else None
                end, written = ends or (None, None)
                held = at if at is not None and at >= 0 else None
                missing = place.topic not in topics
                found.append(Position(group, place.topic, place.partition, held, end, missing, written))
        if found and all(position.end is None and not position.missing for position in found):
            raise UnreachableError("the broker tells of no partition where it ends")
        return found

    def end(self, topic: str, *, seconds: float) -> tuple[int, int]:
        """Where partition 0 of `topic` ends: for a reader of committed records, and with all that is written.

        Raises:
            SafeReportingError: the broker does not answer, or nobody leads the partition.
        """
        ends = self._both_ends(TopicPartition(topic, 0), time.monotonic() + seconds)
        if ends is None:
            raise UnreachableError(f"nobody leads `{topic}` just now, or it is missing")
        return ends

    def expiring(self, ages: Mapping[str, int], *, now: int, seconds: float) -> dict[tuple[str, str, int], int]:
        """The first offset that is younger than its topic's age, by group, topic and partition.

        Where none is, it is the end as `read` was told it the last time: what came later may be younger.

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
                if p.topic in ages and (p.topic, p.partition) in self._ends
            ]
            try:
                answers = self._reader.offsets_for_times(asked, timeout=_left(deadline)) if asked else []
            except KafkaException as error:
                raise translate(error, f"asking how old the records of `{group}` are") from error
            for answer in answers:
                if answer.error is None:
                    end, _ = self._ends[answer.topic, answer.partition]
                    found[group, answer.topic, answer.partition] = answer.offset if answer.offset >= 0 else end
        return found

    def close(self) -> None:
        """Close the connections."""
        for consumer in (*self._askers.values(), self._reader):
            with contextlib.suppress(KafkaException):
                consumer.close()

    def _topics(self, deadline: float) -> dict[str, TopicMetadata]:
        try:
            self._writer.list_topics(timeout=_left(deadline))
            topics: dict[str, TopicMetadata] = self._reader.list_topics(timeout=_left(deadline)).topics
        except KafkaException as error:
            raise translate(error, "asking who leads") from error
        return topics

    def _committed(self, deadline: float) -> dict[tuple[str, str, int], int]:
        """Positions by group, topic and partition, negative where there is none; what is not told is left out."""
        found = {}
        failed: list[SafeReportingError] = []
        for left, (group, places) in zip(range(len(self._asked), 0, -1), self._asked.items(), strict=True):
            share = _left(deadline) / (left + 1)
            try:
                told = self._askers[group].committed(places, timeout=share)
            except KafkaException as error:
                failed.append(translate(error, f"asking for the positions of `{group}`"))
            else:
                found.update({(group, p.topic, p.partition): p.offset for p in told if p.error is None})
        if failed and len(failed) == len(self._asked):
            raise failed[0]
        return found

    def _known_ends(self, topics: Mapping[str, TopicMetadata], deadline: float) -> dict[Place, tuple[int, int]]:
        found = {}
        for place in (place for places in self._asked.values() for place in places):
            name = place.topic, place.partition
            topic = topics.get(place.topic)
            if name not in found and topic is not None and _is_led(topic, place.partition):
                ends = self._both_ends(place, deadline)
                if ends is not None:
                    found[name] = ends
        return found

    def _both_ends(self, place: TopicPartition, deadline: float) -> tuple[int, int] | None:
        """The readable end and the written one; None where a leader is moving.

        The written one first: what comes between the two questions then does not look like an open transaction.
        """
        written = self._end(self._writer, place, deadline)
        end = None if written is None else self._end(self._reader, place, deadline)
        return None if end is None or written is None else (end, max(end, written))

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
