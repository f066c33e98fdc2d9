"""Send what may get lost: nobody waits for it, and what the broker does not take is told and forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from services.kernel.kafka.client import RECONNECT, queue, quiet
from services.kernel.record import Message

#: Seconds for what is under way when it is closed.
_LAST_S = 5.0


class Post:
    """Sends messages and waits for none of them: a partition that takes no writes keeps back nothing else.

    A message may come twice. Nothing here raises after the start.

    Args:
        deadline: seconds after which a message that the broker has not taken is given up.
    """

    def __init__(self, config: Mapping[str, str], *, deadline: float = 15.0) -> None:
        # not idempotent: one message that is given up can then not end this producer for all others
        settings: dict[str, Any] = {
            "acks": "all",
            "linger.ms": 1,
            "message.max.bytes": 17 * 1024 * 1024,
            "message.timeout.ms": int(deadline * 1000),
            "logger": quiet(),
        }
        self._producer = Producer({**config, **RECONNECT, **settings})

    def send(self, message: Message, partition: int, lost: Callable[[str], None]) -> None:
        """Queue one message. Where it is not taken, this or a later call calls `lost` with the name of the error."""

        def told(error: KafkaError | None, _: object) -> None:
            if error is not None:
                lost(error.name())

        try:
            queue(self._producer, message, partition, told)
        except BufferError:
            lost("_QUEUE_FULL")
        except KafkaException as error:
            lost(error.args[0].name())
        self.look()

    def look(self) -> None:
        """Take the reports that are there."""
        self._producer.poll(0)

    def close(self) -> None:
        """Wait a moment for what is under way, give up the rest, and close the connections."""
        if self._producer.flush(_LAST_S):
            self._producer.purge()
        self._producer.close()
