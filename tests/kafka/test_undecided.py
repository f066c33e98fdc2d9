"""What a broker's restart left without a marker: seen as it is made, then decided before anything else is committed."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from services.kernel import keys
from services.kernel.kafka.ask import Ask
from services.kernel.kafka.client import transactional_producer
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all
from services.kernel.kafka.seams import Limits
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.kafka.topology_file import places
from services.kernel.kafka.undecided import Undecided
from services.kernel.telemetry import configure_logging

pytestmark = pytest.mark.kafka

INPUT = "agency.gmp.police-crime"
WRITTEN = ("redacted-0", "ledger-0")
LIMITS = Limits(
    batch_records=1, batch_wait=1.0, batch_bytes=1, commit_deadline=30.0, answer=4.0, flood=1, message_bytes=lambda _: 1
)


@pytest.fixture
def own() -> Iterator[EmbeddedKafka]:
    """A broker that may be killed; lines are logged as by a service, which refuses what is not in the closed set."""
    configure_logging()
    with EmbeddedKafka() as broker:
        apply(broker.client_config("admin"), load_topology(), profile="embedded")
        yield broker
    structlog.reset_defaults()


def producer(broker: EmbeddedKafka) -> Producer:
    made = transactional_producer(broker.client_config("redactor"), service="redactor", slot=0)
    made.init_transactions(30)
    return made


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live transaction is over sooner."""
    monkeypatch.setattr("services.kernel.kafka.undecided._LIFE", 3.0)


def leftovers(broker: EmbeddedKafka) -> Undecided:
    """As the redactor has it."""
    topology = load_topology()
    return Undecided(
        broker.client_config("redactor"),
        group="redactor",
        slot=0,
        inputs=places(topology.topics_of("redactor")),
        outputs=places(topology.written_by("redactor")),
    )


