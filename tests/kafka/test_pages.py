"""Pages and metrics of the four services on a real broker, fed with planted and hostile records."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.cli.pipeline import Pipeline
from services.kernel.gate import Gate
from services.kernel.kafka.embedded import EmbeddedKafka, free_ports
from services.kernel.kafka.reader import send
from services.kernel.kafka.statistics import OTHER, STATES
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import load_samples
from services.kernel.telemetry import RestartCause
from services.kernel.vocabulary import CoarseReason, OutcomeKind, Reason
from services.monitor.alerts import Event
from services.monitor.differences import About
from services.monitor.metrics import SERVICES, Labels
from tests.hostile import bad_inputs
from tests.kafka.test_canary import NAME, SECRET, _forged, planted
from tests.operations.exported import samples
from tests.operations.runbooks import runbooks

pytestmark = pytest.mark.kafka

TOPOLOGY = load_topology()
PARTITIONS = TOPOLOGY.topics_of("router")[0].partitions
RUN = ("redactor", "router", "ledger", "monitor")
_LABELS = Labels(TOPOLOGY)
_BESIDE = {"other", "none", "unknown"}
#: Every value that a label may have. What the Python process says of itself has no label that a record reaches.
CLOSED: dict[str, set[str]] = {
    "service": set(RUN) | SERVICES | _BESIDE,
    "agency": set(TOPOLOGY.agencies) | _BESIDE,
    "feed": {feed for feeds in TOPOLOGY.agencies.values() for feed in feeds} | _BESIDE,
    "partner": set(_LABELS._partners) | _BESIDE,
    "outcome": set(OutcomeKind) | {"expired_unread", "consulted"} | _BESIDE,
    "reason": set(CoarseReason) | {Reason.TIMEOUT, Reason.CRASHED} | _BESIDE,
    "stage": {"step", "transaction"},
    "topic": {topic.name for topic in TOPOLOGY.topics},
    "partition": {str(number) for number in range(PARTITIONS)},
    "group": set(TOPOLOGY.groups) | {"monitor"},
    "state": {*STATES.values(), OTHER},
    "client": {"consumer", "producer"},
    "window": {"1m", "15m", "1d"},
    "event": set(Event),
    "severity": {"info", "warning", "critical"},
    "kind": {"late", "ahead", "entry", "chain", Event.MASKS_FALLEN, Event.MASKS_RISEN, Event.UNKNOWN_FIELDS},
    "when": {"past", "latest"},
    "about": set(About),
    "cause": set(RestartCause),
    "effect": {"allow", "deny"},
    "quantile": {"0.5", "0.95", "0.99"},
}
_OWN = "safe_reporting_"


class Service:
    """One service as a process, with its pages."""

    def __init__(self, name: str, pipeline: Pipeline) -> None:
        (self.port,) = free_ports(1)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
        environment = kept | pipeline.broker.environment(name) | {"SR_METRICS_PORT": str(self.port)}
        environment |= {"SR_KEYS_DIR": str(pipeline.keys_dir), "SR_LEDGER_DATABASE": pipeline.ledger_database}
        environment |= {"SR_APPROVERS_FILE": str(pipeline.keys_dir / "approvers.yaml")}
        self.log = pipeline.folder / f"{name}.log"
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", f"services.{name}.main"]
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body, 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0, b""

    def page(self, path: str) -> tuple[int, Any]:
        status, body = self.get(path)
        return status, json.loads(body) if body else None

    def samples(self) -> list[Any]:
        text = self.get("/metrics")[1].decode()
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def until(true: Callable[[], Any], *, seconds: float = 90.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.3)


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[dict[str, Service], Pipeline]]:
    """The four of them after a run of planted samples, every bad input and forged records."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), TOPOLOGY, profile="embedded")
        with Pipeline(kafka, redactors=0, routers=0) as pipeline:
            found = {name: Service(name, pipeline) for name in RUN}
            try:
                for service in found.values():
                    until(lambda s=service: s.page("/readyz")[0] == 200)
                good = load_samples(ROOT / "samples")
                police = next(sample for sample in good if sample.topic.endswith("police-crime"))
                bad = bad_inputs(police, SECRET)
                pipeline.send([*map(planted, good), *bad.values()])
                pipeline.wait(len(good) + len(bad), seconds=120)
                forged = _forged(pipeline.read("redacted")[0], b"e30.AAAA.dev")
                hostile = Message("redacted", SECRET.encode(), forged.value, (("ce_type", SECRET.encode()),))
                send(kafka.client_config("admin"), [(forged, 0), (hostile, 1)])
                until(lambda: len([e for e in pipeline.entries() if e["service"] == "router"]) >= len(good) + 2)
                yield found, pipeline
            finally:
                for service in found.values():
                    service.process.kill()
                    service.process.wait()


Running = tuple[dict[str, Service], Pipeline]


def test_every_service_is_ready_and_healthy(services: Running) -> None:
    for name, service in services[0].items():
        status, body = service.page("/readyz")
        assert (status, body["ready"]) == (200, True), name
        status, body = service.page("/healthz")
        assert (status, body["progress"]) == (200, True), name
        assert service.page("/elsewhere")[0] == 404


def test_every_label_has_a_value_of_a_closed_list(services: Running) -> None:
    for name, service in services[0].items():
        own = [sample for sample in service.samples() if sample.name.startswith(_OWN)]
        assert len(own) > 5, name
        open_ones = {
            (sample.name, label, value)
            for sample in own
            for label, value in sample.labels.items()
            if label != "le" and value not in CLOSED[label]
        }
        assert open_ones == set(), name


