"""Keeping up with topics while one partition has no leader."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from services.kernel.kafka import watch
from services.kernel.kafka.client import PositionError
from services.kernel.kafka.watch import Watch
from services.kernel.record import Inbound


class Record:
    def __init__(self, partition: int, offset: int) -> None:
        self._place = partition, offset

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return "ops.safety"

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_795_600_000_000

    def key(self) -> bytes | None:
        return None

    value = headers = key


class Broker:
    """Two partitions; the first has no leader while it is `headless`."""

    headless = True

    def __init__(self, _: Any) -> None:
        self.records = [Record(1, 0), Record(1, 1)]

    def assign(self, _: Any) -> None:
        """Both."""

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        if self.headless and partition.partition == 0:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return 0, 2 * partition.partition

    def list_topics(self, *_: Any, **__: Any) -> Any:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def poll(self, _: float) -> Record | None:
        return self.records.pop(0) if self.records else None


def test_what_other_partitions_have_is_told_while_one_has_no_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "Consumer", Broker)
    heard: list[Inbound] = []
    made = Watch({}, {"ops.safety": 2}, name="desk", told=heard.append, wait=0.5)
    assert not made.fresh()
    assert [(record.partition, record.offset) for record in heard] == [(1, 0), (1, 1)]
    monkeypatch.setattr(Broker, "headless", False)
    assert made.fresh()
    assert len(heard) == 2


def test_a_topic_that_was_made_anew_is_not_taken_for_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "Consumer", Broker)
    monkeypatch.setattr(Broker, "headless", False)
    made = Watch({}, {"ops.safety": 2}, name="desk", told=lambda _: None, wait=0.5)
    assert made.fresh()
    monkeypatch.setattr(Broker, "get_watermark_offsets", lambda *_, **__: (0, 1))
    with pytest.raises(PositionError, match="made anew"):
        made.fresh()
