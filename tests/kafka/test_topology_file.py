"""The topology file: what it says, what it refuses, and what a broker would need."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import yaml

from services.kernel.errors import ConfigError
from services.kernel.kafka.topology import (
    Change,
    ChangeKind,
    State,
    TopicState,
    Topology,
    Wanted,
    load_topology,
    parse_topology,
    plan,
    topology_path,
)
from services.kernel.kafka.topology_file import Acl, matches

TOPOLOGY = load_topology()
MIB = 1024 * 1024
DAY = 24 * 60 * 60 * 1000


def content() -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(topology_path().read_text("utf-8"))
    return copy.deepcopy(value)


def faults(value: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_topology(value)
    return caught.value.faults


def settled(topology: Topology = TOPOLOGY, *, profile: str = "embedded") -> State:
    """A broker on which nothing is left to do."""
    wanted = Wanted(topology, profile)
    return State(
        topics={
            t.name: TopicState(partitions=t.partitions, replication=wanted.replication, settings=wanted.settings(t))
            for t in topology.topics
        },
        acls=topology.acls,
        positions={
            group: frozenset((t.name, p) for t in topology.topics_of(group) for p in range(t.partitions))
            for group in topology.groups
        },
        accounts=frozenset(topology.principals) | {"broker", "controller"},
    )


def kinds(changes: list[Change]) -> set[ChangeKind]:
    return {change.kind for change in changes}


@pytest.mark.parametrize(
    ("name", "partitions", "mib", "days"),
    [
        ("agency.gmp.police-crime", 4, 12, 14),
        ("agency.challenger.partnership-intel", 4, 12, 14),
        ("redacted", 4, 2, 14),
        ("partner.victim-support-gm", 4, 2, 30),
        ("quarantine", 4, 16, 30),
        ("ledger", 1, 2, 35),
        ("ledger.checkpoint", 1, 1, 35),
    ],
)
def test_topics_have_their_partitions_sizes_and_retention(name: str, partitions: int, mib: int, days: int) -> None:
    topic = next(topic for topic in TOPOLOGY.topics if topic.name == name)
    assert topic.partitions == partitions
    assert topic.settings["max.message.bytes"] == str(mib * MIB)
    assert topic.settings["retention.ms"] == str(days * DAY)


def test_control_and_consent_never_expire_and_control_keeps_every_message() -> None:
    """A closing of the gate that a later message had compacted away would be open to the next router that starts."""
    kept = {topic.name: topic.settings for topic in TOPOLOGY.topics if topic.name in {"control", "consent"}}
    assert {name: settings["retention.ms"] for name, settings in kept.items()} == {"control": "-1", "consent": "-1"}
    assert kept["control"]["cleanup.policy"] == "delete"
    assert kept["consent"]["cleanup.policy"] == "compact"


def test_where_a_tombstone_erases_it_does_so_with_the_first_record_an_hour_later() -> None:
    erased = [topic for topic in TOPOLOGY.topics if topic.settings["cleanup.policy"] == "compact,delete"]
    partners = {f"partner.{partner}" for partner in TOPOLOGY.partners}
    assert {topic.name for topic in erased} == partners | {"quarantine", "duty.proposal"}
    assert len(partners) == 16
    for topic in erased:
        assert topic.settings["segment.ms"] == topic.settings["max.compaction.lag.ms"] == "3600000"
        assert topic.settings["min.cleanable.dirty.ratio"] == "0.1"


@pytest.mark.parametrize(
    ("resource", "name", "readers"),
    [
        ("topic", "ledger", {"ledger", "monitor", "cli-auditor"}),
        ("topic", "ledger.checkpoint", {"monitor", "cli-auditor"}),
        ("topic", "ops.alert", {"desk"}),
        ("topic", "ops.safety", {"desk", "cli-safety"}),
        ("group", "ledger", {"ledger"}),
        ("group", "redactor", {"redactor", "monitor"}),
        ("group", "router", {"router", "monitor", "desk", "cli-safety"}),
    ],
)
def test_only_whose_code_asks_may_read_a_topic_or_see_a_group(resource: str, name: str, readers: set[str]) -> None:
    sees = {"topic": {"read"}, "group": {"read", "describe"}}[resource]
    held = [acl for acl in TOPOLOGY.acls if acl.resource == resource and acl.operation in sees]
    assert {acl.principal for acl in held if acl.name == name} == readers


def test_all_data_topics_have_the_same_partitions() -> None:
    data = [t for t in TOPOLOGY.topics if t.name.split(".")[0] in {"agency", "redacted", "partner", "quarantine"}]
    assert {topic.partitions for topic in data} == {4}


def test_a_closing_fences_every_router_that_may_have_a_partition() -> None:
    assert [TOPOLOGY.last_router(slots) for slots in (0, 3, 4, 7)] == [3, 3, 4, 7]
    wide = tuple(msgspec.structs.replace(t, partitions=12) if t.name == "redacted" else t for t in TOPOLOGY.topics)
    assert msgspec.structs.replace(TOPOLOGY, topics=wide).last_router(4) == 11


def test_no_partner_may_read_anything_but_its_own_topic() -> None:
    for partner in TOPOLOGY.partners:
        mine = {acl for acl in TOPOLOGY.acls if acl.principal == f"partner-{partner}"}
        topics = {(acl.name, acl.prefix, acl.operation) for acl in mine if acl.resource == "topic"}
        assert topics == {(f"partner.{partner}", False, "read")}
        assert not any(acl.operation == "write" for acl in mine)


def test_only_the_redactor_the_auditor_and_a_replay_may_read_agency_topics() -> None:
    readers = {acl.principal for acl in TOPOLOGY.acls if acl.operation == "read" and acl.name.startswith("agency")}
    assert readers == {"redactor", "cli-auditor", "cli-replay"}


def test_only_the_monitor_looks_at_the_broker_as_a_whole_and_it_only_describes() -> None:
    whole = {acl for acl in TOPOLOGY.acls if acl.resource == "broker" or acl.name == "*"}
    assert {(acl.principal, acl.resource, acl.name, acl.prefix, acl.operation) for acl in whole} == {
        ("monitor", "broker", "kafka-cluster", False, "describe"),
        ("monitor", "topic", "*", False, "describe"),
        ("monitor", "topic", "*", False, "describe_configs"),
    }


def test_who_may_write_to_partners_and_to_the_topics_of_agencies() -> None:
    writers = {(a.principal, a.name) for a in TOPOLOGY.acls if a.operation == "write" and a.resource == "topic"}
    assert {who for who, name in writers if name.startswith("partner.")} == {"router", "cli-leak"}  # recalls
    assert {(who, name) for who, name in writers if name.startswith("agency.")} == {
        *((f"producer-{agency}", f"agency.{agency}.") for agency in TOPOLOGY.agencies),
        ("compliance", "agency."),  # what is released from quarantine goes through the redactor again
        ("canary", "agency."),  # what is planted takes a record's own way
        ("cli-replay", "agency."),  # and so does what two persons replay
    }


@pytest.mark.parametrize(
    ("spec", "name", "covered"),
    [
        ("redacted", "redacted", True),
        ("redacted", "redacted2", False),
        ("agency.*", "agency.gmp.police-crime", True),
        ("agency.*", "agency", False),
    ],
)
def test_names_are_exact_or_a_prefix(spec: str, name: str, covered: bool) -> None:
    assert matches(spec, name) is covered


def test_every_fault_is_listed_at_once() -> None:
    value = content()
    value["surprise"] = 1
    value["version"] = 2
    value["topics"]["ledger"]["retention_dys"] = 1
    value["topics"]["redacted"]["size"] = "huge"
    value["principals"]["router"]["raed"] = ["redacted"]
    value["sizes"]["record"] = 0
    del value["groups"]
    listed = "\n".join(faults(value))
    for word in ("surprise", "version", "retention_dys", "redacted", "raed", "sizes", "groups"):
        assert word in listed


@pytest.mark.parametrize(
    ("path", "new", "word"),
    [
        (("groups", "redactor"), ["agncy.*"], "agncy"),
        (("principals", "monitor", "read"), ["ledgr"], "ledgr"),
        (("principals", "router", "transactions"), ["*"], "neither a name nor a prefix"),
        (("principals", "monitor", "read"), ["*"], "neither a name nor a prefix"),
        (("principals", "monitor", "write"), ["*"], "neither a name nor a prefix"),
        (("principals", "monitor", "describe_configs"), ["ledgr"], "ledgr"),
        (("principals", "monitor", "cluster"), ["alter"], "alter"),
        (("partners",), ["a-b", "a-b-c"], "overlap"),
        (("partners",), ["a", "a"], "twice"),
        (("partners",), ["a.b"], "must not hold"),
        (("partners",), ["Ä"], "lower-case"),
        (("agencies",), {"gmp": ["x"], "gmp-two": ["y"]}, "overlap"),
        (("agencies",), ["gmp"], "must be a mapping"),
        (("profiles", "production", "min_insync"), 4, "above"),
        (("sizes", "record"), 13 * MIB, "must fit"),
    ],
)
def test_faults_that_types_cannot_say(path: tuple[str, ...], new: object, word: str) -> None:
    value = content()
    part = value
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = new
    assert word in "\n".join(faults(value))


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_a_file_that_is_no_mapping_lists_every_missing_section(value: object) -> None:
    assert len(faults(value)) >= 10


def test_a_file_that_cannot_be_read_or_has_a_key_twice_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_topology(tmp_path / "absent.yaml")
    twice = tmp_path / "twice.yaml"
    twice.write_text("version: 1\nversion: 1\n")
    with pytest.raises(ConfigError, match="twice"):
        load_topology(twice)


def test_a_new_broker_needs_topics_then_permissions_then_first_offsets() -> None:
    changes = plan(State(accounts=frozenset(TOPOLOGY.principals)), Wanted(TOPOLOGY, "production"))
    order = [change.kind for change in changes]
    assert order == sorted(order, key=[ChangeKind.CREATE_TOPIC, ChangeKind.GRANT, ChangeKind.FIRST_OFFSET].index)
    first = {c.name: len(c.positions) for c in changes if c.kind is ChangeKind.FIRST_OFFSET}
    assert first == {"redactor": 28, "router": 4}
    created = [c for c in changes if c.kind is ChangeKind.CREATE_TOPIC]
    assert {c.settings["min.insync.replicas"] for c in created} == {"2"}


@pytest.mark.parametrize("profile", ["embedded", "production"])
def test_nothing_is_left_to_do_after_all_is_done(profile: str) -> None:
    assert plan(settled(profile=profile), Wanted(TOPOLOGY, profile)) == []


def test_another_number_of_partitions_is_refused_and_says_how_to_migrate() -> None:
    state = settled()
    has = state.topics["redacted"]
    state.topics["redacted"] = TopicState(partitions=8, replication=1, settings=has.settings)
    (change,) = plan(state, Wanted(TOPOLOGY, "embedded"))
    assert change.kind is ChangeKind.REFUSED
    assert "To migrate" in change.detail


def test_another_replication_is_refused() -> None:
    changes = plan(settled(profile="embedded"), Wanted(TOPOLOGY, "production"))
    assert kinds(changes) == {ChangeKind.REFUSED, ChangeKind.ALTER_TOPIC}


def test_what_the_file_does_not_name_is_reported_or_revoked() -> None:
    state = settled()
    ledger = state.topics["ledger"]
    state.topics["ledger"] = TopicState(
        partitions=1, replication=1, settings={**ledger.settings, "retention.ms": "1", "flush.ms": "1"}
    )
    state.topics["scratch"] = TopicState(partitions=1, replication=1, settings={})
    foreign = Acl(principal="guest", resource="topic", name="redacted", prefix=False, operation="all", host="10.0.0.1")
    state = replace(state, acls=state.acls | {foreign})
    changes = plan(state, Wanted(TOPOLOGY, "embedded"))
    assert [(c.kind, c.name) for c in changes] == [
        (ChangeKind.ALTER_TOPIC, "ledger"),
        (ChangeKind.UNMANAGED, "ledger"),
        (ChangeKind.UNMANAGED, "scratch"),
        (ChangeKind.REVOKE, "guest"),
    ]
    assert changes[0].settings == {"retention.ms": str(35 * DAY)}
    assert changes[-1].detail == "all topic redacted from 10.0.0.1"


def test_a_denial_is_told_apart_from_a_permission() -> None:
    denial = Acl(
        principal="router", resource="topic", name="redacted", prefix=False, operation="read", permission="deny"
    )
    state = settled()
    state = replace(state, acls=state.acls | {denial})
    (change,) = plan(state, Wanted(TOPOLOGY, "embedded"))
    assert (change.kind, change.detail) == (ChangeKind.REVOKE, "deny read topic redacted")


def test_an_account_too_many_and_one_too_few_are_reported_and_the_brokers_own_are_not() -> None:
    accounts = (frozenset(TOPOLOGY.principals) - {"router"}) | {"broker", "controller", "guest"}
    changes = plan(replace(settled(), accounts=accounts), Wanted(TOPOLOGY, "embedded"))
    assert [(c.kind, c.name) for c in changes] == [
        (ChangeKind.MISSING_ACCOUNT, "router"),
        (ChangeKind.FOREIGN_ACCOUNT, "guest"),
    ]


def test_accounts_that_nobody_told_are_said_to_be_not_known() -> None:
    (change,) = plan(replace(settled(), accounts=None), Wanted(TOPOLOGY, "embedded"))
    assert (change.kind, change.name) == (ChangeKind.NOT_KNOWN, "accounts")
