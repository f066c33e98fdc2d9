"""Start of the redactor: `python -m services.redactor.main`, or `safe-reporting redactor`."""

from __future__ import annotations

import sys

from services.kernel.consent import TOPIC
from services.kernel.folder import OwnFolder
from services.kernel.kafka import service
from services.kernel.kafka.topology import load_topology
from services.kernel.kafka.watch import Watch
from services.kernel.settings import Settings, load_settings
from services.redactor.lease import ConsentLease

__all__ = ["start"]

NAME = "redactor"


def start(settings: Settings) -> None:
    """Run one redactor until it is told to stop; input topics and sizes come from the topology file."""
    topology = load_topology(settings.topology_file)
    with OwnFolder(NAME) as folder:

        def lease(config: dict[str, str]) -> ConsentLease:
            name = f"{NAME}-{settings.slot}"
            return ConsentLease(lambda told: Watch(config, [TOPIC], name=name, told=told), folder=folder)

        service.run(
            NAME,
            factory="services.redactor.build:build_step",
            settings=settings,
            topology=topology,
            lease=lease,
        )


if __name__ == "__main__":
    sys.exit(service.main(start, settings=load_settings))
