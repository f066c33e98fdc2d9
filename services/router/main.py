"""Start of the router: `python -m services.router.main`, or `safe-reporting router`."""

from __future__ import annotations

import sys
from pathlib import Path

from services.kernel import consent
from services.kernel.approvers import load_approvers
from services.kernel.folder import OwnFolder
from services.kernel.kafka import service
from services.kernel.kafka.topology import load_topology
from services.kernel.kafka.watch import Watch
from services.kernel.settings import Settings, load_settings
from services.router.lease import CONTROL, ControlLease, PolicySets
from services.router.step import load_rules

__all__ = ["start"]

NAME = "router"


def start(settings: Settings) -> None:
    """Run one router until it is told to stop; input topics and sizes come from the topology file."""
    topology = load_topology(settings.topology_file)
    approvers = load_approvers(settings.approvers_file)

    def load(folder: Path, profile: str) -> None:
        load_rules(schemas_dir=settings.schemas_dir, policies_dir=folder, profile=profile)

    sets = PolicySets(settings.policies_dir, settings.policy_sets_dir, load)
    with OwnFolder(NAME) as folder:

        def lease(config: dict[str, str]) -> ControlLease:
            name = f"{NAME}-{settings.slot}"
            return ControlLease(
                lambda told: Watch(config, [CONTROL, consent.TOPIC], name=name, told=told),
                approvers=approvers, sets=sets, folder=folder,
            )  # fmt: skip

        service.run(
            NAME,
            factory="services.router.build:build_step",
            settings=settings,
            topology=topology,
            lease=lease,
        )


if __name__ == "__main__":
    sys.exit(service.main(start, settings=load_settings))
