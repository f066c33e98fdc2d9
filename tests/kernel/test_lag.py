"""What is asked about groups and topics, of a broker that is made up: what it does not tell is not known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from services.kernel.errors import RefusedError, UnreachableError
from services.kernel.kafka import lag as module
from services.kernel.kafka.lag import Position, Positions

TOPIC = "redacted"


class Broker:
    """Leaders and ends by partition; an end that is an error code is raised.

    A group in `held` has a position in a transaction; `undecided` records lie behind every readable end.
    """

    leaders: dict[int, int]
    ends: dict[int, int]
    committed_error: int | None
    held: set[str]
    refused: set[str]
    undecided: int
    youngest: int

    def __init__(self, settings: dict[str, Any]) -> None:
        self.group, self.committed_only = settings["group.id"], settings["isolation.level"] == "read_committed"

    def list_topics(self, timeout: float) -> Any:
        partitions = {number: SimpleNamespace(leader=leader) for number, leader in self.leaders.items()}
        return SimpleNamespace(topics={TOPIC: SimpleNamespace(partitions=partitions)})

    def committed(self, places: list[TopicPartition], timeout: float) -> list[Any]:
        if self.group in self.held and self.committed_only:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        if self.group in self.refused:
            raise KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
        error = None if self.committed_error is None else KafkaError(self.committed_error)
        return [SimpleNamespace(topic=p.topic, partition=p.partition, offset=3, error=error) for p in places]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        end = self.ends[place.partition]
        if end < 0 or end in {KafkaError.TOPIC_AUTHORIZATION_FAILED}:
            raise KafkaException(KafkaError(end))
        return 0, end if self.committed_only else end + self.undecided

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[Any]:
        offset = self.youngest
        return [SimpleNamespace(topic=p.topic, partition=p.partition, offset=offset, error=None) for p in places]

    def close(self) -> None:
        pass


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> type[Broker]:
    monkeypatch.setattr(module, "Consumer", Broker)
    Broker.leaders, Broker.ends, Broker.committed_error = {0: 1, 1: 1, 2: 1}, {0: 100, 1: 101, 2: 102}, None
    Broker.held, Broker.refused, Broker.undecided, Broker.youngest = set(), set(), 0, 1
    return Broker


def asked(*topics: str) -> Positions:
    return Positions({}, {"router": [(topic, 3) for topic in topics or (TOPIC,)]})


def test_every_partition_is_told(broker: type[Broker]) -> None:
    assert asked().read(seconds=5) == [Position("router", TOPIC, n, 3, 100 + n, written=100 + n) for n in range(3)]


def test_a_position_in_a_transaction_is_told_as_it_was_and_ends_are_those_of_committed_readers(
    broker: type[Broker],
) -> None:
    broker.held, broker.undecided = {"router"}, 7
    assert asked().read(seconds=5) == [
        Position("router", TOPIC, n, 3, 100 + n, written=107 + n) for n in range(3)
    ]  # fmt: skip
    assert asked().end(TOPIC, seconds=5) == (100, 107)


def test_a_group_that_is_not_told_leaves_the_others_known(broker: type[Broker]) -> None:
    broker.refused = {"redactor"}
    positions = Positions({}, {group: [(TOPIC, 1)] for group in ("redactor", "router")})
    assert positions.read(seconds=5) == [
        Position("redactor", TOPIC, 0, None, None),
        Position("router", TOPIC, 0, 3, 100, written=100),
    ]
    broker.refused = {"redactor", "router"}
    with pytest.raises(RefusedError):
        positions.read(seconds=5)


def test_where_no_record_is_younger_all_are_older_that_were_there_when_it_was_asked(broker: type[Broker]) -> None:
    positions = asked()
    positions.read(seconds=5)
    broker.youngest, broker.ends = -1, {0: 500, 1: 500, 2: 500}
    assert list(positions.expiring({TOPIC: 1}, now=5, seconds=5).values()) == [100, 101, 102]


def test_a_partition_that_nobody_leads_is_not_known_and_not_asked_for(broker: type[Broker]) -> None:
    broker.leaders = {0: 1, 1: -1, 2: 2}
    positions = asked()
    assert [one.end for one in positions.read(seconds=5)] == [100, None, 102]
    assert positions.expiring({TOPIC: 1}, now=5, seconds=5).keys() == {("router", TOPIC, 0), ("router", TOPIC, 2)}
    broker.leaders = {0: 1, 1: 1, 2: 2}
    assert [one.end for one in positions.read(seconds=5)] == [100, 101, 102]
    assert len(positions.expiring({TOPIC: 1}, now=5, seconds=5)) == 3


@pytest.mark.parametrize("code", [KafkaError._UNKNOWN_PARTITION, KafkaError._TIMED_OUT, KafkaError._TRANSPORT])
def test_a_leader_that_is_moving_is_no_missing_topic(broker: type[Broker], code: int) -> None:
    broker.ends = {0: 100, 1: code, 2: 102}
    found = asked().read(seconds=5)
    assert [(one.end, one.missing) for one in found] == [(100, False), (None, False), (102, False)]


def test_a_topic_that_is_not_there_is_said_to_be_missing_and_the_others_are_told(broker: type[Broker]) -> None:
    found = asked("gone", TOPIC).read(seconds=5)
    assert [(one.topic, one.end, one.missing) for one in found] == [
        *((("gone", None, True)) for _ in range(3)),
        *((TOPIC, 100 + n, False) for n in range(3)),
    ]


def test_a_position_that_is_not_told_is_not_taken_for_none(broker: type[Broker]) -> None:
    broker.committed_error = KafkaError.UNSTABLE_OFFSET_COMMIT
    with pytest.raises(UnreachableError, match="no partition"):
        asked().read(seconds=5)


def test_a_refusal_is_one(broker: type[Broker]) -> None:
    broker.ends = {0: 100, 1: KafkaError.TOPIC_AUTHORIZATION_FAILED, 2: 102}
    with pytest.raises(RefusedError):
        asked().read(seconds=5)


def test_the_end_of_a_topic_whose_leader_moves_is_not_known(broker: type[Broker]) -> None:
    assert asked().end(TOPIC, seconds=5) == (100, 100)
    broker.ends = {0: KafkaError._UNKNOWN_PARTITION}
    with pytest.raises(UnreachableError, match="nobody leads"):
        asked().end(TOPIC, seconds=5)
