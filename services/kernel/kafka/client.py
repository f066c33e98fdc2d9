"""Consumers and producers with the settings that the promises depend on, and errors said once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from threading import Thread
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from services.kernel.errors import RefusedError, SafeReportingError, UnreachableError
from services.kernel.record import Inbound, Message
from services.kernel.sensitive import SensitiveBytes

#: What librdkafka raises where this package does not translate it: settings that it does not take.
ClientError = KafkaException
_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,
}
_FENCED = {KafkaError.FENCED_INSTANCE_ID, KafkaError._FENCED, KafkaError.PRODUCER_FENCED}
_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}


class PositionError(SafeReportingError):
    """A group has no committed position, or it lies outside what the topic still holds."""

    code = "position"


class StuckError(Exception):
    """A call into librdkafka did not come back within its own time-out."""


class FloodError(SafeReportingError):
    """Record after record is quarantined: a broken deployment, not broken data."""

    code = "flood"


class ClockError(SafeReportingError):
    """Time went back."""

    code = "clock"


#: Librdkafka waits up to ten seconds between attempts by default: a broker that is back would go unnoticed.
#: It asks who leads when a broker is lost, and then not for five minutes: where the cluster had not chosen yet, it
#: would stay with a leader that is gone.
RECONNECT = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.interval.ms": 5_000,
}


def bounded(function: Callable[..., None], *arguments: object, seconds: float) -> None:
    """Call `function` in a daemon thread, so that a call that never ends keeps neither its caller nor the process.

    Raises:
        StuckError: it is not back after `seconds`. Whatever it raises by itself is raised here.
    """
    done: Future[None] = Future()

    def call() -> None:
        try:
            function(*arguments)
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            done.set_exception(error)
        else:
            done.set_result(None)

    Thread(target=call, daemon=True).start()
    try:
        done.result(seconds)
    except FutureTimeout as error:
        if done.done():
            raise
        raise StuckError(getattr(function, "__name__", "call")) from error


def transactional_producer(config: Mapping[str, str], *, service: str, slot: int, **overrides: Any) -> Producer:
    """A producer whose transactional id outlives restarts, so that a successor ends what was left open."""
    return Producer(
        {
            **config,
            **RECONNECT,
            "client.id": f"{service}-{slot}",
            "transactional.id": f"{service}-{slot}",
            "transaction.timeout.ms": 10_000,
            "retry.backoff.ms": 5,
            "linger.ms": 1,
            "message.max.bytes": 17 * 1024 * 1024,
            "queue.buffering.max.kbytes": 256 * 1024,
            "compression.type": "lz4",
            "enable.idempotence": True,
            "logger": quiet(),
            **overrides,
        }
    )


def queue(
    producer: Producer, message: Message, partition: int, told: Callable[[KafkaError | None, object], None]
) -> None:  # fmt: skip
    """Queue one message; `told` is called with what became of it, by a later call of the producer.

    Raises:
        BufferError: the queue is full.
        KafkaException: the message cannot be sent.
    """
    producer.produce(
        message.topic,
        value=message.value,
        key=message.key,
        headers=list(message.headers),
        partition=partition,
        on_delivery=told,
    )


def group_consumer(config: Mapping[str, str], *, group: str, slot: int, **overrides: Any) -> Consumer:
    """A read_committed consumer that never jumps: a missing position is an error.

    Its slot is a static member of the group (KIP-345): a successor takes the partitions over at once,
    and the other members go on meanwhile.
    """
    return Consumer(
        {
            **config,
            **RECONNECT,
            "client.id": f"{group}-{slot}",
            "group.id": group,
            "group.instance.id": f"{group}-{slot}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 1_500,
            "max.poll.interval.ms": 120_000,
            "partition.assignment.strategy": "range",
            "fetch.wait.max.ms": 20,
            "fetch.error.backoff.ms": 50,
            "fetch.message.max.bytes": 1024 * 1024,
            "fetch.max.bytes": 32 * 1024 * 1024,
            "receive.message.max.bytes": 64 * 1024 * 1024,
            "queued.max.messages.kbytes": 64 * 1024,
            "allow.auto.create.topics": False,
            "logger": quiet(),
            **overrides,
        }
    )


def translate(error: KafkaError | KafkaException, doing: str) -> SafeReportingError:
    """The project's error for one of librdkafka's, in words that say what to do."""
    kafka = error.args[0] if isinstance(error, KafkaException) else error
    if kafka.code() in _REFUSED:
        return RefusedError(f"{doing}: the broker refuses this principal ({kafka.name()}): `topology check`")
    if kafka.code() in _MISSING:
        return UnreachableError(f"{doing}: a topic is missing ({kafka.name()}): `safe-reporting topology apply`")
    if kafka.code() in _FENCED:
        return RefusedError(
            f"{doing}: another process runs as the same slot ({kafka.name()}): set `SR_SLOT` apart. "
            "Where none does, a transaction took longer than ten seconds: look at the broker"
        )
    if kafka.code() == KafkaError._FATAL:
        return UnreachableError(f"{doing}: this client cannot go on, a new process can ({kafka.str()})")
    if kafka.code() == KafkaError._AUTO_OFFSET_RESET:
        return PositionError(f"{doing}: the next record is not there any more ({kafka.name()}); nothing is skipped")
    return UnreachableError(f"{doing}: {kafka.name()}; is the broker up and `SR_KAFKA_BOOTSTRAP` right?")


def is_transient(error: KafkaError) -> bool:
    """True for a consumer error that librdkafka is already mending by itself.

    `_FATAL` is none, though a consumer's `fatal()` says nothing of it: a static member whose coordinator moved just
    when its session ran out is told that another one fenced it, and from then on gets no record and no other error.
    """
    lasting = _REFUSED | _MISSING | {KafkaError._AUTO_OFFSET_RESET, KafkaError._FATAL}
    return not error.fatal() and error.code() not in lasting


def may_pass(error: KafkaError) -> bool:
    """True for what a question about a partition is answered while its leader moves.

    librdkafka says `_UNKNOWN_PARTITION` then as well as for a topic that is not there: ask which of them it is.
    """
    return is_transient(error) or error.code() == KafkaError._UNKNOWN_PARTITION


def inbound(message: Any) -> Inbound:
    """A message of librdkafka as the project's own type."""
    key, value = message.key(), message.value()
    try:
        given = message.headers() or ()
    except (SystemError, UnicodeDecodeError):  # a name that is not UTF-8: no header of this record can be trusted
        given = ()
    headers = tuple((name, None if content is None else SensitiveBytes(content)) for name, content in given)
    return Inbound(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp=message.timestamp()[1],
        key=None if key is None else SensitiveBytes(key),
        value=None if value is None else SensitiveBytes(value),
        headers=headers,
    )


def quiet() -> logging.Logger:
    """A logger for librdkafka: its own lines go nowhere; what matters comes back as errors."""
    logger = logging.getLogger("librdkafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
