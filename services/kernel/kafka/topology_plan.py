"""What would have to change so that a broker is as the topology file says: a pure comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from services.kernel.kafka.topology_file import INNER, Acl, Topic, Topology


class ChangeKind(StrEnum):
    """What a change does. Those of `REPORTED` are never carried out."""

    CREATE_TOPIC = "create_topic"
    ALTER_TOPIC = "alter_topic"
    GRANT = "grant"
    REVOKE = "revoke"
    FIRST_OFFSET = "first_offset"
    REFUSED = "refused"
    UNMANAGED = "unmanaged"
    MISSING_ACCOUNT = "missing_account"
    FOREIGN_ACCOUNT = "foreign_account"
    NOT_KNOWN = "not_known"


#: What `apply` leaves as it is and only reports. Accounts need passwords: `broker accounts` makes them.
REPORTED = frozenset(
    {ChangeKind.UNMANAGED, ChangeKind.MISSING_ACCOUNT, ChangeKind.FOREIGN_ACCOUNT, ChangeKind.NOT_KNOWN}
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference. `name` is the topic, account or group; `detail` is for people."""

    kind: ChangeKind
    name: str
    detail: str
    partitions: int = 0
    settings: dict[str, str] = {}
    acl: Acl | None = None
    positions: tuple[tuple[str, int], ...] = ()


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as the broker has it; `settings` are those that were set on the topic itself."""

    partitions: int
    replication: int
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """A broker's topics, permissions, partitions for which a group has a position, and accounts (None: not known)."""

    topics: dict[str, TopicState] = field(default_factory=dict)
    acls: frozenset[Acl] = frozenset()
    positions: dict[str, frozenset[tuple[str, int]]] = field(default_factory=dict)
    accounts: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The topology for one profile of deployment."""

    topology: Topology
    profile: str

    @property
    def replication(self) -> int:
        """Copies of each partition."""
        return self.topology.profiles[self.profile].replication

    def settings(self, topic: Topic) -> dict[str, str]:
        """The settings of a topic with the profile's own."""
        insync = self.topology.profiles[self.profile].min_insync
        return {**topic.settings, "min.insync.replicas": str(insync)}


def plan(current: State, wanted: Wanted) -> list[Change]:
    """Every difference between a broker and the topology, in the order in which to carry them out.

    A different number of partitions or copies is `refused` and says how to migrate; a topic that the file
    does not name is `unmanaged` and left alone; a permission that the file does not name is revoked. Accounts
    are reported; where they are not known that is said, as if it were a difference.
    """
    return [
        *_topics(current, wanted),
        *_permissions(current, wanted),
        *_first_offsets(current, wanted),
        *_accounts(current, wanted),
    ]


def _topics(current: State, wanted: Wanted) -> Iterator[Change]:
    for topic in wanted.topology.topics:
        state = current.topics.get(topic.name)
        settings = wanted.settings(topic)
        if state is None:
            yield Change(
                kind=ChangeKind.CREATE_TOPIC,
                name=topic.name,
                detail=f"partitions {topic.partitions}, replication {wanted.replication}",
                partitions=topic.partitions,
                settings=settings,
            )
            continue
        if state.partitions != topic.partitions:
            yield _refused_partitions(topic, state)
        if state.replication != wanted.replication:
            yield Change(
                kind=ChangeKind.REFUSED,
                name=topic.name,
                detail=f"has replication {state.replication}, the profile `{wanted.profile}` "
                f"wants {wanted.replication}: use `kafka-reassign-partitions`, or name the right profile",
            )
        different = {k: v for k, v in settings.items() if state.settings.get(k) != v}
        surplus = sorted(set(state.settings) - set(settings))
        if different:
            text = ", ".join(f"{k} {state.settings.get(k, 'unset')} → {v}" for k, v in different.items())
            yield Change(kind=ChangeKind.ALTER_TOPIC, name=topic.name, detail=text, settings=different)
        if surplus:
            yield Change(
                kind=ChangeKind.UNMANAGED,
                name=topic.name,
                detail=f"settings that the file does not name: {', '.join(surplus)}",
            )
    known = {topic.name for topic in wanted.topology.topics}
    for name in sorted(set(current.topics) - known):
        yield Change(kind=ChangeKind.UNMANAGED, name=name, detail="a topic that the file does not name")


def _refused_partitions(topic: Topic, state: TopicState) -> Change:
    return Change(
        kind=ChangeKind.REFUSED,
        name=topic.name,
        detail=f"has partitions {state.partitions}, the file wants {topic.partitions}: this would break the "
        "order of records. To migrate: stop the senders, let redactor and router reach the end, close the "
        "gate, remove all data topics together, apply, open the gate, start the senders",
    )


def _permissions(current: State, wanted: Wanted) -> Iterator[Change]:
    acls = wanted.topology.acls
    for acl in sorted(acls - current.acls):
        yield Change(kind=ChangeKind.GRANT, name=acl.principal, detail=describe(acl), acl=acl)
    for acl in sorted(current.acls - acls):
        yield Change(kind=ChangeKind.REVOKE, name=acl.principal, detail=describe(acl), acl=acl)


def describe(acl: Acl) -> str:
    """A permission in words, such as `read topic agency.*`."""
    words = f"{acl.operation} {acl.resource} {acl.name}{'*' if acl.prefix else ''}"
    words = words if acl.permission == "allow" else f"{acl.permission} {words}"
    return words if acl.host == "*" else f"{words} from {acl.host}"


def _accounts(current: State, wanted: Wanted) -> Iterator[Change]:
    """Whoever has an account gets past the broker's door, whatever it may do then."""
    if current.accounts is None:
        detail = "this principal may not ask for them, or the broker has none of SCRAM: nothing is said of them"
        yield Change(kind=ChangeKind.NOT_KNOWN, name="accounts", detail=detail)
        return
    principals = frozenset(wanted.topology.principals)
    for name in sorted(principals - current.accounts):
        detail = "the file has it and the broker does not: `safe-reporting broker accounts`"
        yield Change(kind=ChangeKind.MISSING_ACCOUNT, name=name, detail=detail)
    for name in sorted(current.accounts - principals - INNER):
        detail = "an account that the file does not name: remove it with `kafka-configs`, or name it"
        yield Change(kind=ChangeKind.FOREIGN_ACCOUNT, name=name, detail=detail)


def _first_offsets(current: State, wanted: Wanted) -> Iterator[Change]:
    for group in wanted.topology.groups:
        has = current.positions.get(group, frozenset())
        missing = tuple(
            (topic.name, partition)
            for topic in wanted.topology.topics_of(group)
            for partition in range(topic.partitions)
            if (topic.name, partition) not in has
        )
        if missing:
            topics = sorted({name for name, _ in missing})
            yield Change(
                kind=ChangeKind.FIRST_OFFSET,
                name=group,
                detail=f"the beginning, partitions {len(missing)}, of {', '.join(topics)}",
                positions=missing,
            )
