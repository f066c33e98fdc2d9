"""A topic that expired to its end while nobody read: no reason to stop, unless a record was among it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import OFFSET_END, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from services.cli.bench_parts import numbered
from services.cli.pipeline import Pipeline
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import send_together
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import load_samples

pytestmark = pytest.mark.kafka

INPUT, PART = "agency.gmp.police-crime", 2


def records(count: int, first: int) -> list[Message]:
    samples = [sample for sample in load_samples(ROOT / "samples") if sample.topic == INPUT]
    return list(numbered(samples, count, first))


def send_some(broker: EmbeddedKafka, count: int, first: int, part: int = PART) -> None:
    """As an agency does that writes in transactions: behind its records stands a mark."""
    send_together(
        broker.client_config("admin"), [(message, part) for message in records(count, first)], name="admin-agency"
    )


def noted(broker: EmbeddedKafka, offset: int, end: int) -> bool:
    """Whether the note is there; it goes with a record of another partition."""
    send_some(broker, 1, 100, part=PART - 1)
    return position(broker) == (offset, f"read to {end}")


def until(fits: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < ends
        time.sleep(0.2)


def position(broker: EmbeddedKafka) -> tuple[int, str]:
    asker = Consumer({**broker.client_config("admin"), "group.id": "redactor", "log_level": 0})
    try:
        (found,) = asker.committed([TopicPartition(INPUT, PART)], timeout=10)
        return found.offset, found.metadata or ""
    finally:
        asker.close()


def expire(broker: EmbeddedKafka) -> int:
    """Delete all that the partition holds, as retention does; where it begins now."""
    admin = AdminClient({**broker.client_config("admin"), "log_level": 0})  # kept until the answer is there
    (answer,) = admin.delete_records([TopicPartition(INPUT, PART, OFFSET_END)]).values()
    return int(answer.result(timeout=20).low_watermark)


def handled(pipeline: Pipeline) -> list[tuple[int, int]]:
    """Offset, and the offset handled before, of each entry of the partition."""
    sources = [entry["source"] for entry in pipeline.entries()]
    return [(s["offset"], s["previous"]) for s in sources if (s["topic"], s["partition"]) == (INPUT, PART)]


@pytest.mark.parametrize("unread", [0, 1])
def test_what_expired_is_no_reason_to_stop_unless_it_was_unread(own: EmbeddedKafka, unread: int) -> None:
    with Pipeline(own, routers=0, module="tests.kafka.noting") as pipeline:
        send_some(own, 2, 0)
        until(lambda: noted(own, 2, 3))
        assert handled(pipeline) == [(0, -1), (1, 0)]
        redactor = pipeline.slots[0]
        redactor.process.kill()
        redactor.process.wait()
        if unread:
            send_some(own, unread, 2)
        begins = expire(own)
        assert begins == (5 if unread else 3)
        redactor.process = pipeline._start("redactor", 0)
        send_some(own, 1, 7)
        if unread:
            assert redactor.process.wait(60) != 0
            assert "is not there any more" in (pipeline.logs / "redactor-0.log").read_text()
            assert position(own)[0] == 2
            return
        until(lambda: len(handled(pipeline)) == 3)
        assert handled(pipeline)[-1] == (3, 1)  # the chain is whole
        until(lambda: noted(own, 4, 5))


def test_without_a_note_nothing_is_skipped(own: EmbeddedKafka) -> None:
    with Pipeline(own, routers=0) as pipeline:
        send_some(own, 2, 0)
        until(lambda: position(own)[0] == 2)
        redactor = pipeline.slots[0]
        redactor.process.kill()
        redactor.process.wait()
        assert expire(own) == 3
        redactor.process = pipeline._start("redactor", 0)
        assert redactor.process.wait(60) != 0
