"""Prometheus metrics of drift; what is not known has no series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from services.monitor.drift import State
from services.monitor.tallies import Drift


class View(Protocol):
    """What metrics are made of, as it stands now."""

    def drifts(self) -> list[Drift] | None: ...
    def unreadable(self) -> int: ...


class DriftMetrics(Collector):
    """Collects from a view. Agencies and feeds are those of the topology."""

    def __init__(self, view: View) -> None:
        self._view = view

    def describe(self) -> list[Any]:
        """Nothing is asked at registration."""
        return []

    def collect(self) -> Iterator[Any]:
        """Every family."""
        text = "Records of `ops.tally` that are no tally of a producer of the topology."
        yield CounterMetricFamily("safe_reporting_tallies_unreadable", text, self._view.unreadable())
        names = ["agency", "feed"]
        learning = GaugeMetricFamily(
            "safe_reporting_drift_learning", "1 where a producer has too little past to compare with.", labels=names
        )
        text = "Share of a producer's records with a mask: in the past, and on the latest day."
        rates = GaugeMetricFamily("safe_reporting_masked_ratio", text, labels=[*names, "when"])
        text = "How far a rate has left its past, as a share of the limit; 1 and more is an alarm."
        scores = GaugeMetricFamily("safe_reporting_drift_score", text, labels=[*names, "kind"])
        for agency, feed, masked, unknown in self._view.drifts() or []:
            learning.add_metric([agency, feed], float(masked.state is State.LEARNING))
            for when, rate in (("past", masked.past), ("latest", masked.latest)):
                if rate is not None:
                    rates.add_metric([agency, feed, when], rate)
            if masked.state is not State.LEARNING:
                scores.add_metric([agency, feed, "masks_fallen"], masked.fall)
                scores.add_metric([agency, feed, "masks_risen"], masked.rise)
            if unknown.state is not State.LEARNING:
                scores.add_metric([agency, feed, "unknown_fields"], unknown.rise)
        yield from (learning, rates, scores)
