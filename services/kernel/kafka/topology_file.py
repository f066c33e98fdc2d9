"""The topology file: topics, groups and permissions, read into types; every fault is listed at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from services.kernel import yaml_file
from services.kernel.errors import ConfigError
from services.kernel.paths import ROOT

Positive = Annotated[int, msgspec.Meta(ge=1)]
Cleanup = Literal["compact", "delete"]

#: Accounts of the broker itself; every other one is a principal of the file.
INNER = frozenset({"broker", "controller"})
#: Every topic, also one that the file does not name.
EVERY = "*"
#: Kafka's own name of the broker as a whole; librdkafka calls that kind of resource `broker`.
_CLUSTER = "kafka-cluster"
DAY_MS = 24 * 60 * 60 * 1000
_NAME = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_SPEC = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*(?:[.-]?\*)?")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file: unknown keys are faults."""


class Profile(_Strict, frozen=True):
    """Copies of each partition, and how many of them must have a record before it counts as written."""

    replication: Positive
    min_insync: Positive


class Sizes(_Strict, frozen=True):
    """Largest record in bytes: `record` for the redactor's input, the others for topics of that kind."""

    record: Positive
    agency: Positive
    redacted: Positive
    partner: Positive
    ledger: Positive
    quarantine: Positive
    small: Positive


class TopicEntry(_Strict, frozen=True):
    """One line of `topics`, before names are filled in. No `retention_days`: kept until compacted."""

    size: Literal["agency", "redacted", "partner", "ledger", "quarantine", "small"]
    retention_days: Positive | None = None
    partitions: Positive | None = None
    cleanup: tuple[Cleanup, ...] = ("delete",)
    settings: dict[str, str] = {}


