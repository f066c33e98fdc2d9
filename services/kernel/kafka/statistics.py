"""Figures that librdkafka keeps of itself, as metrics: lag of each partition, queues and transaction.

Source: librdkafka's STATISTICS.md. Its own `consumer_lag` is of no use here: offsets that a transaction commits do
not reach it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from services.kernel.telemetry import AtScrape

#: Milliseconds between two reports. A client whose reports are not taken keeps them all: it must be polled.
EVERY_MS = 5_000
#: Seconds after which a report is too old to be told.
FRESH_S = 30.0

#: States of librdkafka's transactional producer, in the words that a label may have.
STATES = {
    "Ready": "ready", "ReadyNotAcked": "ready", "InTransaction": "open", "BeginCommit": "committing",
    "CommittingTransaction": "committing", "CommitNotAcked": "committing", "BeginAbort": "aborting",
    "AbortingTransaction": "aborting", "AbortedNotAcked": "aborting", "AbortableError": "error", "FatalError": "fatal",
}  # fmt: skip
OTHER = "starting"

Offsets = Mapping[tuple[str, int], int]


class Statistics(AtScrape):
    """Takes the reports of a service's consumer and producer. What was not reported of late has no series.

    Attributes:
        positions: what the service handles next in each partition it holds.
    """

    def __init__(self, service: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._told: dict[str, tuple[float, dict[str, Any]]] = {}
        self._transaction: tuple[object, float] = (None, clock())  # its state, and since when
        self.positions: Callable[[], Offsets] = dict

    def consumer(self) -> dict[str, Any]:
        """Settings of a consumer that reports here."""
        return self._settings("consumer")

    def producer(self) -> dict[str, Any]:
        """Settings of a producer that reports here."""
        return self._settings("producer")

    def _settings(self, client: str) -> dict[str, Any]:
        return {"statistics.interval.ms": EVERY_MS, "stats_cb": lambda text: self._take(client, text)}

    def _take(self, client: str, text: str) -> None:
        said = orjson.loads(text)
        if client == "consumer":
            said["lags"] = _lags(said, self.positions())
        else:
            # librdkafka's `txn_stateage` is the machine's uptime. Where messages went out it is another transaction.
            state = said.get("eos", {}).get("txn_state"), said.get("txmsgs")
            if state != self._transaction[0]:
                self._transaction = state, self._clock()
        self._told[client] = self._clock(), said

    def _fresh(self) -> dict[str, dict[str, Any]]:
        now = self._clock()
        return {client: said for client, (at, said) in list(self._told.items()) if now - at < FRESH_S}

    def collect(self) -> Iterator[Any]:
        """Every family of which there is a fresh report."""
        fresh = self._fresh()
        yield from self._clients(fresh)
        if "consumer" in fresh:
            yield from self._consumer(fresh["consumer"])
        if "producer" in fresh:
            yield from self._producer(fresh["producer"])

    def _clients(self, fresh: dict[str, dict[str, Any]]) -> Iterator[Any]:
        trips = GaugeMetricFamily(
            "safe_reporting_broker_round_trip_seconds", "99th percentile of the broker's answers, the slowest node.",
            labels=["service", "client"],
        )  # fmt: skip
        late = CounterMetricFamily(
            "safe_reporting_broker_timeouts", "Requests that a broker did not answer in time.",
            labels=["service", "client"],
        )  # fmt: skip
        for client, said in fresh.items():
            nodes = said.get("brokers", {}).values()
            took = [node["rtt"]["p99"] for node in nodes if node.get("rtt", {}).get("cnt")]
            if took:
                trips.add_metric([self._service, client], max(took) / 1e6)
            late.add_metric([self._service, client], sum(node.get("req_timeouts", 0) for node in nodes))
        yield from (trips, late)

    def _consumer(self, said: dict[str, Any]) -> Iterator[Any]:
        lag = GaugeMetricFamily(
            "safe_reporting_consumer_lag_records", "Offsets of committed records that this worker has yet to handle.",
            labels=["service", "topic", "partition"],
        )  # fmt: skip
        for (topic, partition), records in said["lags"].items():
            lag.add_metric([self._service, topic, str(partition)], records)
        yield lag
        yield self._one(
            CounterMetricFamily, "consumer_rebalances", "Times that the group's partitions were dealt anew.",
            said.get("cgrp", {}).get("rebalance_cnt", 0),
        )  # fmt: skip

    def _producer(self, said: dict[str, Any]) -> Iterator[Any]:
        waiting = "Messages that wait for the broker's answer."
        yield self._one(GaugeMetricFamily, "producer_queue_messages", waiting, said.get("msg_cnt", 0))
        size = "Bytes of the messages that wait for the broker's answer."
        yield self._one(GaugeMetricFamily, "producer_queue_bytes", size, said.get("msg_size", 0))
        eos = said.get("eos", {})
        state = GaugeMetricFamily(
            "safe_reporting_transaction_state_seconds", "Since the producer's transaction is in its state.",
            labels=["service", "state"],
        )  # fmt: skip
        word = STATES.get(eos.get("txn_state", ""), OTHER)
        state.add_metric([self._service, word], self._told["producer"][0] - self._transaction[1])
        yield state

    def _one(self, kind: type[Any], name: str, text: str, value: float) -> Any:
        family = kind(f"safe_reporting_{name}", text, labels=["service"])
        family.add_metric([self._service], value)
        return family


def _lags(said: dict[str, Any], positions: Offsets) -> dict[tuple[str, int], int]:
    """Lag of each partition that is held and whose end the broker has told."""
    lags = {}
    for (topic, number), position in positions.items():
        end = said.get("topics", {}).get(topic, {}).get("partitions", {}).get(str(number), {}).get("ls_offset", -1)
        if end >= 0:
            lags[topic, number] = max(0, end - position)
    return lags
