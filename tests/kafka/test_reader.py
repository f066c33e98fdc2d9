"""Reading a topic as it stands: an open transaction's records belong to it, and the reader waits for the decision."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import pytest
from confluent_kafka import Producer

from services.kernel.errors import UnreachableError
from services.kernel.kafka.admin_types import AdminClient, NewTopic
from services.kernel.kafka.client import transactional_producer
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import Sender, read_all, send
from services.kernel.record import Message

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(broker: EmbeddedKafka) -> str:
    name = f"reader-test-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({**broker.client_config("admin"), "log_level": 0})
    admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])[name].result(20)
    return name


@pytest.fixture
def open_transaction(broker: EmbeddedKafka, topic: str) -> Iterator[Producer]:
    """Partition 1 holds a record of an open transaction behind a plain one; partition 0 has a plain one."""
    config = broker.client_config("admin")
    send(config, [(Message(topic, b"k", b"plain"), partition) for partition in (0, 1)])
    producer = transactional_producer(config, service="reader-test", slot=0)
    producer.init_transactions(15)
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=1)
    producer.flush(10)
    yield producer
    producer.close()


def values(broker: EmbeddedKafka, topic: str, *, committed: bool = True, deadline: float = 20.0) -> list[bytes]:
    config = broker.client_config("admin")
    records = read_all(config, topic, name="admin", committed=committed, deadline=deadline)
    return sorted(record.value.reveal() for record in records if record.value is not None)


@pytest.mark.parametrize("commit", [True, False])
def test_the_reader_waits_until_an_open_transaction_is_decided(
    broker: EmbeddedKafka, topic: str, open_transaction: Producer, commit: bool
) -> None:
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(values, broker, topic)
        with pytest.raises(FutureTimeout):
            reading.result(1.5)
        if commit:
            open_transaction.commit_transaction(10)
        else:
            open_transaction.abort_transaction(10)
        assert reading.result(10) == ([b"open"] if commit else []) + [b"plain", b"plain"]


def test_without_the_guarantee_nothing_is_waited_for(
    broker: EmbeddedKafka, topic: str, open_transaction: Producer
) -> None:
    assert values(broker, topic, committed=False) == [b"open", b"plain", b"plain"]


def test_what_stays_open_is_no_end_and_what_flows_meanwhile_is_no_reason_to_go_on(
    broker: EmbeddedKafka, topic: str, open_transaction: Producer
) -> None:
    def flow() -> None:
        with Sender(broker.client_config("admin")) as sender:
            while not done.wait(0.05):
                sender.send(Message(topic, b"k", b"more"), 0)

    done = threading.Event()
    with ThreadPoolExecutor() as pool:
        flowing = pool.submit(flow)
        try:
            with pytest.raises(
                UnreachableError, match="not at its end after 2 s; a transaction is open in partition 1"
            ):
                pool.submit(values, broker, topic, deadline=2.0).result(15)
        finally:
            done.set()
        flowing.result(10)


def test_an_empty_topic_ends(broker: EmbeddedKafka, topic: str) -> None:
    assert values(broker, topic) == []
