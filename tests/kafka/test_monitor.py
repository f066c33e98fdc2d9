"""The monitor on the real broker: killed again and again while it reads, its figures are those of an oracle."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.kernel.kafka.client import transactional_producer
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import Sender, read_all, send_together
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.ledger import TOPIC, rfc3339
from services.kernel.record import Message
from tests.kafka.monitor_process import Monitor
from tests.ledger.helpers import entries

pytestmark = pytest.mark.kafka
COUNT = 5000


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of its own: the figures are of all that its ledger ever held."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), load_topology(), profile="embedded")
        yield kafka


@pytest.fixture
def monitor(broker: EmbeddedKafka, tmp_path: Path) -> Iterator[Monitor]:
    """The service; it does not outlive the test."""
    made = Monitor(broker, tmp_path)
    yield made
    made.kill()


def fill(config: dict[str, str], count: int, go: threading.Semaphore) -> None:
    """Entries of now, a few of them twice, some in transactions; each thousand when `go` says so, over two seconds."""
    made = []
    for body in entries(count):
        entry = orjson.loads(body) | {"time": rfc3339(int(time.time() * 1000))}
        made.append(Message(TOPIC, None, orjson.dumps(entry)))
    with Sender(config, deadline=60.0) as sender:
        for at in range(0, count, 200):
            part = made[at : at + 200] + made[at : at + 1]
            if at % 1000 == 0:
                sender.flush()
                assert go.acquire(timeout=60)
                send_together(config, [(message, 0) for message in part], name="admin-fill")
            else:
                for message in part:
                    sender.send(message, 0)
            time.sleep(0.35)


def abort(config: dict[str, str], count: int) -> None:
    """Entries of a transaction that is aborted: they are in the topic, and are no entries."""
    now = int(time.time() * 1000)
    producer = transactional_producer(config, service="admin-abort", slot=0)
    producer.init_transactions(15.0)
    producer.begin_transaction()
    for body in entries(count):
        entry = orjson.loads(body) | {"outcome": "expired_unread", "source": None, "time": rfc3339(now)}
        producer.produce(TOPIC, value=orjson.dumps(entry), partition=0)
    assert producer.flush(15.0) == 0
    producer.abort_transaction(15.0)


def say_all_is_read(config: dict[str, str], until: int | None = None) -> None:
    """Commit the end of the ledger, or `until`, for the monitor's group, as a mistaken hand may.

    Args:
        until: the offset that the group shall read next.
    """
    consumer = Consumer({**config, "group.id": "monitor"})
    ends = time.monotonic() + 20
    try:
        end = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10)[1] if until is None else until
        while True:  # refused until the killed member's session is over
            try:
                consumer.commit(offsets=[TopicPartition(TOPIC, 0, end)], asynchronous=False)
            except KafkaException:
                assert time.monotonic() < ends
                time.sleep(0.5)
            else:
                return
    finally:
        consumer.close()


def oracle(config: dict[str, str]) -> tuple[Counter[str], Counter[str], int, int]:
    """Outcomes, allowed deliveries, doubles and the last offset, each entry of a position counted once."""
    outcomes: Counter[str] = Counter()
    partners: Counter[str] = Counter()
    seen, doubles, last = set(), 0, -1
    for record in read_all(config, TOPIC, name="admin"):
        last = record.offset
        entry = orjson.loads(record.value.reveal()) if record.value is not None else {}
        source = entry["source"]
        place = entry["service"], source["topic"], source["partition"], source["offset"]
        if place in seen:
            doubles += 1
            continue
        seen.add(place)
        outcomes[f"{entry['outcome']}/{entry['reason']}" if entry["reason"] else entry["outcome"]] += 1
        partners.update(d["partner"] for d in entry["decisions"] if d["effect"] == "allow")
    return outcomes, partners, doubles, last


def test_after_kills_figures_chains_and_alerts_are_those_of_an_oracle(broker: EmbeddedKafka, monitor: Monitor) -> None:
    config = broker.client_config("admin")
    go = threading.Semaphore(1)
    filler = threading.Thread(target=fill, args=(config, COUNT, go))
    filler.start()
    draw = random.Random(7)
    stood = [-1]
    while len(stood) < COUNT // 1000:  # killed when it has taken in something since it was killed last
        found = monitor.caught_up(stood[-1] + 1)
        stood.append(found["applied"])
        abort(config, 20)
        time.sleep(draw.uniform(0.0, 1.5))
        monitor.kill()
        go.release()
        if len(stood) < COUNT // 1000:
            monitor.start()
    filler.join()
    abort(config, 20)
    say_all_is_read(config)
    monitor.start()
    outcomes, partners, doubles, last = oracle(config)
    assert stood[-1] < last
    found = monitor.caught_up(last)
    whole = [window["total"] for window in found["windows"] if window["total"] is not None]
    assert sum((Counter(total["outcomes"]) for total in whole), Counter()) == outcomes
    allowed = Counter({p: n["allow"] for total in whole for p, n in total["partners"].items() if n["allow"]})
    assert allowed == partners
    assert sum(chain["doubles"] for chain in found["chains"]) == doubles == COUNT // 200
    assert sum(chain["gaps"] for chain in found["chains"]) == 0
    alerts = [json.loads(r.value.reveal()) for r in read_all(config, "ops.alert", name="admin") if r.value]
    assert {alert["event"] for alert in alerts} >= {"chain_double"}
    assert monitor.get("/readyz") is not None
    assert b"safe_reporting" in (monitor.get("/metrics") or b"")
    broker.restart()
    fill(config, 200, threading.Semaphore(1))
    last = oracle(config)[3]
    again = monitor.caught_up(last)
    assert sum(window["total"]["entries"] for window in again["windows"] if window["total"] is not None) == sum(
        outcomes.values()
    )
    monitor.process.send_signal(signal.SIGTERM)
    assert monitor.process.wait(30) == 0


def test_a_missing_setting_is_said_in_one_line(broker: EmbeddedKafka, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    environment = kept | broker.environment("monitor") | {"SR_KAFKA_BOOTSTRAP": ""}
    done = subprocess.run(
        [sys.executable, "-m", "services.monitor.main"], env=environment, capture_output=True, timeout=60
    )
    assert done.returncode == 2
    assert b"SR_KAFKA_BOOTSTRAP" in done.stderr
    assert b"Traceback" not in done.stderr
