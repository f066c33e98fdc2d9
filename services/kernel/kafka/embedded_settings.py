"""Server settings of the embedded broker, as the text of `server.properties`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The account that broker nodes use between themselves, and the one of the controller listener.
BROKER_USER = "broker"
CONTROLLER_USER = "controller"
ADMIN_USER = "admin"

_MIB = 1024 * 1024

#: What every node has. Sizes stand above the largest topic's own limit, which is what refuses a record.
_COMMON: dict[str, str] = {
    "process.roles": "broker,controller",
    "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "controller.listener.names": "CONTROLLER",
    "sasl.enabled.mechanisms": "SCRAM-SHA-256",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": f"User:{ADMIN_USER};User:{BROKER_USER};User:{CONTROLLER_USER}",
    "auto.create.topics.enable": "false",
    # after a kill the new process registers once the old one's session is over
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "unclean.leader.election.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.retention.minutes": str(30 * 24 * 60),
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "message.max.bytes": str(17 * _MIB),
    "replica.fetch.max.bytes": str(17 * _MIB),
    "replica.fetch.response.max.bytes": str(32 * _MIB),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.dedupe.buffer.size": str(16 * _MIB),
    "log.cleaner.backoff.ms": "1000",
    "log.retention.check.interval.ms": "60000",
    "controlled.shutdown.enable": "true",
}


def encrypted(keystore: Path, authority: Path) -> dict[str, str]:
    """Settings that replace the usual ones where clients speak TLS and show a certificate of their own.

    Args:
        keystore: PEM file with key, certificate and authority of the node.
        authority: PEM file of the authority of clients' certificates.
    """
    return {
        "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:SASL_PLAINTEXT",
        "listener.name.client.ssl.client.auth": "required",
        "listener.name.client.ssl.keystore.type": "PEM",
        "listener.name.client.ssl.keystore.location": str(keystore),
        "listener.name.client.ssl.truststore.type": "PEM",
        "listener.name.client.ssl.truststore.location": str(authority),
        "listener.name.client.ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
    }


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its id (from 1), its two ports on the loopback address and its folder."""

    id: int
    client_port: int
    controller_port: int
    folder: Path


def server_properties(
    node: Node, *, nodes: tuple[Node, ...], passwords: Mapping[str, str], overrides: Mapping[str, str]
) -> str:
    """The settings of `node` in a cluster of `nodes`; `passwords` names the two inner accounts.

    `overrides` replace settings of the same name. The text holds passwords: keep it at mode 0600.
    """
    copies = str(len(nodes))
    enough = str(max(1, len(nodes) - 1))
    settings = {
        **_COMMON,
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{n.id}@127.0.0.1:{n.controller_port}" for n in nodes),
        "listeners": f"CLIENT://127.0.0.1:{node.client_port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{node.client_port}",
        "log.dirs": str(node.folder / "log"),
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": enough,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": enough,
        "default.replication.factor": copies,
        "min.insync.replicas": enough,
        "listener.name.client.scram-sha-256.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required "
            f'username="{BROKER_USER}" password="{passwords[BROKER_USER]}";'
        ),
        "listener.name.controller.plain.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'username="{CONTROLLER_USER}" password="{passwords[CONTROLLER_USER]}" '
            f'user_{CONTROLLER_USER}="{passwords[CONTROLLER_USER]}";'
        ),
        **overrides,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
