"""The topology on a real broker: it is applied, it holds, and it keeps accounts apart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from typer.testing import CliRunner

from services.cli.topology import app
from services.kernel.errors import ConfigError, Exit, RefusedError, UnreachableError
from services.kernel.kafka import accounts, topology
from services.kernel.kafka.admin_types import (
    AclBindingFilter,
    AdminClient,
    NewTopic,
    ScramMechanism,
    UserScramCredentialDeletion,
)
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import ChangeKind, load_topology, topology_path
from services.kernel.kafka.topology_file import Acl

pytestmark = pytest.mark.kafka

TOPOLOGY = load_topology()
DENIED = KafkaError.TOPIC_AUTHORIZATION_FAILED
NO_GROUP = KafkaError.GROUP_AUTHORIZATION_FAILED


def left_to_do(broker: EmbeddedKafka) -> list[topology.Change]:
    """Differences, without the scratch topics of other tests."""
    changes = topology.check(broker.client_config("admin"), TOPOLOGY, profile="embedded")
    return [change for change in changes if change.kind is not ChangeKind.UNMANAGED]


@pytest.fixture
def admin(broker: EmbeddedKafka) -> AdminClient:
    return AdminClient({**broker.client_config("admin"), "log_level": 0})


def send_error(broker: EmbeddedKafka, principal: str, topic: str, value: bytes = b"{}") -> int | None:
    """The broker's error code for one record written as `principal`; None where it was taken."""
    answers: list[KafkaError | None] = []
    producer = Producer({**broker.client_config(principal), "log_level": 0, "message.max.bytes": 20_000_000})
    try:
        producer.produce(topic, value, partition=0, on_delivery=lambda error, _: answers.append(error))
        assert producer.flush(20) == 0
    except KafkaException as error:
        return int(error.args[0].code())
    return None if answers[0] is None else answers[0].code()


