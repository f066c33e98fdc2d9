"""A broker that speaks TLS: every access that `deploy/topology.yaml` does not grant is refused, and why is said."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition

from services.kernel.errors import UnreachableError
from services.kernel.kafka.accounts import known
from services.kernel.kafka.admin_types import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from services.kernel.kafka.certificates import make
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.explain import explain
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT

pytestmark = pytest.mark.kafka

FILE = yaml.safe_load((ROOT / "deploy" / "topology.yaml").read_text())
TOPOLOGY = load_topology()
TOPICS = [topic.name for topic in TOPOLOGY.topics]
PRINCIPALS = [name for name in TOPOLOGY.principal_names if name != "admin"]
FIRST = TopicPartition("redacted", 0, 0)
REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}  # fmt: skip


@pytest.fixture(scope="module")
def secured() -> Iterator[EmbeddedKafka]:
    """Its own broker: what a test tries here must not be able to harm the others'."""
    with EmbeddedKafka(tls=True) as kafka:
        apply(kafka.client_config("admin"), TOPOLOGY, profile="embedded")
        yield kafka


def granted(principal: str, kind: str) -> list[str]:
    """Specs of a principal for a kind of grant, read from the file's own text, not by the code that applies it."""
    for pattern, grants in FILE["principals"].items():
        name, _, placeholder = pattern.partition("{")
        names = {"agency}": FILE["agencies"], "partner}": FILE["partners"], "case}": FILE["cases"]}.get(
            placeholder, [""]
        )
        for value in names:
            if principal == name + value:
                return [re.sub(r"\{\w+\}", value, spec) for spec in grants.get(kind, [])]
    raise AssertionError(principal)


def covers(specs: list[str], name: str) -> bool:
    return any(name == spec or (spec.endswith("*") and name.startswith(spec[:-1])) for spec in specs)


def client(secured: EmbeddedKafka, principal: str) -> AdminClient:
    return AdminClient({**secured.client_config(principal), "log_level": 0})


def is_refusal(error: KafkaException) -> bool:
    if error.args[0].code() not in REFUSED:
        raise error
    return True


def each(do: Callable[[str], Any]) -> dict[str, Any]:
    """What `do` gives for every principal, some at a time."""
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(PRINCIPALS, pool.map(do, PRINCIPALS), strict=True))


def first_answer(consumer: Consumer) -> bool:
    """Whether what is assigned may be fetched."""
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        message = consumer.poll(0.5)
        error = message.error() if message is not None else None
        if message is not None and (error is None or error.code() == KafkaError._PARTITION_EOF):
            return True
        if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return False
    raise AssertionError("neither records nor a refusal")


def test_who_may_read_a_topic_is_who_the_file_says(secured: EmbeddedKafka) -> None:
    """Every principal fetches from every topic."""

    def read(principal: str) -> dict[str, bool]:
        settings = {"group.id": f"{principal}-matrix", "enable.partition.eof": True, "log_level": 0}
        consumer = Consumer({**secured.client_config(principal), **settings})
        answers: dict[str, bool] = {}
        try:
            for topic in TOPICS:  # what it may not even see
                error = consumer.list_topics(topic, timeout=20).topics[topic].error
                if error is not None and error.code() in REFUSED:
                    answers[topic] = False
            for topic in TOPICS:
                if topic not in answers:  # one by one: an error does not always name its topic
                    consumer.assign([TopicPartition(topic, 0, 0)])
                    answers[topic] = first_answer(consumer)
        finally:
            consumer.close()
        return answers

    found = each(read)
    for principal, answers in found.items():
        assert answers == {topic: covers(granted(principal, "read"), topic) for topic in TOPICS}, principal
    assert sum(not may for answers in found.values() for may in answers.values()) > 1000


def test_who_may_write_to_a_topic_is_who_the_file_says(secured: EmbeddedKafka) -> None:
    """Every principal sends to every topic that it may not write to, and to those that it may."""

    def write(principal: str) -> dict[str, int | None]:
        answers: dict[str, int | None] = {}
        settings = {"message.timeout.ms": 30_000, "log_level": 0, "topic.metadata.propagation.max.ms": 500}
        producer = Producer({**secured.client_config(principal), **settings})

        def told(error: KafkaError | None, message: Any) -> None:
            answers[message.topic()] = error.code() if error is not None else None

        for topic in TOPICS:
            producer.produce(topic, b"{}", key=b"matrix", partition=0, on_delivery=told)
        assert producer.flush(40) == 0
        return answers

    found = each(write)
    refused = 0
    for principal, answers in found.items():
        for topic, code in answers.items():
            may = covers(granted(principal, "write"), topic)
            assert (code is None) == may, (principal, topic, code)
            refused += code in REFUSED
    assert refused > 1000


