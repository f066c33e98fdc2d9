"""Figures that librdkafka keeps of itself, as metrics: lag of each partition, queue and transaction of the producer.

Source: librdkafka's STATISTICS.md.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson
from prometheus_client import Gauge

#: Milliseconds between two reports.
EVERY_MS = 5_000

LAG = Gauge(
    "safe_reporting_consumer_lag_records",
    "Records behind the last stable offset, as this worker sees it; marks of transactions count.",
    ["service", "topic", "partition"],
)
QUEUE = Gauge("safe_reporting_producer_queue_messages", "Messages that wait for the broker's answer.", ["service"])
ROUND_TRIP = Gauge(
    "safe_reporting_broker_round_trip_seconds",
    "99th percentile of the broker's answers, the slowest node.",
    ["service"],
)
TRANSACTION = Gauge(
    "safe_reporting_transaction_state_seconds", "Seconds since the transaction's state changed.", ["service", "state"]
)
#: States of librdkafka's transactional producer, in the words that a label may have.
_STATES = {
    "Ready": "ready", "InTransaction": "open", "BeginCommit": "committing", "CommittingTransaction": "committing",
    "CommitNotAcked": "committing", "AbortingTransaction": "aborting", "AbortedNotAcked": "aborting",
    "AbortableError": "error", "FatalError": "fatal",
}  # fmt: skip


def of_consumer(service: str) -> Callable[[str], None]:
    """`stats_cb` of a consumer."""
    shown: set[tuple[str, str]] = set()

    def told(text: str) -> None:
        said = orjson.loads(text)
        held = {
            (topic, number): part["consumer_lag"]
            for topic, one in said.get("topics", {}).items()
            for number, part in one.get("partitions", {}).items()
            if part.get("consumer_lag", -1) >= 0 and part.get("fetch_state") == "active"
        }
        for place in shown - held.keys():  # another worker has it now
            LAG.remove(service, *place)
        for place, lag in held.items():
            LAG.labels(service, *place).set(lag)
        shown.clear()
        shown.update(held)

    return told


def of_producer(service: str) -> Callable[[str], None]:
    """`stats_cb` of a transactional producer."""
    shown: set[str] = set()

    def told(text: str) -> None:
        said = orjson.loads(text)
        QUEUE.labels(service).set(said.get("msg_cnt", 0))
        trips = [node["rtt"]["p99"] for node in said.get("brokers", {}).values() if node.get("rtt", {}).get("cnt")]
        if trips:
            ROUND_TRIP.labels(service).set(max(trips) / 1_000_000)
        held = said.get("eos", {})
        state = _STATES.get(held.get("txn_state", ""), "starting")
        for old in shown - {state}:
            TRANSACTION.remove(service, old)
        TRANSACTION.labels(service, state).set(held.get("txn_stateage", 0) / 1000)
        shown.clear()
        shown.add(state)

    return told
