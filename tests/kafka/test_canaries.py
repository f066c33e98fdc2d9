"""Canaries on the real broker: they arrive masked and at no partner; one that leaks closes the gate."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import orjson
import pytest

from services.cli.pipeline import Pipeline
from services.kernel import canary
from services.kernel.gate import KEY, Gate
from services.kernel.kafka.admin_types import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from services.kernel.kafka.embedded import free_ports
from services.kernel.kafka.reader import read_all
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.samples import Numberer, load_samples
from services.monitor.entry import Delivery
from services.monitor.state import advance
from tests.kafka import leaky_canary
from tests.operations.exported import samples

pytestmark = pytest.mark.kafka
PARTNERS = [f"partner.{partner}" for partner in load_topology().partners]


@contextmanager
def service(pipeline: Pipeline, module: str, *, port: int, interval: float, deadline: float = 60.0) -> Iterator[None]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    environment |= pipeline.broker.environment("canary")
    environment |= {
        "SR_KEYS_DIR": str(pipeline.keys_dir),
        "SR_CANARY_INTERVAL_S": str(interval),
        "SR_CANARY_DEADLINE_S": str(deadline),
        "SR_CANARY_SLOTS": "2",
        "SR_METRICS_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", module], env=environment, cwd=ROOT)
    try:
        yield
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(20) == 0


def until(said: object, seconds: float = 60.0) -> None:
    assert callable(said)
    ends = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.2)


def page(port: int, name: str) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/{name}", timeout=2) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def counted(port: int, feed: str, what: str) -> float:
    start = f'safe_reporting_canaries_total{{feed="{feed}",what="{what}"}}'
    return sum(float(line.split()[-1]) for line in page(port, "metrics").splitlines() if line.startswith(start))


@contextmanager
def refusing(pipeline: Pipeline, topic: str) -> Iterator[None]:
    """The topic takes no writes."""
    admin = AdminClient({**pipeline.broker.client_config("admin"), "log_level": 0})

    def takes(size: str) -> None:
        entry = ConfigEntry("max.message.bytes", size, incremental_operation=AlterConfigOpType.SET)
        asked = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin.incremental_alter_configs([asked])[asked].result(20)

    held = next(one for one in load_topology().topics if one.name == topic)
    takes("100")
    try:
        yield
    finally:
        takes(held.settings["max.message.bytes"])


def test_canaries_of_every_feed_arrive_in_time_and_at_no_partner(pipeline: Pipeline) -> None:
    (port,) = free_ports(1)
    with service(pipeline, "services.canary.main", port=port, interval=2.0):

        def every_feed_twice() -> bool:
            lines = [
                line for line in page(port, "metrics").splitlines() if 'what="arrived"' in line and "_total" in line
            ]
            return len(lines) == 7 and all(float(line.split()[-1]) >= 2 for line in lines)

        until(every_feed_twice, 90)
        metrics = page(port, "metrics")
        assert {name for name in samples() if "canar" in name} <= {
            line.partition("{")[0].split()[0] for line in metrics.splitlines()
        }
        assert all(line.endswith(" 0.0") for line in metrics.splitlines() if 'what="leaked"' in line)
        assert "safe_reporting_canaries_late 0.0" in metrics
        assert '"ready":true' in page(port, "readyz")
    assert [topic for topic in PARTNERS if pipeline.read(topic)] == []
    copies = pipeline.read(canary.TOPIC)
    assert len({copy.header(canary.HEADER) for copy in copies}) >= 14
    entries = pipeline.entries()
    planted = [entry for entry in entries if entry["service"] in {"redactor", "router"}]
    assert len(planted) >= 28
    assert all(entry["canary"] for entry in planted)
    assert not [d for entry in planted for d in entry["decisions"] if "key" in d]
    table: dict[bytes, bytes] = {}
    deliveries = [Delivery(n, 1_795_600_000_000, orjson.dumps(entry)) for n, entry in enumerate(entries)]
    table |= {key: value for key, value in advance(table.get, deliveries).writes if value is not None}
    assert not [key for key in table if key.startswith(b"w/")], "the monitor counted a canary"
    assert [key for key in table if key.startswith(b"c/")], "and left it out of the chain"


def test_a_topic_that_takes_no_writes_makes_its_canaries_late_and_ends_nothing(pipeline: Pipeline) -> None:
    pipeline.send([Numberer(ROOT / "schemas")(load_samples(ROOT / "samples")[0], 0)])
    pipeline.wait(1, seconds=120)  # the workers are loaded
    (port,) = free_ports(1)
    with (
        refusing(pipeline, "agency.gmp.police-crime"),
        service(pipeline, "services.canary.main", port=port, interval=2.0, deadline=10.0),
    ):
        until(lambda: counted(port, "police-crime", "late") >= 2, 90)
        before = counted(port, "marac", "arrived")
        assert before >= 2
        until(lambda: counted(port, "marac", "arrived") >= before + 2, 30)
        assert counted(port, "police-crime", "unsent") >= 2
        assert counted(port, "police-crime", "arrived") == 0
        assert counted(port, "marac", "late") == 0
    alerts = [orjson.loads(r.value.reveal()) for r in pipeline.read("ops.alert") if r.value]
    assert "canary_late" in {a["event"] for a in alerts if a["service"] == "canary"}


def test_a_canary_that_leaks_closes_the_gate_within_two_seconds(pipeline: Pipeline) -> None:
    number = Numberer(ROOT / "schemas")
    samples = load_samples(ROOT / "samples")
    pipeline.send([number(samples[n % len(samples)], n) for n in range(400)])
    (port,) = free_ports(1)
    with service(pipeline, "tests.kafka.leaky_canary", port=port, interval=5.0):  # not every text is in a view
        until(lambda: any('what="leaked"' in x and x[-3:] != "0.0" for x in page(port, "metrics").splitlines()))
        until(lambda: any(entry["service"] == "gate" for entry in pipeline.entries()))
        pipeline.send([number(samples[n % len(samples)], n) for n in range(400, 600)])
        time.sleep(4)
        out = {topic: pipeline.read(topic) for topic in PARTNERS}
    leaks = [
        copy.timestamp
        for copy in pipeline.read(canary.TOPIC)
        if copy.value and leaky_canary.WORD.encode() in copy.value.reveal()
    ]
    config = pipeline.broker.client_config("admin")
    said = [record for record in read_all(config, "control", name="admin") if record.key and record.key.reveal() == KEY]
    last = said[0]
    assert last.value is not None
    gate = orjson.loads(last.value.reveal())
    assert (gate["state"], gate["by"], gate["why"]) == ("closed", "canary", "guarantee_failed")
    assert isinstance(Gate(**{name: gate[name] for name in ("state", "at", "by", "why")}), Gate)
    entry = next(entry for entry in pipeline.entries() if entry["service"] == "gate")
    assert (entry["why"], entry["by"]) == ("gate_closed", "canary")
    assert leaks
    assert last.timestamp - min(leaks) < 2000
    after = [record.timestamp - last.timestamp for records in out.values() for record in records]
    assert max(after) < 2000, "a router published after the gate was closed"
    assert not any(leaky_canary.WORD.encode() in r.value.reveal() for rs in out.values() for r in rs if r.value)
    alerts = [orjson.loads(r.value.reveal()) for r in pipeline.read("ops.alert") if r.value]
    assert "canary_leaked" in {a["event"] for a in alerts if a["service"] == "canary"}