class Grants(_Strict, frozen=True):
    """What one account may do; a name that ends in `*` is a prefix.

    `describe` and `describe_configs` take `*` alone too, for every topic; `cluster` is the broker as a whole.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    describe: tuple[str, ...] = ()
    describe_configs: tuple[str, ...] = ()
    cluster: tuple[Literal["describe"], ...] = ()
    groups: tuple[str, ...] = ()
    describe_groups: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()


class Topic(_Strict, frozen=True):
    """One topic as the broker should have it."""

    name: str
    partitions: int
    settings: dict[str, str]


class Acl(_Strict, frozen=True, order=True):
    """One permission: `principal` may `operation` on `resource` (`topic`, `group`, `transactional_id`, `broker`).

    A broker may hold others (another host, a denial, `all`); the file never asks for those.
    """

    principal: str
    resource: str
    name: str
    prefix: bool
    operation: str
    host: str = "*"
    permission: str = "allow"


class Topology(_Strict, frozen=True):
    """The whole file with names filled in."""

    profiles: dict[str, Profile]
    sizes: Sizes
    agencies: dict[str, tuple[str, ...]]
    partners: tuple[str, ...]
    cases: tuple[str, ...]
    topics: tuple[Topic, ...]
    groups: dict[str, tuple[str, ...]]
    principals: dict[str, Grants]

    @property
    def principal_names(self) -> tuple[str, ...]:
        """Every account, in the order of the file."""
        return tuple(self.principals)

    @property
    def producers(self) -> tuple[tuple[str, str], ...]:
        """Agency and feed of everything that is sent."""
        return tuple((agency, feed) for agency, feeds in self.agencies.items() for feed in feeds)

    @property
    def acls(self) -> frozenset[Acl]:
        """Every permission."""
        return frozenset(acl for name, grants in self.principals.items() for acl in _acls(name, grants))

    def message_bytes(self, topic: str) -> int:
        """The largest message that `topic` takes, less what the batch around it needs; 0 where it is not named."""
        found = next((t for t in self.topics if t.name == topic), None)
        return int(found.settings["max.message.bytes"]) - 1024 if found else 0

    def last_router(self, slots: int) -> int:
        """The highest slot of a router that a closing must fence: `slots`, or as many as may have a partition."""
        return max([slots, *(topic.partitions - 1 for topic in self.topics_of("router"))])

    def topics_of(self, group: str) -> tuple[Topic, ...]:
        """The input topics of a consumer group."""
        return tuple(t for t in self.topics if any(matches(spec, t.name) for spec in self.groups[group]))

    def written_by(self, principal: str) -> tuple[Topic, ...]:
        """The topics that a principal may write; none for an unknown one, which the broker will refuse."""
        write = self.principals.get(principal, Grants()).write
        return tuple(t for t in self.topics if any(matches(spec, t.name) for spec in write))


def places(topics: Iterable[Topic]) -> list[tuple[str, int]]:
    """(topic, partition) of every partition of `topics`."""
    return [(topic.name, partition) for topic in topics for partition in range(topic.partitions)]


def matches(spec: str, name: str) -> bool:
    """Whether a name of the file, exact or a prefix with `*`, covers `name`."""
    return name.startswith(spec[:-1]) if spec.endswith("*") else name == spec


def topology_path() -> Path:
    """The topology file of the checkout, or the one that was installed with the wheel."""
    return ROOT / "deploy" / "topology.yaml"


def load_topology(path: Path | None = None) -> Topology:
    """Read the topology file; raises ConfigError that lists every fault."""
    file = topology_path() if path is None else path
    try:
        return parse_topology(yaml_file.read(file))
    except yaml_file.UnreadableError as error:
        raise ConfigError("topology", [str(error)]) from error


def parse_topology(content: object) -> Topology:
    """Turn the content of a topology file into a Topology; raises ConfigError that lists every fault."""
    reader = _Reader(content)
    topology = reader.topology()
    if reader.faults or topology is None:
        raise ConfigError("topology", reader.faults)
    return topology


class _Reader:
    """Reads section by section, so that one fault does not hide the next."""

    SECTIONS = frozenset(
        {"version", "profiles", "partitions", "sizes", "settings", "agencies", "partners", "cases", "topics"}
        | {"groups", "principals"}
    )

    def __init__(self, content: object) -> None:
        self.faults: list[str] = []
        self._content: Mapping[Any, Any] = content if isinstance(content, Mapping) else {}
        self.faults += [f"unknown section `{key}`" for key in self._content if key not in self.SECTIONS]
        self.faults += [f"section `{key}` is missing" for key in sorted(self.SECTIONS - set(self._content))]

    def topology(self) -> Topology | None:
        """The topology, or None where a section could not be read."""
        if self._content.get("version") != 1:
            self.faults.append("`version` must be 1")
        partitions = self._read("partitions", Positive, self._content.get("partitions"))
        profiles = self._entries("profiles", Profile)
        sizes = self._read("sizes", Sizes, self._content.get("sizes"))
        settings = self._read("settings", dict[str, str], self._content.get("settings"))
        agencies = self._entries("agencies", tuple[str, ...])
        partners = self._read("partners", tuple[str, ...], self._content.get("partners"))
        cases = self._read("cases", tuple[str, ...], self._content.get("cases"))
        entries = self._entries("topics", TopicEntry)
        groups = self._entries("groups", tuple[str, ...])
        principals = self._entries("principals", Grants)
        if self.faults or partitions is None or sizes is None or settings is None or partners is None or cases is None:
            return None
        topology = Topology(
            profiles=profiles,
            sizes=sizes,
            agencies=agencies,
            partners=partners,
            cases=cases,
            topics=tuple(
                _topic(name, entry, sizes, settings, partitions)
                for pattern, entry in entries.items()
                for name, _ in _fill(pattern, agencies, partners, cases)
            ),
            groups=groups,
            principals={
                name: _fill_grants(grants, values)
                for pattern, grants in principals.items()
                for name, values in _fill(pattern, agencies, partners, cases)
            },
        )
        self.faults += _faults(topology)
        return topology

    def _read(self, where: str, kind: Any, value: object) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            if where.split(".")[0] in self._content:
                self.faults.append(f"`{where}`: {error}")
            return None

    def _entries(self, section: str, kind: Any) -> dict[str, Any]:
        value = self._content.get(section)
        if not isinstance(value, Mapping):
            if section in self._content:
                self.faults.append(f"`{section}`: must be a mapping")
            return {}
        read = {str(key): self._read(f"{section}.{key}", kind, entry) for key, entry in value.items()}
        return {key: entry for key, entry in read.items() if entry is not None}


def _fill(
    pattern: str, agencies: Mapping[str, tuple[str, ...]], partners: tuple[str, ...], cases: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    """A name for each agency, feed, partner or case that the pattern asks for, with the values filled in."""
    if "{feed}" in pattern:
        values = [{"agency": agency, "feed": feed} for agency, feeds in agencies.items() for feed in feeds]
    elif "{agency}" in pattern:
        values = [{"agency": agency} for agency in agencies]
    elif "{partner}" in pattern:
        values = [{"partner": partner} for partner in partners]
    elif "{case}" in pattern:
        values = [{"case": case} for case in cases]
    else:
        values = [{}]
    for value in values:
        yield _replace(pattern, value), value


def _replace(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def _fill_grants(grants: Grants, values: Mapping[str, str]) -> Grants:
    names = [field for field in Grants.__struct_fields__ if field != "cluster"]
    filled = {field: tuple(_replace(spec, values) for spec in getattr(grants, field)) for field in names}
    return msgspec.structs.replace(grants, **filled)


def _topic(name: str, entry: TopicEntry, sizes: Sizes, common: Mapping[str, str], partitions: int) -> Topic:
    days = entry.retention_days
    settings = {
        **common,
        "cleanup.policy": ",".join(sorted(entry.cleanup)),
        "retention.ms": "-1" if days is None else str(days * DAY_MS),
        "max.message.bytes": str(getattr(sizes, entry.size)),
        **entry.settings,
    }
    return Topic(name=name, partitions=entry.partitions or partitions, settings=settings)


def _acls(principal: str, grants: Grants) -> Iterator[Acl]:
    kinds: list[tuple[tuple[str, ...], str, list[str]]] = [
        (grants.read, "topic", ["read"]),
        (grants.write, "topic", ["write"]),
        (grants.describe, "topic", ["describe"]),
        (grants.describe_configs, "topic", ["describe_configs"]),
        (grants.groups, "group", ["read"]),
        (grants.describe_groups, "group", ["describe"]),
        (grants.transactions, "transactional_id", ["write", "describe"]),
    ]
    for specs, resource, operations in kinds:
        for spec in specs:
            for operation in operations:
                yield Acl(
                    principal=principal,
                    resource=resource,
                    name=spec if spec == EVERY else spec.removesuffix("*"),
                    prefix=spec.endswith("*") and spec != EVERY,
                    operation=operation,
                )
    for operation in grants.cluster:
        yield Acl(principal=principal, resource="broker", name=_CLUSTER, prefix=False, operation=operation)


def _faults(topology: Topology) -> Iterator[str]:
    """What the types cannot say: names, references, and prefixes that would let one account into another's."""
    names = [topic.name for topic in topology.topics]
    parts = [
        *topology.agencies,
        *topology.partners,
        *topology.cases,
        *(f for fs in topology.agencies.values() for f in fs),
    ]
    for name in [*names, *parts, *topology.groups, *topology.principals]:
        if not _NAME.fullmatch(name):
            yield f"`{name}` is not a name of lower-case words with `.` or `-` between"
    for name in {name for name in names if names.count(name) > 1}:
        yield f"topic `{name}` twice"
    if "." in "".join(parts):
        yield "agencies, feeds, partners and cases must not hold a `.`"
    for kind, people in (("agency", topology.agencies), ("partner", topology.partners), ("case", topology.cases)):
        for first, second in pairwise(sorted(people)):
            if second == first or second.startswith(f"{first}-"):
                yield f"{kind} `{second}` begins with the other {kind} `{first}-`: prefixes would overlap"
    for name, profile in topology.profiles.items():
        if profile.min_insync > profile.replication:
            yield f"profile `{name}`: `min_insync` is above `replication`"
    if topology.sizes.record > min(topology.sizes.agency, topology.sizes.redacted):
        yield "`sizes.record` must fit in an agency's and in the redacted topic"
    uses = [(f"group `{group}`", spec) for group, specs in topology.groups.items() for spec in specs]
    for principal, grants in topology.principals.items():
        looked_at = [spec for spec in (*grants.describe, *grants.describe_configs) if spec != EVERY]
        specs = (*grants.read, *grants.write, *looked_at)
        uses += [(f"principal `{principal}`", spec) for spec in specs]
        for spec in (*grants.groups, *grants.describe_groups, *grants.transactions):
            if not _SPEC.fullmatch(spec):
                yield f"principal `{principal}`: `{spec}` is neither a name nor a prefix with `*`"
    for who, spec in uses:
        if not _SPEC.fullmatch(spec):
            yield f"{who}: `{spec}` is neither a name nor a prefix with `*`"
        elif not any(matches(spec, name) for name in names):
            yield f"{who}: no topic is named `{spec}`"
