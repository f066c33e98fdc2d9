"""Notes of how far a group has read: when they are written, and where a worker begins by them."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from services.kernel.errors import UnreachableError
from services.kernel.kafka import reached
from services.kernel.kafka.reached import Notes, readable

RARE, BUSY, HALF = ("agency.a.rare", 0), ("agency.a.busy", 1), ("agency.a.half", 2)


class Asked:
    """Tells where each topic begins; nothing where that is None."""

    def __init__(self, begins: int | KafkaException | None) -> None:
        self.begins = begins
        self.times: list[float] = []

    def get_watermark_offsets(self, _: TopicPartition, *, timeout: float) -> tuple[int, int] | None:
        self.times.append(timeout)
        if isinstance(self.begins, KafkaException):
            raise self.begins
        return None if self.begins is None else (self.begins, 99)


def place(offset: int, note: str | None) -> TopicPartition:
    return TopicPartition(*RARE, offset, metadata=note) if note is not None else TopicPartition(*RARE, offset)


def begun(asked: Any, offset: int, note: str | None) -> int:
    (found,) = readable(asked, [place(offset, note)], seconds=4.0)
    return int(found.offset)


def test_a_note_is_of_what_was_read_to_an_end_behind_its_position_and_of_no_record_at_hand() -> None:
    notes = Notes()
    positions, ends = {RARE: 2, BUSY: 7, HALF: 5}, {RARE: 3, BUSY: 9, HALF: 5}
    assert notes.due(positions, ends, but={BUSY}) == []  # not so soon
    notes._last -= reached.NOTE_S
    (note,) = notes.due(positions, ends, but={BUSY})
    assert (note.topic, note.partition, note.offset, note.metadata) == (*RARE, 2, "read to 3")
    assert notes.due(positions, ends, but={BUSY}) == []  # not again


@pytest.mark.parametrize(
    ("offset", "note", "begins", "at"),
    [
        (2, "read to 3", 3, 3),  # a mark expired
        (2, "read to 9", 5, 5),
        (2, "read to 3", 0, 2),  # nothing expired
        (2, "read to 3", 4, 2),  # more expired than was read: reading from there fails
        (4, "read to 3", 3, 4),  # a note of before
    ],
)
def test_where_a_worker_begins(offset: int, note: str, begins: int, at: int) -> None:
    assert begun(Asked(begins), offset, note) == at


@pytest.mark.parametrize("note", [None, "", "read to x", "read to -1", "read to 1_0", "of another", "read to 9 "])
def test_what_is_no_note_is_none_and_nothing_is_asked(note: str | None) -> None:
    asked = Asked(9)
    assert (begun(asked, 2, note), asked.times) == (2, [])


@pytest.mark.parametrize("answer", [None, KafkaException(KafkaError(KafkaError._TIMED_OUT))])
def test_a_broker_that_does_not_tell_is_not_told_as_a_loss(answer: KafkaException | None) -> None:
    with pytest.raises(UnreachableError, match="rare"):
        begun(Asked(answer), 2, "read to 3")


def test_all_questions_have_one_deadline() -> None:
    asked = Asked(0)
    readable(asked, [place(2, "read to 3")] * 3, seconds=-1.0)  # type: ignore[arg-type]  # made up
    assert asked.times == [0.1] * 3
