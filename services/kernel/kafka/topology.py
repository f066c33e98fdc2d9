"""Bring a broker to the state of the topology file, and say where it differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from functools import partial
from time import monotonic, sleep
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from services.kernel.errors import ConfigError, RefusedError, UnreachableError
from services.kernel.kafka import accounts
from services.kernel.kafka.admin_types import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    TopicMetadata,
)
from services.kernel.kafka.topology_file import Acl, Topic, Topology, load_topology, parse_topology, topology_path
from services.kernel.kafka.topology_plan import REPORTED, Change, ChangeKind, State, TopicState, Wanted, plan

__all__ = [
    "Change",
    "ChangeKind",
    "State",
    "TopicState",
    "Topology",
    "Wanted",
    "apply",
    "check",
    "load_topology",
    "parse_topology",
    "plan",
    "read_state",
    "topology_path",
    "wanted",
]

K = TypeVar("K")
T = TypeVar("T")

#: Longest wait for the whole of one command, in seconds.
DEADLINE = 60.0

#: Errors that pass by themselves, soon after topics were made or the broker started.
_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
    }
)
_PAUSE = 0.1

_USER = "User:"


def check(config: Mapping[str, str], topology: Topology, *, profile: str, seconds: float = DEADLINE) -> list[Change]:
    """Every difference between the broker and the topology; an empty list is what one wants.

    `config`: librdkafka settings of an administrator. Raises UnreachableError and, for an unknown `profile`,
    ConfigError.
    """
    return _Admin(config, seconds).differences(wanted(topology, profile))


def apply(config: Mapping[str, str], topology: Topology, *, profile: str, seconds: float = DEADLINE) -> list[Change]:
    """Carry out every difference and return what was done, with what is only reported at the end.

    1. Refuse as a whole where one difference is refused: nothing is half applied.
    2. Topics and their settings.
    3. Permissions.
    4. The first offsets of groups, which need the topics.

    Raises RefusedError for 1, UnreachableError where the broker does not answer in `seconds`.
    """
    admin = _Admin(config, seconds)
    changes = admin.differences(wanted(topology, profile))
    refused = [f"  - {c.name} {c.detail}" for c in changes if c.kind is ChangeKind.REFUSED]
    if refused:
        raise RefusedError("topology not applied:\n" + "\n".join(refused))  # 1
    replication = topology.profiles[profile].replication
    admin.create_topics(_of(changes, ChangeKind.CREATE_TOPIC), replication)  # 2
    admin.alter_topics(_of(changes, ChangeKind.ALTER_TOPIC))
    admin.grant(_of(changes, ChangeKind.GRANT))  # 3
    admin.revoke(_of(changes, ChangeKind.REVOKE))
    admin.first_offsets(_of(changes, ChangeKind.FIRST_OFFSET))  # 4
    return sorted(changes, key=lambda change: change.kind in REPORTED)


def read_state(config: Mapping[str, str], topology: Topology, *, seconds: float = DEADLINE) -> State:
    """What the broker has: topics with their own settings, permissions, positions of the file's groups, accounts."""
    return _Admin(config, seconds).state(topology)


def _partitions(topics: Iterable[Topic], known: Mapping[str, TopicMetadata]) -> Iterator[tuple[str, int]]:
    for topic in topics:
        if topic.name in known:
            yield from ((topic.name, number) for number in known[topic.name].partitions)


def wanted(topology: Topology, profile: str) -> Wanted:
    """The topology for a profile; raises ConfigError where the file has no such profile."""
    if profile not in topology.profiles:
        known = ", ".join(f"`{name}`" for name in topology.profiles)
        raise ConfigError("topology", [f"no profile `{profile}`: the file has {known}"])
    return Wanted(topology, profile)


def _of(changes: list[Change], kind: ChangeKind) -> list[Change]:
    return [change for change in changes if change.kind is kind]


