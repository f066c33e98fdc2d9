"""Run a step as a service: settings to exit code, the same for redactor and router."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType

import structlog

from services.kernel import telemetry, web
from services.kernel.errors import ConfigError, Exit, RefusedError, SafeReportingError
from services.kernel.kafka.client import group_consumer, transactional_producer
from services.kernel.kafka.explain import certificate_ends, explain
from services.kernel.kafka.loop import Lease, Limits, Loop
from services.kernel.kafka.statistics import Statistics
from services.kernel.kafka.topology_file import Topology, places
from services.kernel.kafka.undecided import Undecided
from services.kernel.kafka.worker import Worker
from services.kernel.progress import Progress
from services.kernel.settings import Settings

log = structlog.get_logger()


class Stop:
    """Set by SIGTERM or SIGINT; the batch under way is finished first."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, _: int, __: FrameType | None) -> None:
        self._asked = True

    def __call__(self) -> bool:
        return self._asked


def run(
    service: str,
    *,
    factory: str,
    settings: Settings,
    topology: Topology,
    lease: Callable[[dict[str, str]], Lease] | None = None,
) -> None:
    """Run one worker until it is told to stop.

    Args:
        topology: what it reads, what it may write, and the largest message of each topic.
        lease: makes what is asked before each batch, from librdkafka's connection settings.

    1. Build the step in its child process: every fault of files, keys and policies ends the start here.
    2. End what a predecessor of this slot left open, and join the group.
    3. Cycle; on stop leave the group, so that the others take over at once.

    Raises:
        SafeReportingError: why the start was refused, or why it cannot go on.
    """
    stop = Stop()
    progress, statistics = Progress(service), Statistics(service)
    web.serve(settings.metrics_port, web.standard(progress), progress, statistics, *telemetry.of_worker(service))
    worker = Worker(
        factory,
        settings,
        service=service,
        record_deadline=settings.record_deadline_s,
        batch_deadline=settings.batch_deadline_s,
        memory_mib=settings.child_memory_mib,
    )
    worker.start()  # 1
    progress.loaded = True
    try:
        config, inputs = settings.kafka_config(), topology.topics_of(service)
        consumer = group_consumer(config, group=service, slot=settings.slot, **statistics.consumer())
        loop = Loop(
            service=service,
            slot=settings.slot,
            consumer=consumer,
            make_producer=lambda: transactional_producer(
                config, service=service, slot=settings.slot, **statistics.producer()
            ),
            leftovers=Undecided(
                config,
                group=service,
                slot=settings.slot,
                inputs=places(inputs),
                outputs=places(topology.written_by(service)),
            ),
            processor=worker,
            lease=lease(config) if lease else None,
            progress=progress,
            limits=Limits(
                batch_records=settings.batch_records,
                batch_wait=settings.batch_wait_ms / 1000,
                batch_bytes=settings.batch_bytes,
                commit_deadline=30.0,
                answer=4.0,
                flood=settings.flood_limit,
                message_bytes=topology.message_bytes,
            ),
        )
        statistics.positions = loop.positions
        loop.start([topic.name for topic in inputs])  # 2
        log.info("service_started", service=service, slot=settings.slot)
        loop.run(stop)  # 3
        loop.close()
        log.info("service_stopped", service=service, slot=settings.slot)
    finally:
        worker.stop()


def _kept_out(settings: Settings) -> str | None:
    """What keeps the service from the broker. Settings that do not do are told by its own start, with all else."""
    try:
        config = settings.kafka_config()
    except ConfigError:
        return None
    return explain(config)


def _show_certificate(settings: Settings) -> None:
    """Export when the client's certificate ends: that of the start, for a renewed one is of use after the next."""
    path = settings.kafka_certificate_file
    ends = certificate_ends(path) if path is not None else None
    if ends is not None:
        telemetry.CERTIFICATE_ENDS.labels(settings.kafka_username).set(ends.timestamp())


def main(start: Callable[[Settings], None], *, settings: Callable[[], Settings]) -> int:
    """Entry point of `python -m services.<service>.main`: logs configured, errors said, exit code returned."""
    telemetry.configure_logging()
    try:
        found = settings()
        if cause := _kept_out(found):
            raise RefusedError(cause)
        _show_certificate(found)
        start(found)
    except SafeReportingError as error:
        log.error("service_refused", code=error.code)  # noqa: TRY400 - a traceback could show a record
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
        return error.exit
    return Exit.DONE


#: Seconds for all workers of one command to end: a batch, and an unanswered commit.
_GRACE = 30.0


def run_workers(module: str, *, count: int) -> int:
    """Run `count` workers, slots 0 to count-1, each its own process; one that fails ends them all.

    Worker `n` has its pages on `SR_METRICS_PORT` plus `n`.
    """
    stop = Stop()
    processes = [
        subprocess.Popen([sys.executable, "-m", module], env={**os.environ, **_of_slot(slot)})  # noqa: S603
        for slot in range(count)
    ]
    try:
        while not stop() and all(process.poll() is None for process in processes):
            time.sleep(0.2)
    finally:
        before = [process.poll() for process in processes]
        codes = _end(processes)
    return _code(before, codes)


def _code(before: list[int | None], codes: list[int]) -> int:
    """Exit code of the command: the workers' own before that of a signal, as shells write it (128 and its number).

    Args:
        before: codes of the workers that had ended before they were told to, None for the others.
        codes: how each ended. One that was told to and did is no failure.
    """
    told = {(None, -signal.SIGTERM)}
    killed = [128 - code for was, code in zip(before, codes, strict=True) if code < 0 and (was, code) not in told]
    return max([code for code in codes if code > 0] or killed or [0])


def _end(processes: list[subprocess.Popen[bytes]]) -> list[int]:
    """Stop all; one that has not ended in its time is killed, which loses nothing."""
    for process in processes:
        process.terminate()
    ends = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    return [process.wait() for process in processes]


def _of_slot(slot: int) -> dict[str, str]:
    """What is a worker's own among the settings; a port that is no number is for the worker to refuse."""
    port = os.environ.get("SR_METRICS_PORT", "0")
    own = str(int(port) + slot) if port.isdecimal() and int(port) else port
    return {"SR_SLOT": str(slot), "SR_METRICS_PORT": own}
