"""Three nodes as in production: the one that leads dies, the others go on, and nothing is lost or doubled."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from services.cli.pipeline import Pipeline
from services.kernel.kafka.admin_types import AdminClient, ConfigResource, ResourceType
from services.kernel.kafka.client import RECONNECT
from services.kernel.kafka.embedded import EmbeddedKafka
from tests.chaos.harness import KillRun, Report, show
from tests.chaos.test_kill import assert_whole

NODES = 3
TRANSACTIONS = "__transaction_state"

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.long]


class FailoverRun(KillRun):
    """While records flow through one redactor and one router, two nodes die in turn and come back."""

    def run_failover(self) -> Report:
        self._ready = threading.Event()
        patience = {"SR_RECORD_DEADLINE_S": "30"}  # three brokers on two cores: a record is late, but not broken
        return self.run_with(self._fail_over, workers=1, nodes=NODES, settings=patience)

    def _feed(self, broker: EmbeddedKafka) -> None:
        """Send only once all is up, so that no backlog hides what a kill does."""
        self._ready.wait()
        self._started = time.monotonic()
        super()._feed(broker)

    def _fail_over(self, pipeline: Pipeline) -> None:
        """1. The leader of `redacted`. 2. The coordinator of the redactor's transactions, which leads their log."""
        self._pipeline = pipeline
        self._admin = AdminClient({**pipeline.broker.client_config("admin"), **RECONNECT, "log_level": 0})
        try:
            while not all("partitions_assigned" in log.read_text() for log in pipeline.logs.glob("*.log")):
                assert time.monotonic() < self._started + 120, "the workers do not join"
                time.sleep(0.2)
            self._ready.set()
            pipeline.wait(int(self._rate), seconds=120, routed=False)
            for topic in (TRANSACTIONS, "__consumer_offsets"):
                self._assert_as_in_production(topic)
            self._lose_leader("redacted", 0)  # 1
            log = [r for r in pipeline.read(TRANSACTIONS) if r.key and r.key.reveal().endswith(b"redactor-0")]
            assert len({record.partition for record in log}) == 1
            self._lose_leader(TRANSACTIONS, log[0].partition)  # 2
        finally:
            self._over.set()
            self._ready.set()

    def _lose_leader(self, topic: str, partition: int) -> None:
        """Kill the leader, wait until what came before and a second's records after it passed, and start it again."""
        node, sent, killed = self._leader(topic, partition), sum(self.report.sent.values()), time.monotonic()
        self._pipeline.broker.kill(node)
        self.report.kills += 1
        self._note(f"kill -9 node {node}, the leader of {topic}/{partition}, after {sent} records")
        self._pipeline.wait(sent + int(self._rate), seconds=120, routed=False)
        flows = time.monotonic()
        while self._watches[0].last < flows:
            assert time.monotonic() < flows + 60, "nothing reaches a partner"
            time.sleep(0.1)
        assert self._leader(topic, partition) not in {node, -1}
        arrivals = sorted(at for at in list(self._watches[0].at.values()) if at > killed)
        silence = max(after - before for before, after in pairwise([killed, *arrivals]))
        self._note(f"caught up {flows - killed:.1f} s after the kill; {silence:.1f} s without a record at any partner")
        self._pipeline.broker.start_node(node)
        while not self._in_sync():
            assert time.monotonic() < flows + 60, "not in sync"
            time.sleep(0.1)
        self._note(f"node {node} is in sync {time.monotonic() - flows:.1f} s after the redactor caught up")

    def _leader(self, topic: str, partition: int) -> int:
        return self._admin.list_topics(topic, timeout=10).topics[topic].partitions[partition].leader

    def _in_sync(self) -> bool:
        topics = self._admin.list_topics(timeout=10).topics.values()
        return all(len(p.isrs) == NODES for topic in topics for p in topic.partitions.values())

    def _assert_as_in_production(self, topic: str) -> None:
        partitions = self._admin.list_topics(topic, timeout=10).topics[topic].partitions.values()
        assert all(len(partition.replicas) == NODES for partition in partitions)
        (settings,) = self._admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        assert settings.result(10)["min.insync.replicas"].value == "2"


def test_the_leader_and_the_coordinator_die_and_nothing_is_lost_or_doubled() -> None:
    report = FailoverRun(seed=0, records=10_000, rate=25, kills=0).run_failover()
    show(report)
    assert report.kills == 2
    assert_whole(report)
