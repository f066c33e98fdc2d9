"""Faust's driver for Kafka, made to read only what is committed, and to begin where a table says.

Faust reads uncommitted unless it writes transactions itself, and begins at the offset that its group committed.
Entries of an open or aborted transaction are no entries; and the position that counts is the one in the table.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiokafka
import faust
from aiokafka.consumer.fetcher import READ_COMMITTED
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from services.kernel.folder import OwnFolder
from services.kernel.kafka.eager import EagerService

#: Says at which offset to begin each partition of the input, once the tables are read.
Positions = Callable[[], Mapping[tuple[str, int], int]]


#: The broker answers once it has so many bytes, or after so many milliseconds. Each answer costs Faust some turns of
#: its loop, and with one byte as the least nearly each record has its own.
_FETCH_BYTES, _FETCH_MS = 256 * 1024, 500


class CommittedThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread with `isolation.level=read_committed`, which takes records some hundred at a time."""

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_min_bytes, consumer._fetch_max_wait_ms = _FETCH_BYTES, _FETCH_MS
        return consumer

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """Records of these partitions. Faust changes the set while this waits, and of an empty one it means all."""
        return await super().getmany(active_partitions and set(active_partitions), timeout)

    async def on_start(self) -> None:
        """Start, or refuse where the library took another way to its settings."""
        await super().on_start()
        fetcher = self._ensure_consumer()._fetcher
        if fetcher._isolation_level != READ_COMMITTED:
            raise RuntimeError("the consumer does not read committed")
        if (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms) != (_FETCH_BYTES, _FETCH_MS):
            raise RuntimeError("the consumer fetches records one by one")


class CommittedConsumer(EagerService, driver.Consumer):
    """Reads the input from the positions of `app.positions`, and not before Faust is done with its start.

    Faust lets the input be read, then seeks what was committed, then empties its queues and lets records flow. What is
    read before the last of these steps is lost: it was read from another position, or goes with the queues, while the
    consumer takes it for read. So the input rests until records flow, and is sought in that moment.
    """

    app: CommittedApp
    #: Whether Faust has sought since the input was paused: what comes next is its last step.
    _sought = False

    def _new_consumer_thread(self) -> CommittedThread:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """As Faust's."""
        await super().perform_seek()
        self._sought = True

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """As Faust's; where the input is among them, it has to seek again."""
        super().pause_partitions(tps)
        if self._input().intersection(tps):
            self._sought = False

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Let them be read, all but the input."""
        super().resume_partitions(set(tps) - self._input())

    def resume_flow(self) -> None:
        """Let records flow; the input's too, from the positions that count, where this is the last step of a start."""
        super().resume_flow()
        if not self._sought or self.app.in_recovery:
            return
        for place in self._input():
            offset = self.app.positions()[place.topic, place.partition]
            self._thread.thread_loop.call_soon_threadsafe(self._thread.seek, place, offset)
            self._read_offset[place] = offset
        super().resume_partitions(self._input())

    def on_buffer_full(self, tp: TP) -> None:
        """As Faust's, but for the input, which waits for room in its queue: Faust would read nothing for a second."""
        if tuple(tp) not in self.app.positions():
            super().on_buffer_full(tp)

    def _input(self) -> set[TP]:
        return {place for place in self.assignment() if tuple(place) in self.app.positions()}


class CommittedTransport(driver.Transport):
    """Transport with the consumer above."""

    Consumer = CommittedConsumer


class CommittedApp(faust.App):
    """A Faust application on that transport. Set `positions` before it starts."""

    positions: Positions = staticmethod(lambda: {})
    #: Removed with the application.
    folder: OwnFolder | None = None

    def _new_transport(self) -> CommittedTransport:
        return CommittedTransport(self.conf.broker_consumer, self, loop=self.loop)


def new_app(name: str, config: Mapping[str, str], *, slot: int, positions: Positions) -> CommittedApp:
    """A Faust application named `name`, whose group has the same name.

    It makes no topic: its changelogs stand in the topology file. Its state is in memory, read anew at each start.

    Args:
        config: librdkafka's connection settings.
        slot: number of this instance, a static member of the group.
    """
    context = _tls(config)
    folder = OwnFolder(name)
    app = CommittedApp(
        name,
        datadir=str(folder.path),  # Faust makes one where it stands, which may be read-only; nothing is written to it
        broker=[f"kafka://{server}" for server in config["bootstrap.servers"].split(",")],
        broker_credentials=_credentials(config, context),
        ssl_context=context,
        broker_client_id=f"{name}-{slot}",
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
        broker_request_timeout=30.0,
        broker_max_poll_interval=2_000_000.0,  # an instance that waits for its turn does not poll
        consumer_group_instance_id=f"{name}-{slot}",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        producer_acks=-1,
        producer_max_request_size=2 * 1024 * 1024,
        stream_wait_empty=False,
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        origin=None,
    )
    app.positions = positions
    app.folder = folder
    return app


def _tls(config: Mapping[str, str]) -> ssl.SSLContext | None:
    """The settings of TLS, with the client's own certificate where it has one."""
    if not config.get("security.protocol", "").endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=config.get("ssl.ca.location"))
    if certificate := config.get("ssl.certificate.location"):
        context.load_cert_chain(certificate, config.get("ssl.key.location"))
    return context


def _credentials(config: Mapping[str, str], context: ssl.SSLContext | None) -> faust.SASLCredentials | None:
    if not config.get("security.protocol", "").startswith("SASL_"):
        return None
    return faust.SASLCredentials(
        username=config["sasl.username"],
        password=config["sasl.password"],
        mechanism=config["sasl.mechanism"],
        ssl_context=context,
    )


async def acknowledged(futures: list[asyncio.Future[object]], *, seconds: float) -> None:
    """Return when the broker holds what was sent.

    Raises:
        TimeoutError: not all of it after `seconds`. Whatever a sending raised is raised here.
    """
    await asyncio.wait_for(asyncio.gather(*futures), seconds)
