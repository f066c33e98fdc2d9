"""How far a group has read, past the marks of transactions, where its position cannot say it.

A group's position is one after the last record that was handled; a mark behind it is no record. Once a topic has
expired to its end, the position lies before everything that is left, as if a record had been deleted unread, and no
worker could go on. So with a batch of other partitions, now and then, a worker commits the positions of those that it
has read to their end once more, with a note of that end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Container, Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.kernel.errors import UnreachableError
from services.kernel.kafka.client import translate

Position = tuple[str, int]

#: Seconds between two notes. Topics are kept for days.
NOTE_S = 600.0
_NOTE = re.compile(r"read to ([0-9]{1,19})")


class Notes:
    """When to write them, and which."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def due(
        self, positions: Mapping[Position, int], ends: Mapping[Position, int], *, but: Container[Position]
    ) -> list[TopicPartition]:
        """Offsets to commit with their notes, now and then: of partitions read to an end behind their position.

        Args:
            but: partitions of which the batch holds records, handled or not.
        """
        if time.monotonic() - self._last < NOTE_S:
            return []
        self._last = time.monotonic()
        return [
            TopicPartition(*place, offset, metadata=f"read to {ends[place]}")
            for place, offset in positions.items()
            if place not in but and ends.get(place, offset) > offset
        ]


def readable(consumer: Consumer, committed: list[TopicPartition], *, seconds: float) -> list[TopicPartition]:
    """Where to read on: at the committed offset, or where the topic begins if the note says that it was read so far.

    Raises:
        SafeReportingError: the broker does not tell where a topic begins, `seconds` for all of them.
    """
    deadline = time.monotonic() + seconds
    return [_begin(consumer, place, deadline) for place in committed]


def _begin(consumer: Consumer, place: TopicPartition, deadline: float) -> TopicPartition:
    note, offset = _NOTE.fullmatch(place.metadata or ""), place.offset
    if note and (end := int(note[1])) > offset:
        doing = f"asking where `{place.topic}` begins"
        try:
            edges = consumer.get_watermark_offsets(
                TopicPartition(place.topic, place.partition), timeout=max(0.1, deadline - time.monotonic())
            )
        except KafkaException as error:
            raise translate(error, doing) from error
        if edges is None:
            raise UnreachableError(f"{doing}: no answer from the broker in time; is it up?")
        if offset < edges[0] <= end:
            offset = edges[0]
    return TopicPartition(place.topic, place.partition, offset)
