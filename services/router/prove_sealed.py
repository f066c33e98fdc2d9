"""Proof of what leaves sealed: out of the ordinary router's reach (G2), and nobody stands out in it (G3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from services.kernel.disclosure import TOPIC_PREFIX
from services.kernel.duties import Duty, Route
from services.kernel.kafka.topology_file import Topology
from services.kernel.notification import FEWEST, Notification, coarsened
from services.kernel.proposal import TOPIC as PROPOSALS
from services.router.partners import Registry

#: Who may touch a sealed topic: the command that two persons use, the redactor and the outer lock for what waits.
RELEASER, PREPARER, UNLOCKER = "cli-duty", "redactor", "ledger"
_WANTED = Notification("Nationality", ("labour",), "male", "18-24", "North West", "2026-Q3")
_OTHERS: Mapping[str, object] = {
    "nationality": "Another", "exploitation": ("sexual",), "sex": "female", "age_band": "65+", "region": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was tried, and what was found open."""

    combinations: int
    faults: tuple[str, ...]


def prove_reach(topology: Topology, registry: Registry, duties: Iterable[Duty]) -> Sealed:
    """G2: every permission of every principal on every sealed topic, and every partner's own topic."""
    cases = {f"{TOPIC_PREFIX}{case}" for case in topology.cases}
    topics = {PROPOSALS, *cases, *(duty.topic for duty in duties if duty.path is Route.SEALED and duty.topic)}
    faults: list[str] = []
    for acl, topic in itertools.product(sorted(topology.acls), sorted(topics)):
        covers = acl.resource == "topic" and (topic.startswith(acl.name) if acl.prefix else acl.name == topic)
        prepares = acl.principal == PREPARER and topic == PROPOSALS and acl.operation != "read"
        prepares |= acl.principal == UNLOCKER and topic == PROPOSALS and acl.operation != "write"
        own = topic in cases and acl.principal == f"advocate-{topic.removeprefix(TOPIC_PREFIX)}"
        if covers and acl.principal != RELEASER and not prepares and not (own and acl.operation != "write"):
            faults.append(f"`{acl.principal}` may {acl.operation} `{topic}`")
    faults += [f"partner `{p.id}` has the sealed topic `{p.topic}`" for p in registry.partners if p.topic in topics]
    return Sealed(len(topology.acls) * len(topics) + len(registry.partners), tuple(faults))


def prove_cells() -> Sealed:
    """G3: of every quarter made of up to five people alike and up to five who differ in each one field.

    Whatever a notification still says, at least five of the quarter have all of it in common.
    """
    count = 0
    faults: list[str] = []
    for alike, period in _periods():
        count += 1
        done = coarsened(_WANTED, period)
        said = {name: value for name, value in msgspec.to_builtins(done).items() if value is not None}
        sharing = sum(all(msgspec.to_builtins(one)[name] == value for name, value in said.items()) for one in period)
        if set(said) != {"quarter"} and sharing < FEWEST:
            faults.append(f"{sharing} of {len(period)} share {sorted(said)} where {alike} are alike")
    return Sealed(count, tuple(faults))


def _periods() -> Iterator[tuple[int, list[Notification]]]:
    variants = [msgspec.structs.replace(_WANTED, **{name: value}) for name, value in _OTHERS.items()]
    for alike, *others in itertools.product(range(1, FEWEST + 1), *(range(0, FEWEST + 1, 2) for _ in variants)):
        period = [_WANTED] * alike
        for variant, number in zip(variants, others, strict=True):
            period += [variant] * number
        yield alike, period
