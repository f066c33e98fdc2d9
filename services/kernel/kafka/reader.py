"""Read a topic as it stands: no group, no commits, from the beginning to its present end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from services.kernel.errors import SafeReportingError, UnreachableError
from services.kernel.kafka.client import RECONNECT, inbound, queue, quiet, transactional_producer, translate
from services.kernel.record import Inbound, Message


class NotWholeError(UnreachableError):
    """A topic could not be read to its end in time."""

    code = "not_whole"


def read_all(
    config: Mapping[str, str], topic: str, *, name: str, committed: bool = True, start: int = 0, deadline: float = 60.0
) -> Iterator[Inbound]:
    """Yield every record of `topic` up to the end that it had when its last partition was reached.

    What a transaction that is still open has written before that end belongs to it: the reader waits until it is
    decided. The broker says that a transaction is committed before every partition shows it.

    Args:
        name: prefix of the group name, which the principal's permissions must cover.
        committed: False shows at once what open transactions wrote, and what aborted ones did.
        start: offset in each partition to begin at.
        deadline: seconds for the whole reading.

    Raises:
        NotWholeError: the deadline passed; what was yielded is there, and more may be.
        SafeReportingError: broker unreachable, principal refused, topic missing.
    """
    consumer = Consumer(
        {
            **config,
            "group.id": f"{name}-reader",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "receive.message.max.bytes": 64 * 1024 * 1024,
            "fetch.wait.max.ms": 20,
            "logger": quiet(),
        }
    )
    ends = time.monotonic() + deadline
    try:
        partitions = _partitions(consumer, topic)
        consumer.assign([TopicPartition(topic, partition, start) for partition in partitions])
        wanted: dict[int, int] = {}
        while partitions:
            message = consumer.poll(0.5)
            if message is None:
                if time.monotonic() > ends:
                    held = ", ".join(map(str, sorted(wanted.keys() & partitions)))
                    why = f"; a transaction is open in partition {held}" if held else ""
                    raise NotWholeError(f"reading `{topic}`: not at its end after {deadline:.0f} s{why}")
                continue
            error = message.error()
            if error is None:
                yield inbound(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                partition = int(message.partition() or 0)
                wanted.setdefault(partition, _written(consumer, topic, partition))
                if int(message.offset() or 0) >= wanted[partition]:
                    partitions.discard(partition)
                    consumer.pause([TopicPartition(topic, partition)])
            else:
                raise translate(error, f"reading `{topic}`")
    finally:
        consumer.close()


def read_one(config: Mapping[str, str], source: tuple[str, int, int], *, name: str) -> Inbound | None:
    """The committed record at (topic, partition, offset); None where there is none any more.

    Raises:
        SafeReportingError: broker unreachable, principal refused, topic missing.
    """
    topic, partition, offset = source
    consumer = Consumer(
        {
            **config,
            "group.id": f"{name}-one",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "latest",
            "receive.message.max.bytes": 64 * 1024 * 1024,
            "fetch.wait.max.ms": 20,
            "logger": quiet(),
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(10.0)
        if message is None:
            raise UnreachableError(f"reading `{topic}`: no answer")
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise translate(error, f"reading `{topic}`")
        return inbound(message) if error is None and message.offset() == offset else None
    finally:
        consumer.close()


def tail(config: Mapping[str, str], topics: list[str], *, name: str, done: Callable[[], bool]) -> Iterator[Inbound]:
    """Yield committed records that arrive in `topics` from now on, until `done()`.

    Raises:
        SafeReportingError: broker unreachable, principal refused, topic missing.
    """
    consumer = Consumer(
        {**config, "group.id": f"{name}-tail", "enable.auto.commit": False, "fetch.wait.max.ms": 20, "logger": quiet()}
    )
    try:
        wanted = [TopicPartition(t, p, OFFSET_END) for t in topics for p in _partitions(consumer, t)]
        consumer.assign(wanted)
        while not done():
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                yield inbound(message)
    finally:
        consumer.close()


class Sender:
    """Sends messages outside of the services' loop: samples, entries of a command. Use it as a context.

    Leaving the context returns when the broker holds every message, on all replicas, and closes the connections.

    Raises:
        SafeReportingError: a message was not acknowledged within `deadline` seconds.
    """

    def __init__(self, config: Mapping[str, str], *, deadline: float = 15.0) -> None:
        self._deadline = deadline
        self._failures: list[KafkaError] = []
        self._producer = Producer(
            {
                **config,
                **RECONNECT,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 1,
                "message.max.bytes": 17 * 1024 * 1024,
                "message.timeout.ms": int(deadline * 1000),
                "logger": quiet(),
            }
        )

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()
            self._producer.close()

    def send(self, message: Message, partition: int) -> None:
        """Queue one message; waits while the queue is full."""
        while True:
            try:
                queue(self._producer, message, partition, self._delivered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        """Wait until all is acknowledged; raises as described above."""
        unsent = self._producer.flush(self._deadline)
        if self._failures:
            raise translate(self._failures[0], "sending")
        if unsent:
            raise UnreachableError(f"sending: {unsent} message(s) not acknowledged after {self._deadline:.0f} s")

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._failures.append(error)


def send(config: Mapping[str, str], messages: list[tuple[Message, int]], *, deadline: float = 15.0) -> None:
    """Send each (message, partition) and return when the broker holds them all; raises as `Sender` does."""
    with Sender(config, deadline=deadline) as sender:
        for message, partition in messages:
            sender.send(message, partition)


def send_together(config: Mapping[str, str], messages: list[tuple[Message, int]], *, name: str) -> None:
    """Send each (message, partition) in one transaction: a read_committed reader sees all of them or none.

    Args:
        name: prefix of the transactional id, which the principal's permissions must cover.

    Raises:
        SafeReportingError: broker unreachable, principal refused, topic missing; nothing is visible then.
    """
    producer = transactional_producer(config, service=name, slot=0)
    try:
        producer.init_transactions(15.0)
        producer.begin_transaction()
        for message, partition in messages:
            producer.produce(
                message.topic, value=message.value, key=message.key, headers=list(message.headers), partition=partition
            )
        producer.commit_transaction(15.0)
    except KafkaException as error:
        raise translate(error, "sending") from error


def fence(config: Mapping[str, str], ids: list[str]) -> None:
    """End whatever the producers with these transactional ids have open, and keep them from committing any more.

    All at once: one whose coordinator is away keeps back none of the others.

    Raises:
        SafeReportingError: broker unreachable, principal refused; the first of those that failed.
    """

    def end(id_: str) -> SafeReportingError | None:
        service, _, slot = id_.rpartition("-")
        try:
            transactional_producer(config, service=service, slot=int(slot)).init_transactions(15.0)
        except KafkaException as error:
            return translate(error, f"fencing `{id_}`")
        return None

    with ThreadPoolExecutor(32) as pool:
        for failure in list(pool.map(end, ids)):
            if failure is not None:
                raise failure


def _written(consumer: Consumer, topic: str, partition: int) -> int:
    """The end of a partition as its last answer named it, open transactions included."""
    return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)[1])


def _partitions(consumer: Consumer, topic: str) -> set[int]:
    try:
        metadata = consumer.list_topics(topic, timeout=10.0).topics[topic]
    except KafkaException as error:
        raise translate(error, f"reading `{topic}`") from error
    if metadata.error is not None:
        raise translate(metadata.error, f"reading `{topic}`")
    return set(metadata.partitions)
