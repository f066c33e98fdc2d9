"""Positions and ends while a transaction is open, asked as the monitor asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from services.kernel.kafka.client import transactional_producer
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.lag import Position, Positions
from services.kernel.ledger import TOPIC
from tests.kafka.monitor_process import Monitor

pytestmark = pytest.mark.kafka

INPUT = "agency.gmp.police-crime"


@contextmanager
def transaction(broker: EmbeddedKafka) -> Iterator[None]:
    """A redactor's transaction with a position, a record and an entry, which is aborted at the end."""
    config = broker.client_config("redactor")
    made = transactional_producer(config, service="redactor", slot=0, **{"transaction.timeout.ms": 120_000})
    made.init_transactions(30)
    with closing(Consumer({**config, "group.id": "redactor", "log_level": 0})) as group:
        made.begin_transaction()
        made.send_offsets_to_transaction([TopicPartition(INPUT, 0, 1)], group.consumer_group_metadata(), 15)
        for topic in ("redacted", TOPIC):
            made.produce(topic, value=b"{}", partition=0)
        assert made.flush(15) == 0
        yield
        made.abort_transaction(15)


def test_an_open_transaction_holds_up_no_question(own: EmbeddedKafka) -> None:
    config = own.client_config("monitor")
    with closing(Positions(config, {"redactor": [(INPUT, 4)], "router": [("redacted", 4)]})) as asked:
        before = asked.read(seconds=20)
        assert [one.committed for one in before] == [0] * 8
        with transaction(own):
            began = time.monotonic()
            during = asked.read(seconds=12)
            assert time.monotonic() - began < 3
            assert during[:4] == before[:4]
            assert during[4] == Position("router", "redacted", 0, 0, 0, written=1)
            assert asked.end(TOPIC, seconds=10) == (0, 1)
        ends = time.monotonic() + 20
        while asked.end(TOPIC, seconds=10) != (2, 2):  # the entry and the transaction's mark
            assert time.monotonic() < ends
            time.sleep(0.2)


def test_behind_a_transaction_that_does_not_end_the_monitor_does_not_know(own: EmbeddedKafka, tmp_path: Path) -> None:
    monitor = Monitor(own, tmp_path)
    try:
        _until(monitor, lambda page: page.get("behind") == 0)
        with transaction(own):
            page = _until(monitor, lambda page: page["behind"] is None and bool(_unknown(page)))
            assert page["ready"]
            assert _unknown(page) >= {"ledger"}
            assert [lag["known"] for lag in page["lag"] if lag["topic"] == "redacted"] == [False, True, True, True]
        page = _until(monitor, lambda page: page["behind"] == 0 and not _unknown(page))
        assert all(lag["known"] for lag in page["lag"])
    finally:
        monitor.kill()


def _unknown(page: dict[str, Any]) -> set[str]:
    return {one["topic"] for one in page.get("conditions") or [] if one["event"] == "lag_unknown"}


def _until(monitor: Monitor, fits: Callable[[dict[str, Any]], bool], seconds: float = 90.0) -> dict[str, Any]:
    ends = time.monotonic() + seconds
    while not (page := monitor.figures()) or not fits(page):
        assert time.monotonic() < ends, (page, monitor.log.read_text()[-2000:])
        time.sleep(0.5)
    return page