def position(broker: EmbeddedKafka) -> int | None:
    """Where the group is in `INPUT`[0]; None while the broker does not say."""
    asker = Consumer(
        {
            **broker.client_config("redactor"),
            "group.id": "redactor",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    try:
        return int(asker.committed([TopicPartition(INPUT, 0)], timeout=3)[0].offset)
    except KafkaException:
        return None
    finally:
        asker.close()


def shown(broker: EmbeddedKafka) -> list[bytes]:
    """What a partner or the router would read."""
    config = broker.client_config("admin")
    return [r.value.reveal() for r in read_all(config, "redacted", name="admin") if r.value is not None]


def work(made: Producer, broker: EmbeddedKafka, value: bytes, *, upto: int) -> None:
    """One transaction as the loop's, up to its commit."""
    asker = Consumer({**broker.client_config("redactor"), "group.id": "redactor", "log_level": 0})
    made.begin_transaction()
    made.send_offsets_to_transaction([TopicPartition(INPUT, 0, upto)], asker.consumer_group_metadata(), 15)
    made.produce("redacted", value=value, partition=0)
    made.produce("ledger", value=b"{}", partition=0)
    made.flush(15)
    asker.close()


def batches(log: bytes) -> Iterator[tuple[int, bool]]:
    """(place in the file, is a marker) of each batch; the format is Kafka's, version 2."""
    place = 0
    while place + 61 <= len(log):
        length, attributes = struct.unpack_from(">i", log, place + 8)[0], struct.unpack_from(">h", log, place + 21)[0]
        yield place, bool(attributes & 0x20)
        place += 12 + length


def lose_markers(broker: EmbeddedKafka) -> None:
    """Kill the broker and take the marker at the end of each partition's file away, as if it had not been written."""
    ends = time.monotonic() + 15
    while len(marked := list(ending_with_marker(broker))) <= len(WRITTEN):  # one of the group's positions is among them
        assert time.monotonic() < ends, marked
        time.sleep(0.1)
    broker.kill()
    for file, place in marked:
        file.write_bytes(file.read_bytes()[:place])
    broker.start()


def lose_commit(broker: EmbeddedKafka, value: bytes) -> None:
    """A commit up to 20 that is answered, and then loses its markers."""
    first = producer(broker)
    work(first, broker, value, upto=20)
    first.commit_transaction(15)
    lose_markers(broker)


def ending_with_marker(broker: EmbeddedKafka) -> Iterator[tuple[Path, int]]:
    """Files that end with a marker, and its place."""
    for folder in (*(f"__consumer_offsets-{n}" for n in range(4)), *WRITTEN):
        (file,) = Path(broker.folder, "node-1", "log", folder).glob("*.log")
        *_, (place, marker) = [(0, False), *batches(file.read_bytes())]
        if marker:
            yield file, place


def end_of(broker: EmbeddedKafka, topic: str) -> int:
    """Where the next record of partition 0 goes."""
    asker = Consumer({**broker.client_config("admin"), "group.id": "end", "log_level": 0})
    try:
        return int(asker.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1])
    finally:
        asker.close()


def test_a_lost_marker_shows_an_aborted_record_and_holds_the_position_unless_it_is_ended(own: EmbeddedKafka) -> None:
    undecided, ask = leftovers(own), Ask("redactor-0", LIMITS)
    before = position(own)

    first = producer(own)
    work(first, own, b"aborted", upto=5)
    first.abort_transaction(15)
    assert (shown(own), position(own)) == ([], before)
    lose_markers(own)

    # what the fault does: the position stays held, and the next commit shows what was aborted
    second = producer(own)
    assert position(own) is None
    work(second, own, b"made again", upto=5)
    second.commit_transaction(15)
    assert shown(own) == [b"aborted", b"made again"]
    assert position(own) == 5

    # the same, and ended before anything is committed
    third, end = producer(own), end_of(own, "redacted")
    undecided.end(third, ask)
    assert end_of(own, "redacted") == end  # there was nothing to end, and nothing was written
    work(third, own, b"aborted as well", upto=9)
    third.abort_transaction(15)
    lose_markers(own)
    fourth = producer(own)
    assert position(own) is None
    undecided.end(fourth, ask)
    assert position(own) == 5
    work(fourth, own, b"made again once", upto=9)
    fourth.commit_transaction(15)
    assert shown(own) == [b"aborted", b"made again", b"made again once"]
    assert position(own) == 9


def test_a_commit_that_lost_its_markers_is_taken_back_whole_however_often_that_is_interrupted(
    own: EmbeddedKafka,
) -> None:
    undecided, ask, known = leftovers(own), Ask("redactor-0", LIMITS), position(own)
    lose_commit(own, b"committed")
    for call in ("send_offsets_to_transaction", "abort_transaction"):

        def dies(function: Callable[..., None], *arguments: Any, at: str = call) -> None:
            if function.__name__ == at:
                raise KeyboardInterrupt
            ask(function, *arguments)

        with pytest.raises(KeyboardInterrupt):
            undecided.end(producer(own), dies)
    last = producer(own)
    undecided.end(last, ask)
    assert (shown(own), position(own)) == ([], known)
    work(last, own, b"committed", upto=20)
    last.commit_transaction(15)
    assert (shown(own), position(own)) == ([b"committed"], 20)


def test_what_a_later_abort_left_of_a_commit_that_was_taken_back_is_ended_where_that_is_known(
    own: EmbeddedKafka,
) -> None:
    undecided, ask, known = leftovers(own), Ask("redactor-0", LIMITS), position(own)
    lose_commit(own, b"taken back")
    second = producer(own)
    second.begin_transaction()  # as the loop would, had it not asked whether its commit is shown
    asker = Consumer({**own.client_config("redactor"), "group.id": "redactor", "log_level": 0})
    second.send_offsets_to_transaction([TopicPartition(INPUT, 0, 30)], asker.consumer_group_metadata(), 15)
    asker.close()
    second.abort_transaction(15)
    third = producer(own)
    undecided.end(third, ask)
    assert position(own) == known  # nothing is held, and `redacted` is undecided all the same
    undecided.end(third, ask, certain=True)
    work(third, own, b"done again", upto=20)
    third.commit_transaction(15)
    assert shown(own) == [b"done again"]


def test_another_workers_open_transaction_is_not_touched(own: EmbeddedKafka) -> None:
    other = transactional_producer(own.client_config("redactor"), service="redactor", slot=1)
    other.init_transactions(30)
    work(other, own, b"of another", upto=7)
    mine = producer(own)
    leftovers(own).end(mine, Ask("redactor-0", LIMITS))
    work(mine, own, b"mine", upto=7)
    mine.commit_transaction(15)
    other.commit_transaction(15)
    assert sorted(shown(own)) == [b"mine", b"of another"]


def test_a_redactor_ends_what_its_predecessor_left(own: EmbeddedKafka, tmp_path: Path) -> None:
    keys.init_dev(tmp_path, load_topology().partners)
    before = position(own)
    first = producer(own)
    work(first, own, b"aborted", upto=5)
    first.abort_transaction(15)
    lose_markers(own)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.redactor.main"],
        env=clean | own.environment("redactor") | {"SR_KEYS_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process, process.stderr:
        events = []
        for line in process.stderr:
            events.append(json.loads(line)["event"])
            if events[-1] == "partitions_assigned":
                break
        process.terminate()
        process.stderr.read()
    assert events == ["undecided_ended", "service_started", "partitions_assigned"]
    assert position(own) == before
