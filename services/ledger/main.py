"""Start of the ledger service: `python -m services.ledger.main`, or `safe-reporting ledger`."""

from __future__ import annotations

import sys

from prometheus_client import REGISTRY

from services.kernel import consult, keys, telemetry, web
from services.kernel.approvers import load_approvers
from services.kernel.kafka import service
from services.kernel.kafka.reader import Sender, read_one
from services.kernel.kafka.source import Source
from services.kernel.kafka.statistics import Statistics
from services.kernel.ledger import TOPIC
from services.kernel.progress import Progress
from services.kernel.settings import Settings, load_settings
from services.ledger.entries import Reader
from services.ledger.metrics import Metrics
from services.ledger.publish import Publisher
from services.ledger.store import Store
from services.ledger.unlock import Unlocker
from services.ledger.used import Used
from services.ledger.writer import Limits, Writer, rare_collection

__all__ = ["start"]


def start(settings: Settings) -> None:
    """Append the `ledger` topic to the log until told to stop; a second service on the same log is refused."""
    database = settings.ledger_url()
    stop = service.Stop()
    progress, statistics = Progress("ledger"), Statistics("ledger")
    web.serve(settings.metrics_port, web.standard(progress), progress, statistics, *telemetry.of_ledger())
    rare_collection()
    config = settings.kafka_config()
    found = keys.load(settings.keys_dir, ["ledger", "lock"])
    approvers = load_approvers(settings.approvers_file)

    def fetch(place: consult.Source) -> bytes | None:
        record = read_one(config, place, name="ledger")
        return record.value.reveal() if record is not None and record.value is not None else None

    def moved() -> None:
        progress.joined = True  # the topic was read from the log's own position
        progress.moved()

    with Store(database) as store, Sender(config) as sender:
        state = store.state()
        source = Source(config, TOPIC, name="ledger", start=state.next_offset, **statistics.consumer())
        statistics.positions = lambda: {(TOPIC, 0): source.position}
        publisher = Publisher(store, sender, settings.ledger_checkpoint_file)
        identity = found["lock"].material.decode()
        unlocker = Unlocker(fetch, sender, identity=identity, approvers=approvers, used=Used(store))
        writer = Writer(
            store, source, publisher, reader=Reader(settings.schemas_dir), key=keys.private_key(found["ledger"]),
            origin=settings.ledger_origin, state=state, limits=Limits(), appended=unlocker.appended,
            moved=moved,
        )  # fmt: skip
        REGISTRY.register(Metrics(writer, store.file))
        progress.loaded = True
        writer.run(stop)
        source.close()


if __name__ == "__main__":
    sys.exit(service.main(start, settings=load_settings))