def test_nobody_but_the_administrator_makes_alters_or_deletes(secured: EmbeddedKafka) -> None:
    acl = AclBinding(
        ResourceType.TOPIC, "redacted", ResourcePatternType.LITERAL, "User:partner-housing-gm", "*",
        AclOperation.READ, AclPermissionType.ALLOW,
    )  # fmt: skip

    shorter = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)

    def attempts(principal: str) -> list[int]:
        admin = client(secured, principal)
        asked: list[Any] = [
            *admin.delete_topics(TOPICS, operation_timeout=10).values(),
            *admin.create_topics([NewTopic("partner.of-mine", 1, 1)]).values(),
            *admin.create_acls([acl]).values(),
            *admin.incremental_alter_configs(
                [ConfigResource(ConfigResource.Type.TOPIC, t, incremental_configs=[shorter]) for t in TOPICS]
            ).values(),
        ]
        codes = []
        for future in asked:
            with pytest.raises(KafkaException) as refused:
                future.result(20)
            codes.append(refused.value.args[0].code())
        return codes

    codes = [code for found in each(attempts).values() for code in found]
    assert len(codes) > 1000
    assert {code for code in codes if code not in REFUSED} <= {KafkaError.UNKNOWN_TOPIC_OR_PART}
    assert sum(code in REFUSED for code in codes) > 1000
    assert set(TOPICS) <= set(client(secured, "admin").list_topics(timeout=10).topics)


def test_who_may_look_at_settings_permissions_and_accounts_is_who_the_file_says(secured: EmbeddedKafka) -> None:
    everything: Any = (ResourceType.ANY, None, ResourcePatternType.ANY, None, None)
    acls = AclBindingFilter(*everything, AclOperation.ANY, AclPermissionType.ANY)  # type: ignore[call-arg]

    def may(future: Any) -> bool:
        try:
            future.result(20)
        except KafkaException as error:
            return not is_refusal(error)
        return True

    def look(principal: str) -> tuple[dict[str, bool], bool, bool]:
        admin = client(secured, principal)
        asked = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in TOPICS])
        settings = {resource.name: may(future) for resource, future in asked.items()}
        told = known(secured.client_config(principal), seconds=20) is not None
        return settings, bool(admin.describe_acls(acls).result(20)), told  # a refusal looks like none

    for principal, (settings, permissions, accounts) in each(look).items():
        assert settings == {t: covers(granted(principal, "describe_configs"), t) for t in TOPICS}, principal
        cluster = "describe" in granted(principal, "cluster")
        assert (permissions, accounts) == (cluster, cluster), principal


def test_a_transactional_id_belongs_to_who_the_file_says(secured: EmbeddedKafka) -> None:
    ids = ["redactor-0", "router-0", "compliance-0", "cli-leak-0", "cli-duty-0", "cli-consent-0", "producer-gmp-0"]

    def start(principal: str) -> dict[str, bool]:
        answers = {}
        for name in ids:
            producer = Producer({**secured.client_config(principal), "transactional.id": name, "log_level": 0})
            try:
                producer.init_transactions(20)
                answers[name] = True
            except KafkaException as error:
                answers[name] = not is_refusal(error)
        return answers

    for principal, answers in each(start).items():
        assert answers == {name: covers(granted(principal, "transactions"), name) for name in ids}, principal


def test_a_group_belongs_to_who_the_file_says(secured: EmbeddedKafka) -> None:
    """To look at its offsets, to move them, to remove it."""
    groups = ["redactor", "router", "ledger", "monitor", "compliance", *TOPOLOGY.partners]

    def allowed(asked: Mapping[str, Any]) -> bool:
        try:
            for future in asked.values():
                answer = future.result(20)
                said = [place.error for place in getattr(answer, "topic_partitions", None) or () if place.error]
                if any(is_refusal(KafkaException(one)) for one in said):
                    return False
        except KafkaException as error:
            return not is_refusal(error)
        return True

    def attempts(principal: str) -> dict[str, tuple[bool, bool, bool]]:
        admin = client(secured, principal)
        return {
            group: (
                allowed(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])),
                allowed(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [FIRST])])),
                allowed(admin.delete_consumer_groups([group])),
            )
            for group in groups
        }

    refused = 0
    for principal, answers in each(attempts).items():
        for group, (looked, moved, removed) in answers.items():
            mine = covers(granted(principal, "groups"), group)
            assert looked == (mine or covers(granted(principal, "describe_groups"), group)), (principal, group)
            assert mine or not moved, (principal, group)
            assert not removed, (principal, group)
            refused += (not looked) + (not moved) + (not removed)
    assert refused > 1000


