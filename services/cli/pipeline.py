"""The whole service on this machine: embedded broker, redactors, routers. For demo, bench and tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from services.cli import policy_sign
from services.kernel import keys
from services.kernel.approvers import load_approvers
from services.kernel.errors import UnreachableError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all, send
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Inbound, Message
from services.kernel.vocabulary import OutcomeKind
from services.router.manifest import Manifest


def let_out(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """(topic, message key, router's entry) of every partner message that the ledger says was let out."""
    for entry in entries:
        for decision in entry["decisions"]:
            if decision["effect"] == "allow" and "key" in decision:
                yield f"partner.{decision['partner']}", decision["key"].encode(), entry


@dataclass
class Slot:
    """One worker process of a service, started again whenever it ends unasked."""

    service: str
    number: int
    process: subprocess.Popen[bytes]
    starts: int = 1


class Pipeline:
    """Redactors and routers against an embedded broker whose topology was applied.

    Args:
        module: how to start a service; tests replace it.
        keys_dir: keys of another pipeline on the same broker; by default a new set.
        policies: the policy set that is put in force at the start.
        ledgers: 1 to keep the log as well; it reads the topic from its beginning.
        canaries: 1 to plant records and watch them.
        restart: start a worker anew when it ends unasked, as a supervisor in production does.
    """

    def __init__(
        self,
        broker: EmbeddedKafka,
        *,
        redactors: int = 1,
        routers: int = 1,
        ledgers: int = 0,
        canaries: int = 0,
        restart: bool = False,
        module: str = "services.{service}.main",
        settings: dict[str, str] | None = None,
        keys_dir: Path | None = None,
        policies: Path = ROOT / "policies",
    ) -> None:
        self.broker = broker
        self._folder = tempfile.TemporaryDirectory(prefix="safe-reporting-")
        self.folder = Path(self._folder.name)
        self.keys_dir = keys_dir or self.folder / "keys"
        self._counts = {"redactor": redactors, "router": routers, "ledger": ledgers, "canary": canaries}
        self._restart = restart
        self._module = module
        self._settings = settings or {}
        self.slots: list[Slot] = []
        self._sequence = 0
        self._policies = policies
        self._entries: list[dict[str, Any]] = []
        self._ledger_end = 0
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self) -> Pipeline:
        keys.init_dev(self.keys_dir, load_topology().partners)
        self.put_in_force(self._policies)
        for service, count in self._counts.items():
            self.slots += [Slot(service, n, self._start(service, n)) for n in range(count)]
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._supervisor.join()
        for slot in self.slots:
            slot.process.send_signal(signal.SIGCONT)
            slot.process.terminate()
        for slot in self.slots:
            try:
                slot.process.wait(15)
            except subprocess.TimeoutExpired:
                slot.process.kill()
                slot.process.wait()
        self._folder.cleanup()

    def put_in_force(
        self, policies: Path, *, effective_from: datetime | None = None, revoked: Iterable[str] = ()
    ) -> Manifest:
        """Sign a policy set as both approvers of development and put it on `control`; return its manifest."""
        approvers = load_approvers(self.keys_dir / "approvers.yaml")
        self._sequence = max(self._sequence + 1, int(time.time() * 1000))
        manifest = policy_sign.start(
            policies, sequence=self._sequence, effective_from=effective_from, revoked=list(revoked)
        )
        for person in approvers:
            key = policy_sign.private_key(next((self.keys_dir / "approvers").glob(f"{person}.*")))
            manifest = policy_sign.add(manifest, policies, key, by=person, reason="development", reference="DEV-1")
        policy_sign.publish(self.broker.client_config("admin"), manifest, approvers)
        return manifest

    @property
    def ledger_database(self) -> str:
        """URL of the database that the ledger service writes."""
        return f"sqlite:///{self.folder / 'ledger.db'}"

    @property
    def logs(self) -> Path:
        """Folder with what each worker wrote to standard error."""
        return self.folder

    def send(self, messages: Iterable[Message], *, partition: Callable[[int], int] = lambda n: n % 4) -> None:
        """Send records as their agencies would, spread over the partitions."""
        send(self.broker.client_config("admin"), [(m, partition(n)) for n, m in enumerate(messages)], deadline=60.0)

    def wait(self, count: int, *, seconds: float, routed: bool = True) -> None:
        """Return when `count` input records have their entries, and (`routed`) all that was redacted of them.

        Raises:
            UnreachableError: not done in time, or a worker ended and is not restarted.
        """
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            entries = self.entries()
            redactor = [e for e in entries if e["service"] == "redactor"]
            forward = sum(e["outcome"] == OutcomeKind.REDACTED for e in redactor)
            if len(redactor) >= count and (not routed or len(entries) - len(redactor) >= forward):
                return
            self._check_alive()
            time.sleep(0.3)
        raise UnreachableError(f"not all records had their outcome after {seconds:.0f} s\n{self._last_words()}")

    def entries(self) -> list[dict[str, Any]]:
        """Every entry of the ledger so far; only what came since the last call is read."""
        config = self.broker.client_config("admin")
        for record in read_all(config, "ledger", name="admin", start=self._ledger_end):
            self._ledger_end = record.offset + 1
            if record.value is not None:
                self._entries.append(orjson.loads(record.value.reveal()))
        return list(self._entries)

    def read(self, topic: str, *, committed: bool = True) -> list[Inbound]:
        """All of a topic, as the administrator sees it."""
        return list(read_all(self.broker.client_config("admin"), topic, name="admin", committed=committed))

    def _check_alive(self) -> None:
        dead = [s for s in self.slots if s.process.poll() is not None]
        if dead and not self._restart:
            text = (self.folder / f"{dead[0].service}-{dead[0].number}.log").read_text().strip()
            raise UnreachableError(f"the {dead[0].service} ended:\n{text[-2000:]}")

    def _last_words(self) -> str:
        """How many entries each worker wrote, and the end of its log."""
        wrote = Counter(entry["instance"] for entry in self.entries())
        return "\n".join(
            f"{slot.service}-{slot.number}: {wrote[f'{slot.service}-{slot.number}']} entries, {slot.starts} starts\n"
            + "\n".join((self.folder / f"{slot.service}-{slot.number}.log").read_text().splitlines()[-8:])
            for slot in self.slots
        )

    def _start(self, service: str, number: int) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
        environment |= self.broker.environment(service)
        environment |= {"SR_SLOT": str(number), "SR_KEYS_DIR": str(self.keys_dir)}
        environment |= {"SR_APPROVERS_FILE": str(self.keys_dir / "approvers.yaml")} | self._settings
        if service == "ledger":
            environment["SR_LEDGER_DATABASE"] = self.ledger_database
        with (self.folder / f"{service}-{number}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", self._module.format(service=service)],
                env=environment,
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
            )

    def _supervise(self) -> None:
        while not self._closing.wait(0.05):
            if not self._restart:
                continue
            for slot in self.slots:
                if slot.process.poll() is not None:
                    slot.process = self._start(slot.service, slot.number)
                    slot.starts += 1
