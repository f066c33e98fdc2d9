"""Start the monitor: settings, the Faust application on its own loop, the watch and the pages beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import structlog

from services.kernel import telemetry
from services.kernel.errors import Exit, UnreachableError
from services.kernel.kafka import service
from services.kernel.kafka import topology as kafka
from services.kernel.settings import Settings, load_settings
from services.kernel.web import serve
from services.monitor import web
from services.monitor.app import NAME, Ledger
from services.monitor.differences import COMPARE_S, Differences
from services.monitor.metrics import Metrics
from services.monitor.reconciled import Reconciled
from services.monitor.tallies import Board, Tallies, accepted
from services.monitor.watch import Watch, teller

log = structlog.get_logger()

#: Seconds to join the group and read the table, to leave, and to come on where there is more or others join.
_START_S, _STOP_S, _STUCK_S = 180.0, 10.0, 600.0


def start(settings: Settings) -> None:
    """Run until told to stop.

    Raises:
        SafeReportingError: settings or topology are wrong, or the broker cannot be read any more.
    """
    config = settings.kafka_config()
    topology = kafka.load_topology(settings.topology_file)
    kafka.wanted(topology, settings.topology_profile)  # refuse to start for a profile that is not there
    threading.excepthook = _thread_failed
    stop = service.Stop()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # the application takes the loop that is current when it is made
    ledger = Ledger(config, slot=settings.slot, tell=teller(settings.slot))
    differences = Differences(
        partial(kafka.check, config, topology, profile=settings.topology_profile, seconds=COMPARE_S),
        every=settings.topology_every_s,
    )
    reconciled = Reconciled(config)
    since = accepted(settings.drift_accepted, topology.producers)
    tallies = Tallies(config, Board(topology.producers, since))
    parts: dict[str, Differences | Reconciled | Tallies] = {
        "topology": differences,
        "reconciled": reconciled,
        "drift": tallies,
    }
    watch = Watch(ledger, config, topology, slot=settings.slot, parts=parts)
    serve(settings.metrics_port, web.pages(watch), Metrics(watch, topology), *parts.values())
    watch.start()
    for part in parts.values():
        part.start()
    try:
        loop.run_until_complete(_run(ledger, stop, slot=settings.slot, healthy=watch.healthy))
    finally:
        watch.close()
        for part in parts.values():
            part.close()
        loop.close()


async def _run(ledger: Ledger, stop: service.Stop, *, slot: int, healthy: Callable[[], bool]) -> None:
    """Start, watch over and stop the application; each within its deadline.

    Faust gives a start up after 30 s without an answer, and its reader may end; both in silence. So an application that
    does not come on ends, and another instance takes over.

    A stop that takes too long is no fault: what the table holds is whole at any moment.

    Raises:
        UnreachableError: it did not start in time, or it failed.
    """
    app = ledger.app
    starting = asyncio.create_task(app.start())
    deadline = asyncio.get_running_loop().time() + _START_S
    while not stop() and not app.crashed and not starting.done():
        if asyncio.get_running_loop().time() > deadline:
            raise UnreachableError(f"the monitor did not start within {_START_S:.0f} s: is the broker up?")
        await asyncio.sleep(0.1)
    if starting.done():
        starting.result()
        ledger.began = True
        log.info("service_started", service=NAME, slot=slot)
    well = time.monotonic()
    while not stop() and not app.crashed and not app.should_stop:
        await asyncio.sleep(0.1)
        joining = not ledger.holds and (app.rebalancing or app.in_recovery)
        if healthy() and not joining:
            well = time.monotonic()
        elif time.monotonic() - well > _STUCK_S:
            raise UnreachableError(f"the monitor has not come on for {_STUCK_S:.0f} s: is the broker up?")
    crashed = app.crashed
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(app.stop(), _STOP_S)
    if crashed:
        raise UnreachableError("the monitor cannot read the ledger or write its table any more: is the broker up?")
    log.info("service_stopped", service=NAME, slot=slot)


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """A thread of the library that ends while it is stopped raises; the place is told, never a value."""
    place = telemetry.where(failed.exc_value) if failed.exc_value else "unknown"
    log.warning("thread_failed", code=failed.exc_type.__name__, where=place)


def run() -> None:
    """The process: where it failed, threads of its application wait for ever, and would keep its place in the group."""
    code = service.main(start, settings=load_settings)
    if code != Exit.DONE:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    run()