def changed(config: Mapping[str, str], **changes: str | None) -> dict[str, str]:
    wanted = dict(config) | {name.replace("_", "."): value for name, value in changes.items() if value is not None}
    for name, value in changes.items():
        if value is None:
            wanted.pop(name.replace("_", "."))
    return wanted


def test_what_keeps_a_client_out_is_said(secured: EmbeddedKafka, tmp_path: Path) -> None:
    mine = secured.client_config("router")
    assert explain(mine) is None
    make(tmp_path / "other", nodes={}, principals=["router"])
    old = datetime.now(UTC) - timedelta(days=100)
    (tmp_path / "old").mkdir()
    for name in ("ca.pem", "ca.key"):
        (tmp_path / "old" / name).write_bytes((secured.secrets / name).read_bytes())
    make(tmp_path / "old", nodes={}, principals=["router"], now=old, days=50)

    def own(folder: str) -> dict[str, str]:
        place = tmp_path / folder / "clients" / "router"
        return {"ssl_certificate_location": str(place / "certificate.pem"), "ssl_key_location": str(place / "key.pem")}

    cases = {
        "user name or password": mine | {"sasl.password": "wrong"},
        "`SR_KAFKA_USERNAME`": changed(mine, sasl_username="nobody"),
        "not of the authority in `SR_KAFKA_CA_FILE`": changed(
            mine, ssl_ca_location=str(tmp_path / "other" / "ca.pem")
        ),
        "may want TLS": changed(
            mine, security_protocol="SASL_PLAINTEXT", ssl_ca_location=None, ssl_certificate_location=None,
            ssl_key_location=None,
        ),
        "`SR_KAFKA_CERTIFICATE_FILE` has expired": changed(mine, **own("old")),
        "does not know the authority of `SR_KAFKA_CERTIFICATE_FILE`": changed(mine, **own("other")),
        "wants a client's certificate": changed(mine, ssl_certificate_location=None, ssl_key_location=None),
        "another name than the one in `SR_KAFKA_BOOTSTRAP`": changed(
            mine, bootstrap_servers=mine["bootstrap.servers"].replace("127.0.0.1", "127.1")
        ),
        "does not offer this mechanism": changed(mine, sasl_mechanism="SCRAM-SHA-512"),
    }  # fmt: skip
    told = {words: explain(config) for words, config in cases.items()}
    assert {words: text for words, text in told.items() if words not in str(text)} == {}


@pytest.mark.parametrize("module", ["services.redactor.main", "services.router.main", "services.ledger.main"])
def test_a_service_that_is_kept_out_says_why_and_ends(secured: EmbeddedKafka, module: str, tmp_path: Path) -> None:
    environment = {**secured.environment("router"), "SR_KAFKA_PASSWORD": "wrong", "SR_KEYS_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", module],
        env={"PATH": "/usr/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 4
    assert "error: the broker refuses this user name or password" in done.stderr
    assert "wrong" not in done.stderr.replace("wrong version", "")


def test_a_plain_broker_met_with_tls_is_said(broker: EmbeddedKafka, secured: EmbeddedKafka) -> None:
    config = secured.client_config("router") | {"bootstrap.servers": broker.bootstrap}
    assert "no TLS at this port" in str(explain(config))


def test_a_broker_that_is_not_there_is_no_riddle() -> None:
    with pytest.raises(UnreachableError):
        EmbeddedKafka().bootstrap  # noqa: B018 - raises
    assert explain({"bootstrap.servers": "127.0.0.1:1"}, seconds=1.5) is None


def test_a_second_run_makes_what_lacks_and_keeps_the_rest(tmp_path: Path) -> None:
    first = make(tmp_path, nodes={"kafka": ["localhost", "127.0.0.1"]}, principals=["router"])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert (first.authority, first.nodes, first.certificates, first.passwords) == (True, 1, 1, 1)
    second = make(tmp_path, nodes={"kafka": ["localhost", "127.0.0.1"]}, principals=["router", "redactor"])
    assert (second.authority, second.nodes, second.certificates, second.passwords) == (False, 0, 1, 1)
    assert all(path.read_bytes() == held for path, held in before.items())
    assert all(path.stat().st_mode & 0o077 == 0 for path in before)
    later = datetime.now(UTC) + timedelta(days=380)
    third = make(tmp_path, nodes={"kafka": ["localhost"]}, principals=["router"], now=later)
    assert (third.nodes, third.certificates, third.passwords) == (1, 1, 0)
