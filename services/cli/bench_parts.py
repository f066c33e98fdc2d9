"""What both benchmarks need: any number of records, and entries a second by the broker's clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle, islice

from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import Numberer, Sample


def numbered(samples: list[Sample], count: int, first: int = 0) -> Iterator[Message]:
    """Samples in turn, each as a record of its own."""
    numbered = Numberer(ROOT / "schemas")
    return (numbered(sample, number) for number, sample in enumerate(islice(cycle(samples), count), first))


def throughput(broker: EmbeddedKafka, service: str) -> dict[str, float]:
    """Entries a second between the first and the last batch, by the broker's clock."""
    times, sends = [], 0
    for record in read_all(broker.client_config("admin"), "ledger", name="admin"):
        entry = json.loads(record.value.reveal()) if record.value else {}
        if entry.get("service") == service:
            times.append(record.timestamp)
            sends += sum(d["effect"] == "allow" for d in entry["decisions"])
    later = [moment for moment in times if moment > times[0]]
    span = max(1, times[-1] - times[0]) / 1000
    figures = {f"{service}_records_a_second": len(later) / span}
    if service == "router":
        figures["router_sends_a_second"] = sends / len(times) * len(later) / span
    return figures
