"""Positions of groups while a partition has no leader, and where a topic is missing: the others are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from services.kernel.errors import UnreachableError
from services.kernel.kafka.admin_types import AdminClient, NewTopic
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.lag import Position, Positions

pytestmark = [pytest.mark.kafka, pytest.mark.long]

TOPIC = "scratch-lag"


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedKafka]:
    """Three nodes, and a topic whose partitions have one copy each: with its node a partition loses its leader."""
    with closing(EmbeddedKafka(nodes=3, principals=["admin"])) as kafka:
        kafka.start(seconds=240.0)
        admin = AdminClient({**kafka.client_config("admin"), "log_level": 0})
        admin.create_topics([NewTopic(TOPIC, num_partitions=3, replication_factor=1)])[TOPIC].result(60)
        yield kafka


def ends(found: list[Position]) -> dict[int, int | None]:
    return {one.partition: one.end for one in found if one.topic == TOPIC}


def test_a_partition_without_a_leader_is_not_known_and_the_others_are(cluster: EmbeddedKafka) -> None:
    config = cluster.client_config("admin")
    admin = AdminClient({**config, "log_level": 0})
    leaders = {n: p.leader for n, p in admin.list_topics(TOPIC, timeout=20).topics[TOPIC].partitions.items()}
    with closing(Positions(config, {"scratch": [(TOPIC, 3)], "other": [(TOPIC, 3), ("no-such-topic", 1)]})) as asked:
        _until(asked, dict.fromkeys(range(3), 0))
        cluster.kill(leaders[0])
        dark: dict[int, int | None] = {n: None if leader == leaders[0] else 0 for n, leader in leaders.items()}
        found = _until(asked, dark)
        assert set(dark.values()) == {None, 0}
        assert [one.topic for one in found if one.missing] == ["no-such-topic"]
        now = int(time.time() * 1000)
        told = asked.expiring({TOPIC: 1000}, now=now, seconds=20)
        assert {partition for _, _, partition in told} == {n for n, end in dark.items() if end is not None}
        cluster.start_node(leaders[0], seconds=240.0)
        _until(asked, dict.fromkeys(range(3), 0))


def test_without_any_answer_nothing_is_said(cluster: EmbeddedKafka) -> None:
    config = cluster.client_config("admin") | {"bootstrap.servers": "127.0.0.1:1"}
    with closing(Positions(config, {"scratch": [(TOPIC, 3)]})) as asked, pytest.raises(UnreachableError):
        asked.read(seconds=1)


def _until(asked: Positions, wanted: dict[int, int | None], seconds: float = 90.0) -> list[Position]:
    """What is told once it is as wanted; while leaders are chosen it may be nothing at all."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = asked.read(seconds=10)
        except UnreachableError:
            found = []
        if ends(found) == wanted:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
