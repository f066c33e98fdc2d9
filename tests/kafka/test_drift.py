"""Tallies from a real redactor over the broker to the monitor's charts."""

from __future__ import annotations

import time
from itertools import islice

import orjson
import pytest

from services.cli.bench_parts import numbered
from services.cli.pipeline import Pipeline
from services.kernel import tally
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.samples import load_samples
from services.monitor.drift import State
from services.monitor.tallies import Board, Tallies
from tests.monitor.test_drift import metrics

pytestmark = pytest.mark.kafka


def test_the_monitor_reads_what_a_redactor_counted(broker: EmbeddedKafka) -> None:
    crimes = [sample for sample in load_samples(ROOT / "samples") if sample.topic == "agency.gmp.police-crime"]
    messages = numbered(crimes, 200, first=5_000_000)
    before = sum(1 for _ in _tallies(broker))
    with Pipeline(
        broker, routers=0, module="tests.kafka.shifted", settings={"TEST_CLOCK_SPEED": "100"}
    ) as pipeline:  # a minute of its clock is over in 0.6 s
        handled = len([e for e in pipeline.entries() if e["service"] == "redactor"])
        for part in range(1, 5):
            pipeline.send(islice(messages, 50))
            pipeline.wait(handled + 50 * part, seconds=120, routed=False)
            time.sleep(1.0)
        told = _tallies(broker)[before:]
    assert 1 <= len(told) <= 4
    assert all(one["records"] >= tally.LEAST and one["agency"] == "gmp" for one in told)
    assert sum(one["masked"] for one in told) > 0
    assert all(one["unknown_fields"] == 0 for one in told)
    tallies = Tallies(broker.client_config("monitor"), Board(load_topology().producers))
    tallies.look()
    (drift,) = [one for one in tallies.drifts() or [] if one.feed == "police-crime"]
    assert drift.masked.state is State.LEARNING
    assert drift.masked.past is not None
    assert "safe_reporting_tallies_unreadable_total 0.0" in metrics(tallies)


def _tallies(broker: EmbeddedKafka) -> list[dict[str, object]]:
    records = read_all(broker.client_config("admin"), tally.TOPIC, name="admin")
    return [orjson.loads(record.value.reveal()) for record in records if record.value is not None]
