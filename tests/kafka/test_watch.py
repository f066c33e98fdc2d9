"""Reading to the end just now: also past what a transaction leaves behind, and not while the broker is away."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from services.kernel.errors import SafeReportingError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import send, send_together
from services.kernel.kafka.watch import Watch
from services.kernel.record import Inbound, Message

pytestmark = pytest.mark.kafka


@pytest.fixture
def heard() -> list[Inbound]:
    return []


@pytest.fixture
def watch(broker: EmbeddedKafka, heard: list[Inbound]) -> Iterator[Watch]:
    made = Watch(broker.client_config("admin"), ["control", "consent"], name="watch-test", told=heard.append)
    yield made
    made.close()


def said(number: int) -> Message:
    return Message("consent", f"watch-{number}-{time.time_ns()}".encode(), b"not a consent")


def test_what_was_appended_before_is_heard_and_only_once(
    broker: EmbeddedKafka, watch: Watch, heard: list[Inbound]
) -> None:
    config = broker.client_config("admin")
    assert watch.fresh()
    before = len(heard)
    send(config, [(said(1), 0)])
    assert watch.fresh()
    assert len(heard) == before + 1
    assert watch.fresh()
    assert len(heard) == before + 1


def test_the_end_of_a_transaction_is_an_end(broker: EmbeddedKafka, watch: Watch, heard: list[Inbound]) -> None:
    config = broker.client_config("admin")
    assert watch.fresh()
    for number in range(3):
        before = len(heard)
        send_together(config, [(said(number), 0), (said(number), 0)], name="cli-consent")
        started = time.monotonic()
        assert watch.fresh()
        assert time.monotonic() - started < 1.5
        assert len(heard) == before + 2


def test_a_broker_that_does_not_answer_is_not_read(heard: list[Inbound]) -> None:
    away = Watch({"bootstrap.servers": "127.0.0.1:1"}, ["control"], name="away", told=heard.append, wait=0.5)
    started = time.monotonic()
    assert not away.fresh()
    assert time.monotonic() - started < 3
    away.close()


def test_a_missing_topic_is_said(broker: EmbeddedKafka, heard: list[Inbound]) -> None:
    lost = Watch(broker.client_config("admin"), ["no-such-topic"], name="lost", told=heard.append, wait=1.0)
    try:
        with pytest.raises(SafeReportingError):
            assert lost.fresh()
    finally:
        lost.close()
