"""What is made of librdkafka's reports."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from services.kernel.kafka.statistics import FRESH_S, Statistics

TOPIC = "redacted"


def report(**said: Any) -> str:
    node = {"rtt": {"cnt": 3, "p99": 4200}, "req_timeouts": 2}
    return json.dumps({"brokers": {"one": node, "two": {"rtt": {"cnt": 0, "p99": 0}}}, **said})


def consumer(end: int) -> str:
    # `consumer_lag` as librdkafka says it for a group whose offsets transactions commit
    part = {"ls_offset": end, "consumer_lag": 63, "committed_offset": 0}
    return report(topics={TOPIC: {"partitions": {"0": part, "-1": {"ls_offset": -1001}}}}, cgrp={"rebalance_cnt": 4})


class Told:
    def __init__(self) -> None:
        self.now = 0.0
        self.statistics = Statistics("router", clock=lambda: self.now)
        self.registry = CollectorRegistry()
        self.registry.register(self.statistics)

    def lines(self) -> set[str]:
        return {line for line in generate_latest(self.registry).decode().splitlines() if not line.startswith("#")}


def test_lag_is_counted_from_what_the_service_handles_next() -> None:
    told = Told()
    told.statistics.positions = lambda: {(TOPIC, 0): 63, (TOPIC, 1): 5}
    told.statistics.consumer()["stats_cb"](consumer(70))
    lines = told.lines()
    assert 'safe_reporting_consumer_lag_records{partition="0",service="router",topic="redacted"} 7.0' in lines
    assert not [line for line in lines if 'partition="1"' in line]  # the broker has not told where it ends
    assert 'safe_reporting_broker_round_trip_seconds{client="consumer",service="router"} 0.0042' in lines
    assert 'safe_reporting_broker_timeouts_total{client="consumer",service="router"} 2.0' in lines
    assert 'safe_reporting_consumer_rebalances_total{service="router"} 4.0' in lines


def test_the_transaction_is_told_in_words_of_a_closed_list() -> None:
    told = Told()
    take = told.statistics.producer()["stats_cb"]
    take(report(msg_cnt=3, msg_size=900, eos={"txn_state": "BeginCommit", "txn_stateage": 1500}))
    lines = told.lines()
    assert 'safe_reporting_transaction_state_seconds{service="router",state="committing"} 0.0' in lines
    assert 'safe_reporting_producer_queue_messages{service="router"} 3.0' in lines
    assert 'safe_reporting_producer_queue_bytes{service="router"} 900.0' in lines
    take(report(eos={"txn_state": "SomethingNew", "txn_stateage": 1}))
    states = [line for line in told.lines() if "transaction_state" in line]
    assert states == ['safe_reporting_transaction_state_seconds{service="router",state="starting"} 0.0']


def test_a_transaction_is_as_old_as_its_state_without_a_message_whatever_the_library_says() -> None:
    told = Told()
    take = told.statistics.producer()["stats_cb"]
    ages = []
    for now, state, sent in [(0, "InTransaction", 5), (5, "InTransaction", 9), (10, "InTransaction", 9),
                             (15, "BeginCommit", 9), (40, "BeginCommit", 9), (45, "Ready", 9)]:  # fmt: skip
        told.now = float(now)
        take(report(txmsgs=sent, eos={"txn_state": state, "txn_stateage": 10_001_275}))
        (line,) = [line for line in told.lines() if "transaction_state" in line]
        ages.append(float(line.split()[-1]))
    assert ages == [0, 0, 5, 0, 25, 0]


def test_an_old_report_is_told_no_more() -> None:
    told = Told()
    assert told.lines() == set()
    told.statistics.positions = lambda: {(TOPIC, 0): 0}
    told.statistics.consumer()["stats_cb"](consumer(70))
    told.now = FRESH_S + 1
    assert told.lines() == set()
