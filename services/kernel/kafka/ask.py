"""Ask librdkafka until it answers: each call bounded, and asked again while the answer may still come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from services.kernel.errors import UnreachableError
from services.kernel.kafka.client import StuckError, bounded, translate
from services.kernel.kafka.seams import Limits

#: What `where` asks, for messages.
WHERE = "where the group is"


class Ask:
    """Calls that take a time-out as their last argument, for the worker that `who` names."""

    def __init__(self, who: str, limits: Limits) -> None:
        self.who = who
        self._answer = limits.answer
        self._deadline = limits.commit_deadline

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Ask until the deadline while librdkafka says the answer may still come.

        Raises:
            KafkaException: an answer that asking again does not change.
            StuckError: the call did not come back at all. librdkafka 2.x waits for ever in
                `send_offsets_to_transaction` when the broker is restarted under it, whatever its time-out.
            UnreachableError: the deadline passed.
        """
        deadline = time.monotonic() + self._deadline
        while True:
            try:
                bounded(function, *arguments, self._answer, seconds=self._answer + 1)
            except KafkaException as error:
                kafka = error.args[0]
                if not kafka.retriable() or kafka.txn_requires_abort():
                    raise
                if time.monotonic() > deadline:
                    raise self.unanswered(error, f"`{function.__name__}`") from error
            else:
                return

    def unanswered(self, error: KafkaException | StuckError | None, asked: str = "") -> UnreachableError:
        """No answer to what was `asked`, in time where there is no `error`; a StuckError names the call itself."""
        said = "the call did not come back" if isinstance(error, StuckError) else "_TIMED_OUT"
        if isinstance(error, KafkaException):
            said = error.args[0].name()
        return UnreachableError(
            f"`{self.who}`: no answer from the broker to {asked or f'`{error}`'} ({said}); "
            "is the broker up and `SR_KAFKA_BOOTSTRAP` right, and no transaction left open?"
        )


def where(consumer: Consumer, partitions: list[TopicPartition], *, seconds: float) -> list[TopicPartition] | None:
    """Where the group of `consumer` is; None where that is not told in `seconds`: a transaction may hold it.

    Raises:
        SafeReportingError: the broker refuses to say.
    """
    try:
        return consumer.committed(partitions, timeout=seconds)
    except KafkaException as error:
        if error.args[0].code() == KafkaError._TIMED_OUT:
            return None
        raise translate(error, WHERE) from error
