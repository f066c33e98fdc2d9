"""Start of the router: `python -m services.router.main`, or `safe-reporting router`."""

from __future__ import annotations

import sys

from services.kernel.kafka import service
from services.kernel.kafka.topology import load_topology
from services.kernel.settings import Settings, load_settings

__all__ = ["start"]


def start(settings: Settings) -> None:
    """Run one router until it is told to stop; input topics and sizes come from the topology file."""
    topology = load_topology(settings.topology_file)
    service.run(
        "router",
        factory="services.router.build:build_step",
        settings=settings,
        topics=[topic.name for topic in topology.topics_of("router")],
        sizes=topology.message_bytes,
    )


if __name__ == "__main__":
    sys.exit(service.main(start, settings=load_settings))