@pytest.mark.parametrize("mark", [SECRET, NAME])
def test_nothing_that_was_planted_stands_on_a_page_or_in_a_log(services: Running, mark: str) -> None:
    needle = mark.lower().encode()
    for name, service in services[0].items():
        for path in ("/metrics", "/figures?window=1d&count=3", "/healthz", "/readyz"):
            assert needle not in service.get(path)[1].lower(), (name, path)
        log = service.log.read_bytes().lower()
        assert needle not in log, name
        assert b"traceback" not in log, name
    assert b"safe_reporting_records_total" in services[0]["redactor"].get("/metrics")[1]


def value(service: Service, name: str) -> list[float]:
    return [sample.value for sample in service.samples() if sample.name == _OWN + name]


def test_lag_is_nought_where_all_was_handled_and_marks_of_transactions_are_none(services: Running) -> None:
    """librdkafka's own figure would be all that was ever committed by transactions."""
    found = services[0]
    for name, topics in (("redactor", 7), ("router", 1)):
        expected = [0.0] * (topics * PARTITIONS)
        until(lambda n=name, e=expected: value(found[n], "consumer_lag_records") == e, seconds=60)
    until(lambda: value(found["ledger"], "consumer_lag_records") == [0.0], seconds=60)
    assert len(value(found["router"], "transaction_state_seconds")) == 1
    assert value(found["router"], "producer_queue_messages") == [0.0]


def test_figures_of_the_ledger_agree_with_the_topic(services: Running) -> None:
    found, pipeline = services
    until(lambda: value(found["ledger"], "ledger_leaves") == [float(len(pipeline.entries()))])
    until(lambda: value(found["ledger"], "ledger_unsigned_leaves") == [0.0])
    assert value(found["ledger"], "ledger_entries_total") == value(found["ledger"], "ledger_leaves")
    assert value(found["ledger"], "ledger_faults_total") == [0.0, 0.0]
    assert 0 < time.time() - value(found["ledger"], "ledger_checkpoint_timestamp_seconds")[0] < 600
    assert value(found["ledger"], "ledger_disk_free_bytes")[0] > 0


def test_what_a_service_does_not_know_it_does_not_show(services: Running) -> None:
    found = services[0]
    for name in ("redactor", "ledger", "monitor"):
        assert value(found[name], "policy_sequence") == [], name
    for name in ("redactor", "router", "monitor"):
        assert value(found[name], "ledger_leaves") == [], name
        assert value(found[name], "ledger_entries_total") == [], name
    assert value(found["monitor"], "still_seconds") == []


def test_services_export_what_rules_and_dashboards_are_checked_against(services: Running) -> None:
    live = {sample.name for service in services[0].values() for sample in service.samples()}
    own = {name for name in live if name.startswith(_OWN)}
    assert own <= samples().keys()
    missing = {name.removeprefix(_OWN) for name in samples() if name.startswith(_OWN)} - {n[len(_OWN) :] for n in own}
    missing -= {name for name in missing if name.startswith("canar")}  # tests/kafka/test_canaries.py runs that service
    missing -= {name for name in missing if name.startswith("safety_")}  # and tests/kafka/test_safety_desk.py this
    # no condition holds, no window was seen whole so far, nobody reconciled, no producer has a past, and no connection
    # has a certificate: no series
    unknown = {"monitor_conditions", "reconciled_age_seconds", "drift_score", "masked_ratio"}
    unknown.add("certificate_expires_timestamp_seconds")
    assert {name for name in missing - unknown if not name.startswith("window_")} == set()


#: Who runs a command of a runbook.
_ACCOUNTS = {
    "topology": "admin", "gate": "cli-operator", "audit reconcile": "cli-auditor", "audit verify": "cli-auditor",
    "quarantine": "compliance", "policy": "admin", "safety": "cli-safety",
}  # fmt: skip


@pytest.mark.parametrize("command", sorted(set(runbooks().values())))
def test_the_first_command_of_a_runbook_works_when_it_is_pasted(services: Running, command: str) -> None:
    found, pipeline = services
    service = found["monitor" if "/figures" in command else "ledger"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
    environment |= {"PAGES": f"http://127.0.0.1:{service.port}"}
    if command.startswith("curl"):
        if shutil.which("curl") is None:
            path = command.rpartition("}")[2].rstrip('"')
            assert service.get(path)[0] in (200, 503)
            return
    else:
        account = next(who for words, who in _ACCOUNTS.items() if command.startswith(f"safe-reporting {words}"))
        environment |= pipeline.broker.environment(account) | {"SR_KEYS_DIR": str(pipeline.keys_dir)}
        environment |= {"SR_LEDGER_DATABASE": pipeline.ledger_database}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=120)
    refused = [4] if command.endswith("topology plan") else []  # one copy, where the file's production has three
    assert done.returncode in (0, 1, *refused), done.stderr  # 1: it found something
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr
    if command.startswith("curl"):
        assert "no such page" not in done.stdout


def test_a_router_behind_a_closed_gate_is_healthy_and_not_open(services: Running) -> None:
    found, pipeline = services
    config = pipeline.broker.client_config("admin")
    gate = Gate("closed", at="2026-11-25T00:00:00.000Z", by="A1234", why="drill")
    send(config, [(gate.message, 0)])
    sample = load_samples(ROOT / "samples")[0]
    pipeline.send([sample.message()])
    until(lambda: found["router"].page("/healthz")[1]["open"] is False)
    time.sleep(2)
    status, body = found["router"].page("/healthz")
    assert (status, body["progress"], body["open"]) == (200, True, False)
    assert value(found["router"], "open") == [0.0]
    assert found["redactor"].page("/healthz")[1]["open"] in (True, None)
