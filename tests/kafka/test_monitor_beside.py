"""What the monitor looks at beside windows and lag: is the broker as the file says, and how far is it reconciled?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel.kafka import topology
from services.kernel.kafka.accounts import ensure
from services.kernel.kafka.admin_types import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ScramMechanism,
    UserScramCredentialDeletion,
)
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all, send
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.kafka.topology_file import Acl
from services.kernel.ledger import rfc3339
from services.kernel.record import Message
from services.ledger import reconcile as reconciling
from services.ledger.reconcile import Settled
from tests.kafka.monitor_process import Monitor

pytestmark = pytest.mark.kafka

TOPOLOGY = load_topology()
NONE = dict.fromkeys(("topics", "permissions", "positions", "accounts"), 0)
SERIES = b"safe_reporting_topology_differences{"
MAY_DESCRIBE = Acl(
    principal="monitor", resource="broker", name="kafka-cluster", prefix=False, operation="describe"
)  # fmt: skip


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of its own: other tests must not meet what is done to it."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), TOPOLOGY, profile="embedded")
        yield kafka


@pytest.fixture(scope="module")
def monitor(broker: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    folder: Path = tmp_path_factory.mktemp("monitor")
    made = Monitor(broker, folder, SR_TOPOLOGY_EVERY_S="1.5")
    yield made
    made.kill()


class Tamperer:
    """Does as somebody with the administrator's password may."""

    def __init__(self, broker: EmbeddedKafka) -> None:
        self.config = broker.client_config("admin")
        self.admin = AdminClient({**self.config, "log_level": 0})

    def permission(self) -> None:
        foreign = Acl(principal="partner-housing-gm", resource="topic", name="redacted", prefix=False, operation="read")
        for future in self.admin.create_acls([topology._binding(foreign)]).values():
            future.result(20)

    def topic(self) -> None:
        for future in self.admin.delete_topics(["partner.custody-suite"]).values():
            future.result(20)

    def retention(self) -> None:
        entry = ConfigEntry("retention.ms", "60000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, "ledger", incremental_configs=[entry])
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result(20)

    def account(self) -> None:
        ensure(self.config, {"guest-of-nobody": "a password"})

    def mend(self) -> None:
        apply(self.config, TOPOLOGY, profile="embedded")

    def remove_account(self) -> None:
        asked = [UserScramCredentialDeletion("guest-of-nobody", ScramMechanism.SCRAM_SHA_256)]
        for future in self.admin.alter_user_scram_credentials(asked).values():
            future.result(20)

    def blind(self) -> None:
        for future in self.admin.delete_acls([topology._filter(MAY_DESCRIBE)]).values():
            future.result(20)


@pytest.fixture
def tamperer(broker: EmbeddedKafka) -> Tamperer:
    return Tamperer(broker)


def wait(monitor: Monitor, fits: Callable[[dict[str, Any]], bool], seconds: float = 90.0) -> dict[str, Any]:
    """The page of figures once it is as it should be."""
    ends = time.monotonic() + seconds
    while not fits(found := monitor.figures()):
        assert time.monotonic() < ends, (found.get("topology"), found.get("conditions"), monitor.log.read_text()[-900:])
        assert monitor.process.poll() is None, monitor.log.read_text()[-2000:]
        time.sleep(0.3)
    return found


def differs(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in found.get("conditions") or [] if one["event"] == "topology_differs"]


def quiet(found: dict[str, Any]) -> bool:
    return (found.get("topology") or {}).get("differences") == NONE and not differs(found)


def test_what_the_auditor_published_is_shown_with_its_age(broker: EmbeddedKafka, monitor: Monitor) -> None:
    wait(monitor, quiet)
    assert b"\nsafe_reporting_reconciled_age_seconds " not in monitor.get("/metrics")
    settled = Settled(5, b"r" * 32, 0, {("redactor", "agency.gmp.police-crime", 2): 17}, {})
    stamp = rfc3339(int(time.time() * 1000))
    key = Ed25519PrivateKey.generate()
    text = reconciling.statement(settled, name="auditor", stamp=stamp, key=key).encode()
    config = broker.client_config("cli-auditor")
    send(config, [(Message("ledger.checkpoint", None, b"a checkpoint"), 0)])
    send(config, [(Message("ledger.checkpoint", reconciling.KEY, text), 0)])
    found = wait(monitor, lambda page: page.get("reconciled") is not None)["reconciled"]
    assert found == {
        "time": stamp, "by": "auditor", "entries": 5,
        "upto": [{"service": "redactor", "topic": "agency.gmp.police-crime", "partition": 2, "offset": 17}],
    }  # fmt: skip
    (line,) = re.findall(rb"^safe_reporting_reconciled_age_seconds (\S+)$", monitor.get("/metrics"), re.MULTILINE)
    assert 0 <= float(line) < 120


def test_every_producer_is_known_and_without_tallies_none_is_judged(monitor: Monitor) -> None:
    page = wait(monitor, lambda page: page.get("drift") is not None)
    assert len(page["drift"]["producers"]) == 7
    assert {one["masked"]["state"] for one in page["drift"]["producers"]} == {"learning"}
    metrics = monitor.get("/metrics") or b""
    assert metrics.count(b"\nsafe_reporting_drift_learning{") == 7
    assert b"\nsafe_reporting_drift_score{" not in metrics


def told(broker: EmbeddedKafka) -> list[dict[str, Any]]:
    records = read_all(broker.client_config("admin"), "ops.alert", name="admin")
    return [orjson.loads(record.value.reveal()) for record in records if record.value is not None]


@pytest.mark.parametrize(
    ("do", "about", "mend"),
    [
        (Tamperer.permission, "permissions", Tamperer.mend),
        (Tamperer.topic, "topics", Tamperer.mend),
        (Tamperer.retention, "topics", Tamperer.mend),
        (Tamperer.account, "accounts", Tamperer.remove_account),
    ],
    ids=["permission", "topic", "retention", "account"],
)
def test_what_somebody_did_to_the_broker_is_alerted_until_it_is_mended(
    broker: EmbeddedKafka, monitor: Monitor, tamperer: Tamperer,
    do: Callable[[Tamperer], None], about: str, mend: Callable[[Tamperer], None],
) -> None:  # fmt: skip
    wait(monitor, quiet)
    before = len(told(broker))
    do(tamperer)
    found = wait(monitor, lambda page: bool(differs(page)))
    (condition,) = differs(found)
    assert (condition["severity"], condition["about"], condition["count"]) == ("critical", f"{about} 1", 1)
    assert found["topology"]["differences"] == NONE | {about: 1}
    assert f'safe_reporting_topology_differences{{about="{about}"}} 1.0'.encode() in monitor.get("/metrics")
    ends = time.monotonic() + 30
    while not (said := [one for one in told(broker)[before:] if one["event"] == "topology_differs"]):
        assert time.monotonic() < ends
        time.sleep(0.5)
    assert [(one["severity"], one["count"], one["topic"]) for one in said] == [("critical", 1, None)]
    mend(tamperer)
    wait(monitor, quiet)


def test_a_monitor_that_may_not_look_says_that_it_does_not_know_and_lag_goes_on(
    broker: EmbeddedKafka, monitor: Monitor, tamperer: Tamperer
) -> None:
    wait(monitor, quiet)
    assert SERIES in monitor.get("/metrics")
    tamperer.blind()
    found = wait(monitor, lambda page: page.get("topology", {}) is None)
    wait(monitor, lambda page: "topology_unknown" in [one["event"] for one in page.get("conditions") or []])
    assert SERIES not in monitor.get("/metrics")
    assert found["lag"] is not None
    assert differs(found) == []
    tamperer.mend()
    wait(monitor, quiet)
