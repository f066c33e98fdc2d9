"""Start of the canary service: `python -m services.canary.main`, or `safe-reporting canary`."""

from __future__ import annotations

import sys
import time
from collections.abc import Container, Iterator

import structlog
from prometheus_client import REGISTRY

from services.canary.plant import Planter
from services.canary.rounds import Rounds
from services.canary.watch import Watcher
from services.kernel import canary, keys, web
from services.kernel.errors import ConfigError
from services.kernel.kafka import service
from services.kernel.kafka.closing import close_gate
from services.kernel.kafka.follow import Follow
from services.kernel.kafka.post import Post
from services.kernel.kafka.topology import load_topology
from services.kernel.kafka.topology_file import Topology
from services.kernel.paths import ROOT
from services.kernel.progress import Progress
from services.kernel.samples import Sample, load_samples
from services.kernel.schema import load_feeds
from services.kernel.settings import Settings, load_settings

log = structlog.get_logger()

NAME = "canary"


def start(settings: Settings) -> None:
    """Plant a canary in each feed at every interval, and watch what arrives, until told to stop.

    Raises:
        SafeReportingError: settings, keys or schemas are wrong; the broker refuses; a topic is missing.
    """
    stop, progress = service.Stop(), Progress(NAME)
    web.serve(settings.metrics_port, web.standard(progress), progress)
    config, topology = settings.kafka_config(), load_topology(settings.topology_file)
    planter, post = planter_of(settings, topology), Post(config)
    watcher = Watcher(
        planter,
        slot=settings.slot,
        close=lambda id_: close_gate(
            config,
            by=NAME,
            why="guarantee_failed",
            reference=short(id_),
            slots=topology.last_router(settings.canary_slots),
        ),
        tell=lambda message: post.send(message, 0, lambda code: log.error("alert_unsent", code=code)),
        deadline_ms=int(settings.canary_deadline_s * 1000),
        clock=lambda: int(time.time() * 1000),
    )
    REGISTRY.register(watcher)
    follow = Follow(config, canary.TOPIC, group=NAME, slot=settings.slot)
    partitions = {topic.name: topic.partitions for topic in topology.topics}
    rounds = Rounds(planter, watcher, follow, post, partitions=partitions, every=settings.canary_interval_s)
    progress.loaded = True
    log.info("service_started", service=NAME, slot=settings.slot)
    try:
        while not stop():
            rounds(stop)
            progress.joined = follow.joined
            progress.moved()
    finally:
        post.close()  # also where a round failed: what it told is under way
    follow.close()


def short(id_: str) -> str:
    """A canary's id as a reference: without its agency, whose name may be long. An agency's name has no `_`."""
    return id_.rpartition("_")[2]


def planter_of(settings: Settings, topology: Topology | None = None) -> Planter:
    """The planter of a deployment: every agency and feed of its topology, the samples of each feed, and the key.

    Raises:
        ConfigError: no key, or a feed that cannot be planted in; all of them are listed.
    """
    topology = topology or load_topology(settings.topology_file)
    plans = {plan.feed: plan for plan in load_feeds(settings.schemas_dir).plans.values()}
    samples: dict[str, list[Sample]] = {}
    for sample in load_samples(ROOT / "samples"):
        if (feed := sample.topic.rsplit(".", 1)[1]) in plans:
            samples.setdefault(feed, []).append(sample)
    if faults := list(_faults(topology, plans, samples)):
        raise ConfigError("canary", faults)
    key = keys.load(settings.keys_dir, ["canary"])["canary"]
    return Planter(samples, plans, keys.private_key(key), key_id=key.id, producers=topology.producers)


def _faults(topology: Topology, plans: Container[str], samples: Container[str]) -> Iterator[str]:
    """Why something that the topology names cannot be planted in."""
    topics = {topic.name for topic in topology.topics}
    for agency, feed in topology.producers:
        if feed not in plans:
            yield f"agency `{agency}` sends feed `{feed}`, which has no schema: `schema check`"
        elif feed not in samples:
            yield f"agency `{agency}` sends feed `{feed}`, which has no sample: add one to `samples/{feed}.jsonl`"
        if (topic := f"agency.{agency}.{feed}") not in topics:
            yield f"the topology has no topic `{topic}`: `agency.{{agency}}.{{feed}}` belongs in its `topics`"


if __name__ == "__main__":
    sys.exit(service.main(start, settings=load_settings))
