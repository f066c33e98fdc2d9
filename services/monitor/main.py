"""Start the monitor: settings, the Faust application on its own loop, the watch and the pages beside it."""

from __future__ import annotations

import asyncio
import sys

import structlog
from prometheus_client import REGISTRY

from services.kernel.errors import UnreachableError
from services.kernel.kafka import service
from services.kernel.kafka.topology_file import load_topology
from services.kernel.settings import Settings, load_settings
from services.monitor import web
from services.monitor.app import NAME, Ledger
from services.monitor.metrics import Metrics
from services.monitor.watch import Watch, teller

log = structlog.get_logger()


def start(settings: Settings) -> None:
    """Run until told to stop.

    Raises:
        SafeReportingError: settings or topology are wrong, or the broker cannot be read any more.
    """
    config = settings.kafka_config()
    topology = load_topology(settings.topology_file)
    stop = service.Stop()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # the application takes the loop that is current when it is made
    ledger = Ledger(config, slot=settings.slot, tell=teller(settings.slot))
    watch = Watch(ledger, config, topology, slot=settings.slot)
    REGISTRY.register(Metrics(watch, topology))
    web.serve(settings.metrics_port, watch)
    watch.start()
    try:
        loop.run_until_complete(_run(ledger, stop, slot=settings.slot))
    finally:
        watch.close()
        loop.close()


async def _run(ledger: Ledger, stop: service.Stop, *, slot: int) -> None:
    app = ledger.app
    await app.start()
    log.info("service_started", service=NAME, slot=slot)
    while not stop() and not app.crashed and not app.should_stop:
        await asyncio.sleep(0.2)
    crashed = app.crashed
    await asyncio.wait_for(app.stop(), 15)
    if crashed:
        raise UnreachableError("the monitor cannot read the ledger or write its table any more: is the broker up?")
    log.info("service_stopped", service=NAME, slot=slot)


if __name__ == "__main__":
    sys.exit(service.main(start, settings=load_settings))
