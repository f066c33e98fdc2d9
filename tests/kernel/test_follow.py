"""A topic that is followed: what tells of a partition's end, or of a line that mends itself, ends no waiting."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError

from services.kernel.errors import UnreachableError
from services.kernel.kafka import follow
from services.kernel.kafka.follow import Follow


class Polled:
    """An event of librdkafka: an error, or a record."""

    def __init__(self, error: int | None = None) -> None:
        self._error = KafkaError(error) if error is not None else None

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return "canary.watch"

    def partition(self) -> int:
        return 0

    offset = partition

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_795_600_000_000

    def key(self) -> bytes | None:
        return None

    value = headers = key


class Polls:
    """A consumer with events that wait."""

    def __init__(self, *events: Polled) -> None:
        self.events = list(events)

    def subscribe(self, _: list[str]) -> None:
        """Nothing to join."""

    def poll(self, _: float) -> Polled | None:
        return self.events.pop(0) if self.events else None


def following(monkeypatch: pytest.MonkeyPatch, *events: Polled) -> Follow:
    def made(*_: Any, **__: Any) -> Polls:
        return Polls(*events)

    monkeypatch.setattr(follow, "group_consumer", made)
    return Follow({}, "canary.watch", group="canary", slot=0)


@pytest.mark.parametrize("event", [KafkaError._PARTITION_EOF, KafkaError._TRANSPORT])
@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_the_record_behind_the_end_of_another_partition_is_taken(
    monkeypatch: pytest.MonkeyPatch, event: int, seconds: float
) -> None:
    one = following(monkeypatch, Polled(event), Polled(event), Polled())
    assert one.take(seconds) is not None
    assert one.take(seconds) is None


def test_what_does_not_mend_itself_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    one = following(monkeypatch, Polled(KafkaError._PARTITION_EOF), Polled(KafkaError.UNKNOWN_TOPIC_OR_PART), Polled())
    with pytest.raises(UnreachableError, match="a topic is missing"):
        one.take(0.2)
