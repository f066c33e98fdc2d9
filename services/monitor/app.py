"""The Faust edge: records of the ledger topic in, values of one table out, each write known to be held."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog

from services.kernel import telemetry
from services.kernel.errors import Exit
from services.kernel.kafka.committed import acknowledged, new_app
from services.kernel.ledger import TOPIC
from services.kernel.record import Message
from services.monitor.entry import Delivery
from services.monitor.state import Found, Mark, Step, advance, read_mark

log = structlog.get_logger()

NAME = "monitor"
ALERTS = "ops.alert"
_BATCH = 2000
_WAIT_S, _LOOK_S = 1.0, 0.05
#: Seconds until the broker must hold what was sent; then the process ends, and its successor reads again.
_HELD_S = 30.0


class Ledger:
    """Keeps the table up to date with the ledger topic.

    Args:
        config: librdkafka's connection settings.
        slot: number of this instance; one reads at a time, the others wait.
        tell: makes the alerts of what a step found.
    """

    def __init__(self, config: Mapping[str, str], *, slot: int, tell: Callable[[list[Found]], list[Message]]) -> None:
        self.app: Any = new_app(NAME, config, slot=slot, positions=self._positions)
        self._tell = tell
        self._table: Any = self.app.Table("figures", key_type=bytes, value_type=bytes, partitions=1)
        self._alerts: Any = self.app.topic(ALERTS, key_serializer="raw", value_serializer="raw", value_type=bytes)
        # no acknowledgements: the position is in the table, and what Faust commits for its group is asked by nobody
        topic = self.app.topic(
            TOPIC, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes, acks=False
        )
        self.app.agent(topic, name="ledger")(self._read)
        self.app.timer(1.0)(self._look)
        self._seen: tuple[int | None, int | None, int] | None = None
        self.moved = time.monotonic()
        self.reached = 0
        self.began = False  # set once the application runs: before, its parts must not be asked from another thread

    @property
    def holds(self) -> bool:
        """Whether this instance was given the ledger's partition; another may have it."""
        return self.began and any(place.topic == TOPIC for place in self.app.consumer.assignment())

    @property
    def ready(self) -> bool:
        """Whether the table was read to its end and this instance holds the ledger's partition."""
        app = self.app
        return self.holds and not (app.rebalancing or app.in_recovery) and app.tables.recovery.completed.is_set()

    @property
    def mark(self) -> Mark:
        """How far the table is."""
        return read_mark(self.read)

    def read(self, key: bytes) -> bytes | None:
        """One value of the table, None where it has none."""
        value: bytes | None = self._table.data.get(key)
        return value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values as they stand now; safe to call from another thread."""
        yield from list(self._table.data.data.items())

    async def _look(self) -> None:
        """Once a second: where the reader stands, past marks and aborted records that are never delivered.

        `reached` is the offset before which everything was taken in. The reader's own position counts only where
        nothing is on its way from it to the table: position, last delivery and mark the same for two looks.
        """
        if not self.ready:
            self._seen = None
            return
        place = next(place for place in self.app.consumer.assignment() if place.topic == TOPIC)
        applied = self.mark.applied
        seen = (await self.app.consumer.position(place), self.app.consumer._read_offset[place], applied)
        position, delivered, _ = seen
        idle = seen == self._seen and (delivered or 0) <= applied + 1
        self.reached = max(applied + 1, position or 0) if idle else applied + 1
        self._seen = seen

    def _positions(self) -> Mapping[tuple[str, int], int]:
        return {(TOPIC, 0): self.mark.applied + 1}

    async def _read(self, stream: Any) -> None:
        """Every batch of the stream, each on a whole table: while others join the group, Faust reads it anew.

        A fault ends the process: Faust would go on with the next batch.
        """
        try:
            async for events in stream.take_events(_BATCH, within=_WAIT_S):
                while not self.ready:
                    await asyncio.sleep(_LOOK_S)
                # those of an earlier assignment come again, from the table's position: it may lie before them
                events = [e for e in events if e.message.generation_id == self.app.consumer_generation_id]
                if events:
                    await self._take([_delivery(event) for event in events])
        except Exception as error:  # noqa: BLE001 - whatever it is, the state in the table is whole
            log.error("monitor_failed", code=type(error).__name__, where=telemetry.where(error))  # noqa: TRY400
            os._exit(Exit.UNREACHABLE)

    async def _take(self, deliveries: list[Delivery]) -> None:
        """Take a batch in, so that a crash anywhere leaves the table readable.

        1. Make the step.
        2. Send its values and alerts, and wait until the broker holds them.
        3. Send the mark, and wait.
        4. Change the table in memory.
        """
        step = advance(self.read, deliveries, keys=(key for key, _ in self.items()))  # 1
        *values, mark = step.writes
        sent = [self._send(*write) for write in values]  # 2
        sent += [self._alerts.send_soon(key=None, value=m.value, partition=0) for m in self._tell(step.found)]
        await acknowledged(sent, seconds=_HELD_S)
        await acknowledged([self._send(*mark)], seconds=_HELD_S)  # 3
        self._keep(step)  # 4

    def _send(self, key: bytes, value: bytes | None) -> Any:
        return self._table.send_changelog(0, key, value, "raw", "raw")

    def _keep(self, step: Step) -> None:
        for key, value in step.writes:
            if value is None:
                self._table.data.data.pop(key, None)
            else:
                self._table.data.data[key] = value
        self.moved = time.monotonic()


def _delivery(event: Any) -> Delivery:
    message = event.message
    return Delivery(message.offset, round(message.timestamp * 1000), message.value)
