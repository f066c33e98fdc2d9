"""What the desk shows to Prometheus. Before all was read once there is no series: what is not known is not nought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from services.desk.desk import Desk
from services.desk.register import LEVELS
from services.kernel.kafka.topology_file import Topology
from services.kernel.telemetry import AtScrape

#: What is in none of the closed lists, and what has no agency or feed.
OTHER, NONE = "other", "none"


def delays() -> Histogram:
    """From the broker's time of a hold to the desk's knowledge of it, for what came after the first reading."""
    return Histogram(
        "safe_reporting_safety_delay_seconds", "From the broker's time of a hold to the desk's knowledge of it.",
        buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300), registry=None,
    )  # fmt: skip


class Metrics(AtScrape):
    """Collects from a desk; labels have values of the topology only."""

    def __init__(self, desk: Desk, delay: Histogram, topology: Topology) -> None:
        self._desk = desk
        self._delay = delay
        self._places = {*topology.producers, (NONE, NONE), (OTHER, OTHER)}

    def collect(self) -> Iterator[Any]:
        """Every family."""
        if not self._desk.ready:
            return
        yield self._open()
        yield _gauge("oldest_seconds", "Since the oldest open hold was raised.", self._desk.oldest())
        yield _gauge("unreadable", "Messages that are neither holds nor acknowledgements.", self._desk.unreadable())
        for name, text in (("holds", "Holds"), ("acknowledgements", "Acknowledgements")):
            family = CounterMetricFamily(f"safe_reporting_safety_{name}", f"{text} since all was read once.")
            family.add_metric([], self._desk.counts[name])
            yield family
        closed = self._desk.gate()
        yield _gauge("gate_seconds", "For which the gate is closed; 0 while it is open.", closed[0] if closed else 0)
        yield _gauge("gate_level", "To which the closed gate escalated.", closed[1] if closed else 0)
        if closed and closed[2] is not None:
            yield _gauge("gate_records", "That wait behind the closed gate; no series where not known.", closed[2])
        yield from self._delay.collect()

    def _open(self) -> GaugeMetricFamily:
        counts: Counter[tuple[str, str, int]] = Counter()
        for (agency, feed, level), number in self._desk.levels().items():
            place = agency or NONE, feed or NONE
            counts[(*(place if place in self._places else (OTHER, OTHER)), level)] += number
        family = GaugeMetricFamily(
            "safe_reporting_safety_open", "Holds that nobody acknowledged.", labels=["agency", "feed", "level"]
        )
        for agency, feed in sorted(self._places):
            for level in LEVELS:
                family.add_metric([agency, feed, str(level)], counts[agency, feed, level])
        return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"safe_reporting_safety_{name}", text, value)