def read_error(broker: EmbeddedKafka, principal: str, topic: str, *, group: str) -> int | None:
    """The broker's error code for reading `topic` as `principal`; None where it may."""
    settings = {"group.id": group, "enable.partition.eof": True, "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**broker.client_config(principal), **settings})
    try:
        seen = consumer.list_topics(topic, timeout=20).topics[topic].error
        if seen is not None:
            return seen.code()
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(20)
        assert message is not None
        error = message.error()
        return None if error is None or error.code() == KafkaError._PARTITION_EOF else error.code()
    finally:
        consumer.close()


def may_join(broker: EmbeddedKafka, principal: str, group: str, topic: str) -> bool:
    """Whether `principal` may be a member of `group` and read its own `topic`."""
    settings = {"group.id": group, "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**broker.client_config(principal), **settings})
    joined: list[bool] = []
    ends = time.monotonic() + 30
    try:
        consumer.subscribe([topic], on_assign=lambda *_: joined.append(True))
        while not joined and time.monotonic() < ends:
            message = consumer.poll(0.2)
            error = None if message is None else message.error()
            if error is not None and error.code() == NO_GROUP:
                return False
        assert joined, "neither joined nor refused"
        return True
    finally:
        consumer.close()


def test_nothing_is_left_to_do_after_apply(broker: EmbeddedKafka) -> None:
    assert left_to_do(broker) == []
    done = topology.apply(broker.client_config("admin"), TOPOLOGY, profile="embedded")
    assert {change.kind for change in done} <= {ChangeKind.UNMANAGED}


@pytest.mark.parametrize(
    ("principal", "topic"),
    [
        ("producer-gmp", "agency.tprc.hate-crime"),
        ("producer-gmp", "redacted"),
        ("redactor", "partner.victim-support-gm"),
        ("redactor", "agency.gmp.police-crime"),
        ("redactor", "control"),
        ("router", "redacted"),
        ("router", "control"),
        ("router", "consent"),
        ("partner-housing-gm", "partner.housing-gm"),
        ("compliance", "partner.victim-support-gm"),
        ("monitor", "ledger"),
    ],
)
def test_an_account_may_not_write_where_it_has_no_business(broker: EmbeddedKafka, principal: str, topic: str) -> None:
    assert send_error(broker, principal, topic) == DENIED


@pytest.mark.parametrize(
    ("principal", "topic"),
    [
        ("partner-housing-gm", "partner.victim-support-gm"),
        ("partner-immigration-enforcement", "partner.victim-support-gm"),
        ("partner-victim-support-gm", "redacted"),
        ("partner-victim-support-gm", "ledger"),
        ("producer-gmp", "agency.gmp.police-crime"),
        ("router", "agency.gmp.police-crime"),
        ("redactor", "quarantine"),
        ("monitor", "redacted"),
        ("ledger", "redacted"),
        ("compliance", "agency.gmp.police-crime"),
    ],
)
def test_an_account_may_not_read_where_it_has_no_business(broker: EmbeddedKafka, principal: str, topic: str) -> None:
    group = principal.removeprefix("partner-")
    assert read_error(broker, principal, topic, group=group) in {DENIED, NO_GROUP}


@pytest.mark.parametrize(
    ("principal", "topic", "group"),
    [
        ("redactor", "agency.gmp.police-crime", "redactor"),
        ("router", "redacted", "router"),
        ("router", "control", "router-control"),
        ("partner-housing-gm", "partner.housing-gm", "housing-gm-desk"),
        ("compliance", "quarantine", "compliance"),
        ("monitor", "ledger", "monitor"),
        ("cli-auditor", "agency.gmp.police-crime", "cli-auditor"),
    ],
)
def test_an_account_may_read_what_it_works_on(broker: EmbeddedKafka, principal: str, topic: str, group: str) -> None:
    assert read_error(broker, principal, topic, group=group) is None
    assert may_join(broker, principal, group, topic)


@pytest.mark.parametrize(
    ("principal", "topic", "group"),
    [
        ("partner-housing-gm", "partner.housing-gm", "router"),
        ("partner-housing-gm", "partner.housing-gm", "victim-support-gm"),
        ("router", "redacted", "redactor"),
        ("redactor", "agency.gmp.police-crime", "housing-gm"),
    ],
)
def test_a_group_belongs_to_its_account(broker: EmbeddedKafka, principal: str, topic: str, group: str) -> None:
    assert not may_join(broker, principal, group, topic)


def test_a_transactional_id_belongs_to_its_service(broker: EmbeddedKafka) -> None:
    own = Producer({**broker.client_config("router"), "transactional.id": "router-900", "log_level": 0})
    own.init_transactions(20)
    other = Producer({**broker.client_config("redactor"), "transactional.id": "router-901", "log_level": 0})
    with pytest.raises(KafkaException) as caught:
        other.init_transactions(20)
    assert caught.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_the_broker_takes_twelve_mebibytes_for_agencies_and_two_for_the_ledger(broker: EmbeddedKafka) -> None:
    mib = 1024 * 1024
    assert send_error(broker, "redactor", "ledger", b"x" * (3 * mib)) == KafkaError.MSG_SIZE_TOO_LARGE
    assert send_error(broker, "producer-gmp", "agency.gmp.police-crime", b"x" * (13 * mib)) == (
        KafkaError.MSG_SIZE_TOO_LARGE
    )


def test_groups_have_a_first_position_everywhere(broker: EmbeddedKafka) -> None:
    state = topology.read_state(broker.client_config("admin"), TOPOLOGY)
    assert len(state.positions["redactor"]) == 28
    assert len(state.positions["router"]) == 4


def test_apply_repairs_settings_permissions_and_tells_of_what_it_leaves(
    broker: EmbeddedKafka, admin: AdminClient
) -> None:
    config = broker.client_config("admin")
    kept = next(acl for acl in TOPOLOGY.acls if acl.principal == "monitor" and acl.name == "ops.alert")
    foreign = Acl(principal="guest", resource="topic", name="redacted", prefix=False, operation="all")
    admin.create_acls([topology._binding(foreign)])[topology._binding(foreign)].result(10)
    for future in admin.delete_acls([topology._filter(kept)]).values():
        future.result(10)
    assert {(c.kind, c.name) for c in left_to_do(broker)} == {
        (ChangeKind.GRANT, "monitor"),
        (ChangeKind.REVOKE, "guest"),
    }
    topology.apply(config, TOPOLOGY, profile="embedded")
    assert left_to_do(broker) == []


@pytest.fixture
def wrong_partitions(tmp_path: Path, admin: AdminClient) -> Iterator[Path]:
    """A topology of one more topic that the broker has with another number of partitions."""
    content = yaml.safe_load(topology_path().read_text("utf-8"))
    content["topics"]["scratch.partitions"] = {"size": "small"}
    file = tmp_path / "topology.yaml"
    file.write_text(yaml.safe_dump(content))
    admin.create_topics([NewTopic("scratch.partitions", num_partitions=3)])["scratch.partitions"].result(10)
    yield file
    admin.delete_topics(["scratch.partitions"])["scratch.partitions"].result(10)


def test_apply_refuses_to_change_partitions_and_then_changes_nothing(
    broker: EmbeddedKafka, wrong_partitions: Path
) -> None:
    config, wanted = broker.client_config("admin"), load_topology(wrong_partitions)
    before = topology.check(config, wanted, profile="embedded")
    with pytest.raises(RefusedError, match="To migrate"):
        topology.apply(config, wanted, profile="embedded")
    assert topology.check(config, wanted, profile="embedded") == before


def test_first_positions_are_refused_for_a_group_whose_members_run(
    broker: EmbeddedKafka, admin: AdminClient, tmp_path: Path
) -> None:
    content = yaml.safe_load(topology_path().read_text("utf-8"))
    content["groups"]["scratch-group"] = ["ops.safety"]
    file = tmp_path / "topology.yaml"
    file.write_text(yaml.safe_dump(content))
    wanted = load_topology(file)
    settings = {"group.id": "scratch-group", "enable.auto.commit": False, "log_level": 0}
    member = Consumer({**broker.client_config("admin"), **settings})
    joined: list[bool] = []
    member.subscribe(["ops.safety"], on_assign=lambda *_: joined.append(True))
    for _ in range(40):
        member.poll(0.5)
        if joined:
            break
    try:
        assert joined
        with pytest.raises(RefusedError, match="stop the group's members"):
            topology.apply(broker.client_config("admin"), wanted, profile="embedded")
    finally:
        member.close()
    done = topology.apply(broker.client_config("admin"), wanted, profile="embedded")
    assert [c.name for c in done if c.kind is ChangeKind.FIRST_OFFSET] == ["scratch-group"]


def test_an_account_that_the_file_does_not_name_is_found_and_so_is_one_that_lacks(
    broker: EmbeddedKafka, admin: AdminClient
) -> None:
    config = broker.client_config("admin")
    lacking = {"cli-duty": broker.client_config("cli-duty")["sasl.password"]}

    def remove(name: str) -> None:
        asked = admin.alter_user_scram_credentials([UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_256)])
        asked[name].result(20)

    accounts.ensure(config, {"guest-of-nobody": "a password"})
    remove("cli-duty")
    try:
        assert {(change.kind, change.name) for change in left_to_do(broker)} == {
            (ChangeKind.FOREIGN_ACCOUNT, "guest-of-nobody"),
            (ChangeKind.MISSING_ACCOUNT, "cli-duty"),
        }
        code, text = run(broker, "check", "--profile", "embedded", "--json")
        assert code == Exit.FOUND
        assert {"foreign_account", "missing_account"} <= {row["kind"] for row in json.loads(text)}
    finally:
        remove("guest-of-nobody")
        assert accounts.ensure(config, lacking)[0] == 1
    assert left_to_do(broker) == []


def test_a_principal_that_may_look_at_settings_but_not_at_permissions_is_refused(
    broker: EmbeddedKafka, admin: AdminClient
) -> None:
    """The broker's refusal looks like a broker without permissions: all of them would seem to lack."""
    whole = Acl(principal="monitor", resource="broker", name="kafka-cluster", prefix=False, operation="describe")
    config = broker.client_config("monitor")
    assert [c for c in topology.check(config, TOPOLOGY, profile="embedded") if c.kind is not ChangeKind.UNMANAGED] == []
    for future in admin.delete_acls([topology._filter(whole)]).values():
        assert len(future.result(20)) == 1
    try:
        with pytest.raises(RefusedError, match="no permissions"):
            topology.check(config, TOPOLOGY, profile="embedded")
    finally:
        topology.apply(broker.client_config("admin"), TOPOLOGY, profile="embedded")


def test_a_principal_that_may_not_ask_for_accounts_knows_none(broker: EmbeddedKafka) -> None:
    for _ in range(3):  # asked straight on, the library would end this process
        assert accounts.known(broker.client_config("router"), seconds=20) is None
    with pytest.raises(RefusedError, match="administrator"):
        accounts.ensure(broker.client_config("router"), {})
    assert accounts.known(broker.client_config("admin"), seconds=20) == {"broker", *TOPOLOGY.principals}


def test_an_account_without_the_right_is_refused(broker: EmbeddedKafka) -> None:
    with pytest.raises(RefusedError):
        topology.check(broker.client_config("router"), TOPOLOGY, profile="embedded")


def test_an_unknown_profile_and_a_silent_broker_are_clear_errors(broker: EmbeddedKafka) -> None:
    with pytest.raises(ConfigError, match="no profile `staging`"):
        topology.check(broker.client_config("admin"), TOPOLOGY, profile="staging")
    with pytest.raises(UnreachableError):
        topology.check({"bootstrap.servers": "127.0.0.1:1"}, TOPOLOGY, profile="embedded", seconds=1)


def run(broker: EmbeddedKafka, *words: str) -> tuple[int, str]:
    result = CliRunner(env=broker.environment("admin")).invoke(app, list(words))
    return result.exit_code, result.output


def test_the_command_shows_applies_and_checks(broker: EmbeddedKafka) -> None:
    code, text = run(broker, "plan", "--profile", "production", "--json")
    rows = json.loads(text)
    assert code == Exit.REFUSED
    assert {"kind": "refused", "name": "redacted"}.items() <= next(r for r in rows if r["name"] == "redacted").items()
    code, text = run(broker, "check", "--profile", "production")
    assert code == Exit.FOUND
    assert "redacted" in text
    code, text = run(broker, "apply", "--profile", "embedded", "--json")
    assert code == Exit.DONE
    assert {row["kind"] for row in json.loads(text)} <= {"unmanaged"}


def test_the_command_without_a_broker_says_which_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SR_KAFKA_BOOTSTRAP", raising=False)
    result = CliRunner().invoke(app, ["check"])
    assert isinstance(result.exception, ConfigError)
    assert "SR_KAFKA_BOOTSTRAP" in str(result.exception)


def test_permissions_are_asked_of_the_broker_in_full(admin: AdminClient) -> None:
    held = next(acl for acl in TOPOLOGY.acls if acl.prefix)
    request: AclBindingFilter = topology._filter(held)
    (binding,) = admin.describe_acls(request).result(10)
    assert topology._acl(binding) == held
