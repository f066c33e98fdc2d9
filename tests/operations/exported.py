"""Names of all metrics that services export, made by asking every collector as a service has it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from services.canary.plant import Planted, Planter
from services.canary.watch import Watcher
from services.desk.closed import ClosedGate
from services.desk.desk import Desk
from services.desk.metrics import Metrics as DeskMetrics
from services.desk.metrics import delays
from services.desk.register import Pace, Register
from services.kernel import telemetry
from services.kernel.kafka.statistics import Statistics
from services.kernel.kafka.topology import load_topology
from services.kernel.progress import Progress
from services.kernel.record import Message
from services.kernel.vocabulary import OutcomeKind
from services.ledger import metrics as ledger
from services.monitor.differences import Differences
from services.monitor.lag import Lag
from services.monitor.metrics import Metrics
from services.monitor.reconciled import Reconciled, Statement
from tests.monitor.test_drift import drifting
from tests.monitor.test_report import View
from tests.monitor.test_state import DELIVERIES, straight

#: What prometheus_client says of the process.
PROCESS = {"process_start_time_seconds", "process_resident_memory_bytes"}


class _Log:
    size, unsigned, published = 3, 1, 1.0


def samples() -> dict[str, set[str]]:
    """Name of a sample, as an expression has it, to the names of its labels."""
    progress = Progress("router")
    progress.say_open(True)
    statistics = Statistics("router")
    statistics.positions = lambda: {("redacted", 0): 0}
    part = {"topics": {"redacted": {"partitions": {"0": {"ls_offset": 4}}}}}
    node = {"brokers": {"one": {"rtt": {"cnt": 1, "p99": 1}}}}
    statistics.consumer()["stats_cb"](json.dumps(part | node))
    statistics.producer()["stats_cb"](json.dumps(node))
    telemetry.of_worker("router")
    telemetry.RECORDS.labels("router", "marac", OutcomeKind.FORWARDED, "none")
    telemetry.BATCH_SECONDS.labels("router", "step")
    telemetry.ASSIGNED.labels("router")
    telemetry.CERTIFICATE_ENDS.labels("router")
    telemetry.POLICY_SEQUENCE.labels("router")
    lags = [Lag("router", "redacted", 0, 4, 1.0, 1.0, 0.0)]
    shown: list[Collector] = [
        progress, statistics, telemetry.RECORDS, telemetry.BATCH_SECONDS, telemetry.ABORTS, telemetry.STEP_RESTARTS,
        telemetry.ASSIGNED, telemetry.CERTIFICATE_ENDS, telemetry.POLICY_FAULTS, telemetry.POLICY_SEQUENCE,
        *telemetry.of_ledger(),
        ledger.Metrics(_Log(), Path(__file__)), Metrics(View(straight(DELIVERIES), lags=lags), load_topology()),
    ]  # fmt: skip
    shown += [watcher(), desk(), differences(), reconciled(), drifting()]
    registry = CollectorRegistry()
    for collector in shown:
        registry.register(collector)
    found: dict[str, set[str]] = {name: set() for name in PROCESS | {"up"}}
    for family in families(registry):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def watcher() -> Watcher:
    """That of the canary service, after one arrived and one leaked."""
    one = Planted(
        "marac-1795600000000-00000000", "marac", Message("agency.marac-office.marac", None, b""), (), ("", "")
    )
    planter = Planter({}, {}, Ed25519PrivateKey.generate(), key_id="dev")
    made = Watcher(planter, slot=0, close=print, tell=print, deadline_ms=1, clock=lambda: 0)
    made.planted(one)
    made._seconds["marac"] = 1.0
    return made


def desk() -> DeskMetrics:
    """That of the safety desk, with a closed gate behind which records wait."""
    gate, delay = ClosedGate({}), delays()
    gate.since, gate.waiting = 0, 3
    made = Desk(Register(), gate, Pace(1, 2), clock=lambda: 0, took=delay.observe)
    made.show()
    made.ready = True
    return DeskMetrics(made, delay, load_topology())


def differences() -> Differences:
    """The monitor's comparison of broker and file, after one."""
    made = Differences(list, every=300.0)
    made._look()
    return made


def reconciled() -> Reconciled:
    """The monitor's view of the last whole pass, after one."""
    made = Reconciled({})
    made._last, made._seen = Statement(0, "auditor", 1, {}), time.monotonic()
    return made


def families(registry: CollectorRegistry) -> list[Any]:
    """What the registry collects."""
    return list(registry.collect())