class _Admin:
    """Typed calls to the broker's administration, all within one deadline."""

    def __init__(self, config: Mapping[str, str], seconds: float) -> None:
        self._deadline = monotonic() + seconds
        self._config = dict(config)
        self._client = AdminClient({**config, "log_level": 0})

    def differences(self, to: Wanted) -> list[Change]:
        return plan(self.state(to.topology), to)

    def state(self, topology: Topology) -> State:
        metadata = self._patiently(lambda: self._client.list_topics(timeout=self._left()))
        topics = {name: topic for name, topic in metadata.topics.items() if not name.startswith("__")}
        settings = self._settings(topics)
        return State(
            topics={
                name: TopicState(
                    partitions=len(topic.partitions),
                    replication=max((len(p.replicas) for p in topic.partitions.values()), default=0),
                    settings=settings.get(name, {}),
                )
                for name, topic in topics.items()
            },
            acls=self._acls(),
            positions={
                group: self._positions(group, _partitions(topology.topics_of(group), topics))
                for group in topology.groups
            },
            accounts=accounts.known(self._config, seconds=self._left()),
        )

    def create_topics(self, changes: list[Change], replication: int) -> None:
        topics = [
            NewTopic(c.name, num_partitions=c.partitions, replication_factor=replication, config=c.settings)
            for c in changes
        ]
        if topics:
            self._ask(lambda: self._client.create_topics(topics))

    def alter_topics(self, changes: list[Change]) -> None:
        resources = [
            ConfigResource(
                ConfigResource.Type.TOPIC,
                change.name,
                incremental_configs=[
                    ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                    for name, value in change.settings.items()
                ],
            )
            for change in changes
        ]
        if resources:
            self._ask(lambda: self._client.incremental_alter_configs(resources))

    def grant(self, changes: list[Change]) -> None:
        bindings = [_binding(change.acl) for change in changes if change.acl is not None]
        if bindings:
            self._ask(lambda: self._client.create_acls(bindings))

    def revoke(self, changes: list[Change]) -> None:
        filters = [_filter(change.acl) for change in changes if change.acl is not None]
        if filters:
            self._ask(lambda: self._client.delete_acls(filters))

    def first_offsets(self, changes: list[Change]) -> None:
        for change in changes:
            with self._group(change.name) as consumer:
                starts = [
                    TopicPartition(topic, number, self._beginning(consumer, topic, number))
                    for topic, number in change.positions
                ]
                self._patiently(partial(consumer.commit, offsets=starts, asynchronous=False))

    def _beginning(self, consumer: Consumer, topic: str, number: int) -> int:
        asked = TopicPartition(topic, number)
        edges = self._patiently(lambda: consumer.get_watermark_offsets(asked, self._left()))
        if edges is None:
            raise UnreachableError(f"the broker did not tell where `{topic}` begins in time")
        return int(edges[0])

    def _settings(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
        if not resources:
            return {}
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {
            resource.name: {n: str(entry.value) for n, entry in entries.items() if int(entry.source) == own}
            for resource, entries in self._ask(lambda: self._client.describe_configs(resources)).items()
        }

    def _acls(self) -> frozenset[Acl]:
        """Every permission; raises RefusedError where this principal may not ask for them."""
        if not self._patiently(lambda: accounts.may_describe(self._client, seconds=self._left())):
            raise RefusedError("the broker tells this principal no permissions: use an administrator's account")
        everything: Any = (ResourceType.ANY, None, ResourcePatternType.ANY, None, None)
        request = AclBindingFilter(*everything, AclOperation.ANY, AclPermissionType.ANY)  # type: ignore[call-arg]
        bindings = self._ask(lambda: {"all": self._client.describe_acls(request)})["all"]
        return frozenset(_acl(binding) for binding in bindings)

    def _positions(self, group: str, partitions: Iterable[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        asked = [TopicPartition(topic, number) for topic, number in partitions]
        if not asked:
            return frozenset()
        with self._group(group) as consumer:
            found = self._patiently(lambda: consumer.committed(asked, timeout=self._left()))
        return frozenset((p.topic, p.partition) for p in found if p.offset >= 0)

    @contextmanager
    def _group(self, group: str) -> Iterator[Consumer]:
        """A consumer that is no member of `group` but may ask for and commit its positions.

        The administration client can do this too, but version 2.16 crashes where the group's coordinator is
        not there yet, as on a new broker.
        """
        settings = {**self._config, "group.id": group, "enable.auto.commit": False, "log_level": 0}
        consumer = Consumer(settings)
        try:
            yield consumer
        finally:
            consumer.close()

    def _left(self) -> float:
        return max(0.1, self._deadline - monotonic())

    def _ask(self, request: Callable[[], Mapping[K, Future[T]]]) -> dict[K, T]:
        """Send a request and wait for all of its answers."""
        return self._patiently(lambda: {key: future.result(self._left()) for key, future in request().items()})

    def _patiently(self, call: Callable[[], T]) -> T:
        """Call, and again within the deadline while leaders or coordinators are being elected."""
        while True:
            try:
                return call()
            except FutureTimeout as error:
                raise UnreachableError("the broker did not answer in time") from error
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or monotonic() > self._deadline:
                    raise _translate(error) from error
            sleep(_PAUSE)


def _binding(acl: Acl) -> AclBinding:
    return AclBinding(*_fields(acl))


def _filter(acl: Acl) -> AclBindingFilter:
    return AclBindingFilter(*_fields(acl))


def _fields(acl: Acl) -> tuple[Any, ...]:
    return (
        ResourceType[acl.resource.upper()],
        acl.name,
        ResourcePatternType.PREFIXED if acl.prefix else ResourcePatternType.LITERAL,
        acl.principal if ":" in acl.principal else _USER + acl.principal,
        acl.host,
        AclOperation[acl.operation.upper()],
        AclPermissionType[acl.permission.upper()],
    )


def _acl(binding: AclBinding) -> Acl:
    return Acl(
        principal=binding.principal.removeprefix(_USER),
        resource=ResourceType(binding.restype).name.lower(),
        name=binding.name,
        prefix=binding.resource_pattern_type is ResourcePatternType.PREFIXED,
        operation=AclOperation(binding.operation).name.lower(),
        host=binding.host,
        permission=AclPermissionType(binding.permission_type).name.lower(),
    )


#: A broker's refusal and what to do about it.
_REFUSALS = {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "use an administrator's account",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "use an administrator's account",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "use an administrator's account",
    KafkaError.UNKNOWN_MEMBER_ID: "stop the group's members, then apply again",
    KafkaError.ILLEGAL_GENERATION: "stop the group's members, then apply again",
    KafkaError.NON_EMPTY_GROUP: "stop the group's members, then apply again",
}


def _translate(error: KafkaException) -> UnreachableError | RefusedError:
    """A broker's error as one of ours: what is not a refusal counts as not reachable."""
    inner: KafkaError = error.args[0]
    if inner.code() in _REFUSALS:
        return RefusedError(f"the broker refuses ({inner.str()}): {_REFUSALS[inner.code()]}")
    return UnreachableError(f"the broker does not answer as it should: {inner.str()}")
