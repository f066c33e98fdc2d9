"""How far a group has read, past the marks of transactions, where its position cannot say it.

A group's position is one after the last record that was handled; a mark behind it is no record. Once a topic has
expired to its end, the position lies before everything that is left, as if a record had been deleted unread, and no
worker could go on. So a worker that stands at the end commits its position now and then with a note of that end.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition

Position = tuple[str, int]

#: Seconds between two notes. Topics are kept for days.
NOTE_S = 600.0
_NOTE = "read to "


def noted(positions: Mapping[Position, int], ends: Mapping[Position, int]) -> list[TopicPartition]:
    """Offsets to commit with their notes: of partitions that were read to an end behind their position."""
    return [
        TopicPartition(*place, positions[place], metadata=f"{_NOTE}{end}")
        for place, end in ends.items()
        if end > positions.get(place, end)
    ]


def readable(consumer: Consumer, committed: list[TopicPartition], *, seconds: float) -> list[TopicPartition]:
    """Where to read on: at the committed offset, or where the topic begins if the note says that it was read so far.

    Each partition whose note is ahead is asked for; one that does not answer is read from its committed offset, which
    fails where that is gone.
    """
    return [_begin(consumer, place, seconds) for place in committed]


def _begin(consumer: Consumer, place: TopicPartition, seconds: float) -> TopicPartition:
    note, offset = place.metadata or "", place.offset
    if note.startswith(_NOTE) and (end := int(note.removeprefix(_NOTE))) > offset:
        with suppress(KafkaException):
            edges = consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=seconds)
            if edges is not None and offset < edges[0] <= end:
                offset = edges[0]
    return TopicPartition(place.topic, place.partition, offset)
