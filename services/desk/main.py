"""Start of the safety desk: `python -m services.desk.main`, or `safe-reporting desk`."""

from __future__ import annotations

import sys
import time

import structlog

from services.desk.closed import ClosedGate, waiting
from services.desk.desk import Desk
from services.desk.metrics import Metrics, delays
from services.desk.register import Pace, Register
from services.desk.said import SERVICE, message
from services.kernel import alert, gate, safety, web
from services.kernel.approvers import load_approvers
from services.kernel.errors import RefusedError, SafeReportingError
from services.kernel.kafka import service
from services.kernel.kafka.lag import Positions
from services.kernel.kafka.reader import send
from services.kernel.kafka.topology import load_topology
from services.kernel.kafka.topology_file import Topology
from services.kernel.kafka.watch import Watch
from services.kernel.progress import STILL_S, Progress
from services.kernel.settings import Settings, load_settings

log = structlog.get_logger()

#: Seconds between two readings, between two questions how many records wait, and for each of those.
_PAUSE_S, _ASK_EVERY_S, _ASK_S = 0.5, 5.0, 3.0


def start(settings: Settings) -> None:
    """Know every hold, and say what nobody looks at, until told to stop.

    1. Read all topics from their beginning to their end. Once that came off, a partition that cannot be read to its
       end (a transaction is open there) keeps back nothing of the others.
    2. While the gate is closed, ask how many records wait behind it.
    3. Say on `ops.alert` what is due. What cannot be said now stays due.

    Raises:
        SafeReportingError: settings are wrong, the broker refuses, or a topic is missing.
    """
    stop, progress = service.Stop(), Progress(SERVICE)
    topology, delay = load_topology(settings.topology_file), delays()
    closed = ClosedGate(load_approvers(settings.approvers_file))
    desk = Desk(Register(_kept(topology)), closed, pace_of(settings), clock=_now, took=delay.observe)
    pages = {**web.standard(progress), "/holds": lambda _: desk.page(known=progress.still < STILL_S)}
    web.serve(settings.metrics_port, pages, progress, Metrics(desk, delay, topology))
    config = settings.kafka_config()
    watch = Watch(config, partitions_of(topology), name=SERVICE, told=desk.told)
    behind = Behind(config, topology)
    progress.loaded = True
    log.info("service_started", service=SERVICE, slot=settings.slot)
    while not stop():
        if watch.fresh():  # 1
            desk.ready = progress.joined = True
            progress.moved()
        if desk.ready:
            closed.waiting = behind() if closed.since is not None else None  # 2
            desk.show()
            _say(desk, config, slot=settings.slot)  # 3
        time.sleep(_PAUSE_S)
    watch.close()
    behind.close()
    log.info("service_stopped", service=SERVICE, slot=settings.slot)


class Behind:
    """How many records wait behind the closed gate; asked for every few seconds, and not known where that fails."""

    def __init__(self, config: dict[str, str], topology: Topology) -> None:
        inputs = [(topic.name, topic.partitions) for topic in topology.topics_of("router")]
        self._positions = Positions(config, {"router": inputs})
        self._asked = float("-inf")
        self._found: int | None = None

    def __call__(self) -> int | None:
        """The last answer.

        Raises:
            RefusedError: this principal may not ask.
        """
        if time.monotonic() - self._asked >= _ASK_EVERY_S:
            try:
                self._found = waiting(self._positions.read(seconds=_ASK_S))
            except RefusedError:
                raise
            except SafeReportingError as error:
                self._found = None
                log.warning("lag_unknown", code=error.code)
            self._asked = time.monotonic()
        return self._found

    def close(self) -> None:
        """Close the connections."""
        self._positions.close()


def waiting_of(config: dict[str, str], settings: Settings) -> int | None:
    """How many records wait behind the closed gate, asked once; None where that is not known."""
    behind = Behind(config, load_topology(settings.topology_file))
    try:
        return behind()
    finally:
        behind.close()


def pace_of(settings: Settings) -> Pace:
    """How long a hold may wait, by the settings."""
    return Pace(int(settings.desk_first_s * 1000), int(settings.desk_second_s * 1000))


def partitions_of(topology: Topology) -> dict[str, int]:
    """What the desk reads, with the number of partitions of each."""
    wanted = {safety.TOPIC, safety.ACKNOWLEDGED, alert.TOPIC, gate.TOPIC}
    return {topic.name: topic.partitions for topic in topology.topics if topic.name in wanted}


def _kept(topology: Topology) -> int:
    """Milliseconds for which the topic of holds keeps them."""
    held = next(topic.settings["retention.ms"] for topic in topology.topics if topic.name == safety.TOPIC)
    return int(held)


def _say(desk: Desk, config: dict[str, str], *, slot: int) -> None:
    now = _now()
    for one in desk.due():
        try:
            send(config, [(message(one, slot=slot, now=now), 0)])
        except RefusedError:
            raise
        except SafeReportingError as error:
            log.warning("alert_unsent", code=error.code)
            return
        desk.said.note(one.name, now)
        log.warning("alert", code=one.event.value, count=one.number)


def _now() -> int:
    return int(time.time() * 1000)


if __name__ == "__main__":
    sys.exit(service.main(start, settings=load_settings))
