"""A full disk, a topic that refuses every write, a slow broker: what passes meanwhile, and all accounted for."""

from __future__ import annotations

import resource
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from services.cli.pipeline import Pipeline
from services.kernel.kafka.admin_types import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.embedded_jars import class_path, java
from services.kernel.private import write_private
from tests.chaos.harness import KillRun, show
from tests.chaos.test_kill import SEED, assert_accounted

REFUSING = "partner.victim-support-gm"

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


class FaultRun(KillRun):
    """No worker is killed; what is disturbed is under them."""

    def __init__(self, *, records: int = 4_000) -> None:
        super().__init__(seed=SEED, records=records, rate=100, kills=0)

    def fill_disk(self, pipeline: Pipeline) -> None:
        """No file of the broker may grow any more, which it meets as it does a full disk; then there is room again."""
        flows(pipeline)
        broker = pipeline.broker
        (pid,) = broker.pids
        largest = max(file.stat().st_size for file in logs(broker))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + 100_000, largest + 100_000))
        self._note(f"no file of the broker grows beyond {largest + 100_000:,} bytes")
        ends = time.monotonic() + 60
        while broker.pids:
            assert time.monotonic() < ends, "the broker goes on"
            time.sleep(0.1)
        gone = time.monotonic()
        self._note("the broker has ended")
        time.sleep(5)
        broker.start()
        self._back_since(gone)
        self._note("there is room again, and the broker is back")

    def block_partner(self, pipeline: Pipeline) -> None:
        """One partner's topic takes only tiny messages for fifteen seconds: every write to it is refused."""
        flows(pipeline)
        usual = takes(pipeline.broker, "100")
        time.sleep(1)  # the broker answers before the setting is at work
        self._note(f"`{REFUSING}` takes nothing")
        before = written(pipeline)
        time.sleep(15)
        self.written_meanwhile = written(pipeline) - before
        self.waiting = len(pipeline.read("redacted", committed=False)) - routed(pipeline)
        takes(pipeline.broker, usual)
        self._note(f"`{REFUSING}` takes records again; {self.waiting} waited for the router")

    def slow_router(self, pipeline: Pipeline) -> None:
        """For a minute the broker takes 20,000 bytes a second of the router, about a tenth of what it has."""
        flows(pipeline)
        throttle(pipeline.broker, "router", 20_000)
        self._note("the broker is slow for the router")
        before = routed(pipeline)
        time.sleep(60)
        self.passed_slowly = routed(pipeline) - before
        self.waiting = len(pipeline.read("redacted")) - before - self.passed_slowly
        throttle(pipeline.broker, "router", None)
        self._note(f"it is fast again; {self.passed_slowly} had passed meanwhile, {self.waiting} waited")

    def _settle(self, pipeline: Pipeline) -> None:
        super()._settle(pipeline)
        self.outcomes = Counter(e["outcome"] for e in pipeline.entries() if e["service"] == "router")
        self.starts = [(slot.service, slot.starts) for slot in pipeline.slots]


def throttle(broker: EmbeddedKafka, user: str, bytes_per_second: int | None) -> None:
    """Let the broker take at most so many bytes a second of `user`, by Kafka's own command; None for all."""
    config = broker.client_config("admin")
    login = f'username="{config["sasl.username"]}" password="{config["sasl.password"]}"'
    properties = broker.folder / "quota.properties"
    write_private(
        properties,
        f"security.protocol={config['security.protocol']}\nsasl.mechanism={config['sasl.mechanism']}\n"
        f"sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required {login};\n",
    )
    change = ["--delete-config", "producer_byte_rate"]
    if bytes_per_second is not None:
        change = ["--add-config", f"producer_byte_rate={bytes_per_second}"]
    subprocess.run(
        [java(), "-XX:TieredStopAtLevel=1", "-cp", ":".join(map(str, class_path(print))), "kafka.admin.ConfigCommand",
         "--bootstrap-server", config["bootstrap.servers"], "--command-config", properties,
         "--alter", "--entity-type", "users", "--entity-name", user, *change],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def logs(broker: EmbeddedKafka) -> list[Path]:
    return list(broker.folder.glob("node-1/**/*.log"))


def routed(pipeline: Pipeline) -> int:
    return sum(entry["service"] == "router" for entry in pipeline.entries())


def written(pipeline: Pipeline) -> int:
    """Messages that stand in `REFUSING`, committed or not."""
    return len(pipeline.read(REFUSING, committed=False))


def flows(pipeline: Pipeline) -> None:
    """Return when records pass."""
    ends = time.monotonic() + 120
    while routed(pipeline) < 300:
        assert time.monotonic() < ends, "nothing flows"
        time.sleep(0.2)


def takes(broker: EmbeddedKafka, size: str) -> str:
    """Set the largest batch that `REFUSING` takes, in bytes; return what it was."""
    admin = AdminClient({**broker.client_config("admin"), "log_level": 0})
    topic = ConfigResource(ResourceType.TOPIC, REFUSING)
    before = str(admin.describe_configs([topic])[topic].result(20)["max.message.bytes"].value)
    entry = ConfigEntry("max.message.bytes", size, incremental_operation=AlterConfigOpType.SET)
    asked = ConfigResource(ResourceType.TOPIC, REFUSING, incremental_configs=[entry])
    admin.incremental_alter_configs([asked])[asked].result(20)
    return before


def test_a_full_disk_of_the_broker_loses_and_doubles_nothing() -> None:
    run = FaultRun()
    report = run.run_with(run.fill_disk, workers=1)
    show(report)
    assert_accounted(report)


def test_a_partner_topic_that_refuses_every_write_holds_all_back_and_loses_nothing() -> None:
    run = FaultRun()
    report = run.run_with(run.block_partner, workers=1)
    show(report)
    print(run.outcomes, run.starts)
    assert run.waiting > 100
    assert run.written_meanwhile == 0
    assert_accounted(report)
    assert run.outcomes.keys() == {"forwarded"}


def test_a_slow_broker_gets_small_batches_and_records_pass_at_the_rate_that_it_takes() -> None:
    run = FaultRun(records=2_500)
    report = run.run_with(run.slow_router, workers=1)
    show(report)
    print(run.passed_slowly, run.waiting, run.starts)
    assert run.waiting > 100
    assert run.passed_slowly > 20  # none, where each batch runs into its time-out
    assert_accounted(report)
