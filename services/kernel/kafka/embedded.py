"""A real Apache Kafka (KRaft) in a child process: for `demo`, `up` and the tests, without Docker or Java.

Accounts and permissions are as in production: SCRAM-SHA-256 on the loopback address, the standard
authorizer, deny by default. Only the transport is not encrypted and there is one copy of the data.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import secrets
import shutil
import signal
import socket
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.kernel.errors import ConfigError, UnreachableError
from services.kernel.kafka.accounts import ensure
from services.kernel.kafka.admin_types import AdminClient
from services.kernel.kafka.certificates import make
from services.kernel.kafka.embedded_jars import Progress, class_path, java
from services.kernel.kafka.embedded_process import JavaProcess, arguments_file
from services.kernel.kafka.embedded_settings import (
    ADMIN_USER,
    BROKER_USER,
    CONTROLLER_USER,
    Node,
    encrypted,
    server_properties,
)
from services.kernel.kafka.topology_file import load_topology
from services.kernel.private import write_private

_VARIABLES = {
    "bootstrap.servers": "SR_KAFKA_BOOTSTRAP",
    "security.protocol": "SR_KAFKA_SECURITY_PROTOCOL",
    "sasl.mechanism": "SR_KAFKA_SASL_MECHANISM",
    "sasl.username": "SR_KAFKA_USERNAME",
    "sasl.password": "SR_KAFKA_PASSWORD",
    "ssl.ca.location": "SR_KAFKA_CA_FILE",
    "ssl.certificate.location": "SR_KAFKA_CERTIFICATE_FILE",
    "ssl.key.location": "SR_KAFKA_KEY_FILE",
}
_JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # measured: half the processor time of a run of minutes, start included
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)


class EmbeddedKafka:
    """A broker (or three) that this process owns.

    `data`: folder that keeps topics and accounts between runs; without it a temporary one that `close`
    removes. `principals`: account names, by default those of `deploy/topology.yaml`. `on_progress` is told
    what takes long. `overrides`: server settings that replace the usual ones. `nodes`: 1, or 3 for failover.
    `tls`: clients speak TLS and show a certificate, with an authority made for this folder.
    """

    def __init__(
        self,
        *,
        data: Path | None = None,
        principals: Iterable[str] | None = None,
        on_progress: Progress | None = None,
        overrides: Mapping[str, str] | None = None,
        nodes: int = 1,
        tls: bool = False,
    ) -> None:
        names = load_topology().principal_names if principals is None else tuple(principals)
        self._principals = tuple(dict.fromkeys((ADMIN_USER, *names)))
        self._progress: Progress = on_progress or (lambda _: None)
        self._overrides = dict(overrides or {})
        self._tls = tls
        self._temporary = data is None
        self._folder = Path(tempfile.mkdtemp(prefix="safe-reporting-kafka-")) if data is None else data
        self._count = nodes
        self._nodes: tuple[Node, ...] = ()
        self._passwords: dict[str, str] = {}
        self._processes: dict[int, JavaProcess] = {}
        atexit.register(self.close)

    def __enter__(self) -> EmbeddedKafka:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bootstrap(self) -> str:
        """`bootstrap.servers`; known from the first start on."""
        if not self._nodes:
            raise UnreachableError("the embedded broker was not started")
        return ",".join(f"127.0.0.1:{node.client_port}" for node in self._nodes)

    @property
    def folder(self) -> Path:
        """The folder of settings, logs (`node-1/kafka.log`) and data."""
        return self._folder

    @property
    def secrets(self) -> Path:
        """Folder of certificates, where the broker speaks TLS."""
        return self._folder / "secrets"

    @property
    def principals(self) -> tuple[str, ...]:
        """The accounts that `client_config` knows."""
        return self._principals

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the running nodes, in the order of the nodes."""
        return tuple(process.pid for _, process in sorted(self._processes.items()) if process.alive)

    def client_config(self, principal: str) -> dict[str, str]:
        """librdkafka settings that connect as `principal`; raises ConfigError for an unknown one."""
        if principal not in self._principals or principal not in self._passwords:
            raise ConfigError("embedded broker", [f"no account `{principal}`: it has {self._principals}"])
        config = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_SSL" if self._tls else "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": principal,
            "sasl.password": self._passwords[principal],
        }
        if self._tls:
            own = self.secrets / "clients" / principal
            config["ssl.ca.location"] = str(self.secrets / "ca.pem")
            config["ssl.certificate.location"] = str(own / "certificate.pem")
            config["ssl.key.location"] = str(own / "key.pem")
        return config

    def environment(self, principal: str) -> dict[str, str]:
        """The same as environment variables, for a service or command in a process of its own."""
        config = self.client_config(principal)
        return {variable: config[name] for name, variable in _VARIABLES.items() if name in config}

    def start(self, *, seconds: float = 60.0) -> None:
        """Start the broker and return when it answers; nothing happens where it runs.

        1. Find or fetch the jars.
        2. Read or make ports and passwords, and write each node's settings.
        3. Format the data folder on first use.
        4. Start the nodes and wait until they answer the administrator.
        5. Make the accounts that the folder does not have yet.

        Raises UnreachableError where the jars cannot be fetched or the broker does not answer in `seconds`.
        """
        if self.pids:
            return
        jars = class_path(self._progress)  # 1
        deadline = time.monotonic() + seconds
        self._prepare()  # 2
        for node in self._nodes:
            if not (node.folder / "log" / "meta.properties").exists():
                self._format(node, jars, deadline)  # 3
        self._progress("starting Apache Kafka")
        for node in self._nodes:
            self._launch(node, jars)  # 4
        self._await(deadline)
        self._await_groups(deadline)
        self._make_accounts(deadline)  # 5
        self._progress(f"Apache Kafka answers on {self.bootstrap}")

    def stop(self) -> None:
        """Stop cleanly; the data stays for another `start` on the same ports."""
        for process in self._processes.values():
            process.send(signal.SIGTERM)
        for process in self._processes.values():
            process.end(grace=15)
        self._processes.clear()

    def kill(self, node: int | None = None) -> None:
        """Kill at once, as a power cut does: every node, or the one with this id (from 1)."""
        for number in [node] if node is not None else list(self._processes):
            process = self._processes.pop(number, None)
            if process is not None:
                process.end(grace=0)

    def restart(self, *, seconds: float = 60.0) -> None:
        """Kill and start again on the same ports and data."""
        self.kill()
        self.start(seconds=seconds)

    def start_node(self, node: int, *, seconds: float = 60.0) -> None:
        """Start the one node with this id again after `kill(node)`."""
        if node not in self._processes:
            self._launch(self._nodes[node - 1], class_path(self._progress))
            self._await(time.monotonic() + seconds)

    def close(self) -> None:
        """Stop for good, and remove the folder where it was temporary."""
        atexit.unregister(self.close)
        if not self._temporary:
            self.stop()
            return
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / "accounts.json"
        state = _read_state(path)
        ports = state["ports"] if len(state["ports"]) == 2 * self._count else []
        if not ports or not all(_free(port) for port in ports):
            ports = free_ports(2 * self._count)
        self._passwords = dict(state["passwords"])
        for name in (*self._principals, BROKER_USER, CONTROLLER_USER):
            self._passwords.setdefault(name, secrets.token_urlsafe(24))
        state = {
            "cluster": state.get("cluster") or _cluster_id(),
            "passwords": self._passwords,
            "ports": ports,
        }
        write_private(path, json.dumps(state, indent=1))
        self._cluster = str(state["cluster"])
        self._nodes = tuple(
            Node(index + 1, ports[2 * index], ports[2 * index + 1], self._folder / f"node-{index + 1}")
            for index in range(self._count)
        )
        if self._tls:
            names = {f"node-{node.id}": ("127.0.0.1", "localhost") for node in self._nodes}
            make(self.secrets, nodes=names, principals=self._principals)
        for node in self._nodes:
            node.folder.mkdir(exist_ok=True)
            overrides = dict(self._overrides)
            if self._tls:
                keystore = self.secrets / "nodes" / f"node-{node.id}" / "keystore.pem"
                overrides = {**encrypted(keystore, self.secrets / "ca.pem"), **overrides}
            text = server_properties(node, nodes=self._nodes, passwords=self._passwords, overrides=overrides)
            write_private(node.folder / "server.properties", text)

    def _java(self, node: Node, jars: tuple[Path, ...], name: str, *arguments: str) -> JavaProcess:
        line = [*_JVM, "-cp", ":".join(map(str, jars)), *arguments]
        file = arguments_file(node.folder / f"{name}.args", line)
        return JavaProcess([str(java()), file], output=node.folder / f"{name}.log")

    def _format(self, node: Node, jars: tuple[Path, ...], deadline: float) -> None:
        self._progress(f"formatting the data folder of node {node.id}")
        accounts = [
            f"SCRAM-SHA-256=[name={name},password={self._passwords[name]}]" for name in (BROKER_USER, *self._principals)
        ]
        process = self._java(
            node, jars, "format", "kafka.tools.StorageTool", "format", "--cluster-id", self._cluster,
            "--config", str(node.folder / "server.properties"),
            *(word for account in accounts for word in ("--add-scram", account)),
        )  # fmt: skip
        ended = process.wait(max(1.0, deadline - time.monotonic()))
        process.end(grace=0)
        (node.folder / "format.args").unlink(missing_ok=True)
        if not ended or process.exit_code != 0:
            raise UnreachableError(f"the embedded broker could not format its folder:\n{process.tail()}")

    def _launch(self, node: Node, jars: tuple[Path, ...]) -> None:
        properties = str(node.folder / "server.properties")
        self._processes[node.id] = self._java(node, jars, "kafka", "kafka.Kafka", properties)

    def _await(self, deadline: float) -> None:
        for node in self._nodes:
            process = self._processes.get(node.id)
            while process is not None and _free(node.client_port):
                if not process.alive:
                    self.kill()
                    raise UnreachableError(f"the embedded broker ended while starting:\n{process.tail()}")
                self._check(deadline, "does not listen")
                time.sleep(0.05)
        while True:
            with contextlib.suppress(KafkaException):
                if len(self._admin().list_topics(timeout=2).brokers) >= len(self._processes):
                    return
            self._check(deadline, "does not answer")
            time.sleep(0.1)

    def _await_groups(self, deadline: float) -> None:
        """Ask for a position, so that the topic of positions is made now and no client meets its absence."""
        consumer = Consumer({**self.client_config(ADMIN_USER), "group.id": ADMIN_USER, "log_level": 0})
        try:
            while True:
                with contextlib.suppress(KafkaException):
                    consumer.committed([TopicPartition("ledger", 0)], timeout=5)
                    return
                self._check(deadline, "has no group coordinator")
        finally:
            consumer.close()

    def _make_accounts(self, deadline: float) -> None:
        seconds = max(1.0, deadline - time.monotonic())
        passwords = {name: self._passwords[name] for name in self._principals}
        ensure(self.client_config(ADMIN_USER), passwords, seconds=seconds)

    def _admin(self) -> AdminClient:
        return AdminClient({**self.client_config(ADMIN_USER), "log_level": 0})

    def _check(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            tails = "\n".join(process.tail() for process in self._processes.values())
            self.kill()
            raise UnreachableError(f"the embedded broker {what} in time:\n{tails}")


def _cluster_id() -> str:
    """A Kafka uuid; like Kafka's own never with `-` first, which the command line would read as an option."""
    while True:
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _read_state(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"passwords": {}, "ports": []}
    try:
        state = json.loads(path.read_text("utf-8"))
        return {"cluster": str(state["cluster"]), "passwords": dict(state["passwords"]), "ports": list(state["ports"])}
    except (ValueError, KeyError, TypeError) as error:
        fault = f"`{path}` is damaged: use another folder, or remove this one with its data"
        raise ConfigError("embedded broker", [fault]) from error


def _free(port: int) -> bool:
    """Whether nothing listens on this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
