"""The safety desk on a real broker: what is held whole is known at once, wants a person, and survives a killed desk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.cli.pipeline import Pipeline
from services.kernel import safety
from services.kernel.errors import ConfigError
from services.kernel.kafka.embedded import EmbeddedKafka, free_ports
from services.kernel.kafka.reader import send
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import load_samples
from services.kernel.vocabulary import Reason, Risk
from tests.operations.exported import samples

pytestmark = pytest.mark.kafka

SECRET = "qzvsecret"  # noqa: S105 - a marker: must not be in anything that the desk shows
MARAC = next(sample for sample in load_samples(ROOT / "samples") if sample.topic.endswith(".marac"))
#: Level 1 after two seconds for an unknown or high risk, level 2 after an hour.
PACE = {"SR_DESK_FIRST_S": "4", "SR_DESK_SECOND_S": "7200"}


class Desk:
    """The service as a process, with its pages and its log."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        (self.port,) = free_ports(1)
        self.log = pipeline.folder / "desk.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SR_")} | PACE
        environment |= self._pipeline.broker.environment("desk") | {"SR_METRICS_PORT": str(self.port)}
        environment |= {"SR_APPROVERS_FILE": str(self._pipeline.keys_dir / "approvers.yaml")}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "services.desk.main"]
            return subprocess.Popen(command, env=environment, stderr=log, stdout=log, cwd=ROOT)

    def restart(self) -> None:
        """As a machine that loses power does it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = self._start()

    def get(self, path: str) -> bytes:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            return error.read()
        except OSError:
            return b"{}"

    def page(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/holds")))

    def ids(self) -> set[str]:
        return {one["id"] for one in self.page().get("holds", [])}

    def figure(self, name: str) -> float | None:
        lines = [line for line in self.get("/metrics").decode().splitlines() if line.startswith(f"{name} ")]
        return float(lines[0].split()[-1]) if lines else None


def until(true: Callable[[], Any], *, seconds: float = 60.0) -> float:
    """Wait until it is so; seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() < began + seconds
        time.sleep(0.1)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Pipeline, Desk]]:
    """A redactor, a router and a desk on a broker of their own."""
    with EmbeddedKafka() as kafka:
        apply(kafka.client_config("admin"), load_topology(), profile="embedded")
        with Pipeline(kafka) as pipeline:
            desk = Desk(pipeline)
            try:
                until(lambda: desk.page().get("ready"), seconds=120)
                pipeline.send([MARAC.message()])
                pipeline.wait(1, seconds=180)  # the workers are up
                yield pipeline, desk
                assert desk.process.poll() is None, desk.log.read_text()
            finally:
                desk.process.terminate()
                assert desk.process.wait(30) == 0


Running = tuple[Pipeline, Desk]


@pytest.fixture(autouse=True)
def nothing_open(running: Running) -> None:
    """Each test begins without an open hold, whatever became of the one before."""
    pipeline, desk = running
    if ids := desk.ids():
        acknowledge(pipeline, *ids)
    until(lambda: desk.page().get("open") == {"0": 0, "1": 0, "2": 0})


def command(pipeline: Pipeline, account: str, *arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as changed:
        for name, value in {**pipeline.broker.environment(account), **PACE}.items():
            changed.setenv(name, value)
        changed.setenv("SR_APPROVERS_FILE", str(pipeline.keys_dir / "approvers.yaml"))
        return CliRunner().invoke(app, list(arguments))


def listed(pipeline: Pipeline, *more: str) -> list[dict[str, Any]]:
    done = command(pipeline, "cli-safety", "safety", "list", "--json", *more)
    assert done.exit_code == 0, (done.output, done.exception)
    return [json.loads(line) for line in done.stdout.splitlines()]


def acknowledge(pipeline: Pipeline, *ids: str) -> Result:
    return command(pipeline, "cli-safety", "safety", "acknowledge", *ids, "--by", "18204", "--reference", "INC-311")


def broken(**referral: Any) -> Message:
    """A referral that is not of its schema, with planted text in key, header and value."""
    message = MARAC.message({**MARAC.value, "referral": {**MARAC.value["referral"], "referrer": SECRET, **referral}})
    return Message(message.topic, SECRET.encode(), message.value, (*message.headers, ("x-note", SECRET.encode())))


def test_a_broken_record_is_known_acknowledged_and_stands_in_the_ledger(running: Running) -> None:
    pipeline, desk = running
    assert desk.ids() == set()
    pipeline.send([broken(riskLevel="high")])
    seconds = until(desk.ids)
    delay = desk.figure("safe_reporting_safety_delay_seconds_sum")
    print(f"\nfrom sending a broken record to the desk's page: {seconds:.2f} s; from hold to knowledge: {delay:.2f} s")
    assert seconds < 30
    assert delay is not None
    assert delay < 15
    (held,) = listed(pipeline)
    assert (held["agency"], held["feed"], held["risk"], held["reason"]) == ("marac-office", "marac", "high", "format")
    assert held["topic"] == MARAC.topic
    assert {held["id"]} == desk.ids()
    table = command(pipeline, "cli-safety", "safety", "list").stdout  # of 80 columns
    assert held["id"] in table
    assert "agency.marac-office.marac/" in "".join(table.split())
    before = len(pipeline.read(safety.ACKNOWLEDGED))
    done = acknowledge(pipeline, held["id"][:6])
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.stdout == f"{held['id']} acknowledged\n"
    until(lambda: desk.ids() == set())
    assert listed(pipeline) == []
    assert "18204" in command(pipeline, "cli-safety", "safety", "list", "--all").stdout
    (gone,) = listed(pipeline, "--all")
    assert gone["acknowledged"]["by"] == "18204"
    again = acknowledge(pipeline, held["id"])
    assert again.exit_code == 0
    assert "was acknowledged by 18204" in again.stdout
    assert len(pipeline.read(safety.ACKNOWLEDGED)) == before + 1
    (entry,) = [entry for entry in pipeline.entries() if entry["service"] == "safety"]
    schema = json.loads((ROOT / "schemas" / "messages" / "ledger-entry.json").read_text())
    assert jsonschema_rs.validator_for(schema).is_valid(entry)
    assert (entry["operation"], entry["why"], entry["by"], entry["reference"]) == (
        "consultation", "safety", "18204", "INC-311",
    )  # fmt: skip
    assert (entry["source"]["topic"], entry["source"]["offset"]) == (held["topic"], held["offset"])


def test_what_is_no_hold_or_not_said_by_somebody_is_refused(running: Running) -> None:
    pipeline, desk = running
    for id_, says in (("0000feed", "`safety list --all`"), ("ab", "is no hold"), ("gate", "two persons open it")):
        done = acknowledge(pipeline, id_)
        assert isinstance(done.exception, ConfigError)
        assert says in str(done.exception)
    before = len(pipeline.read(safety.ACKNOWLEDGED))
    hold = safety.hold(("redacted", 0, 99), 0, Reason.FAULT, agency=None, feed=None, risk=Risk.UNKNOWN)
    send(pipeline.broker.client_config("admin"), [(hold, 0)])
    until(desk.ids)
    (id_,) = desk.ids()
    arguments = ["safety", "acknowledge", id_, "--reference", "INC-311", "--by"]
    for by in ("", "two words"):
        assert isinstance(command(pipeline, "cli-safety", *arguments, by).exception, ConfigError)
    assert len(pipeline.read(safety.ACKNOWLEDGED)) == before
    assert acknowledge(pipeline, id_).exit_code == 0
    until(lambda: desk.ids() == set())


def test_a_double_counts_once_and_garbage_is_shown_and_not_fatal(running: Running) -> None:
    pipeline, desk = running
    source = ("agency.gmp.police-crime", 2, 4711)
    hold = safety.hold(source, 0, Reason.CRASHED, agency="gmp", feed="police-crime", risk=Risk.STANDARD)
    garbage = Message(safety.TOPIC, SECRET.encode(), f"{{{SECRET}".encode())
    send(pipeline.broker.client_config("admin"), [(hold, 2), (hold, 2), (garbage, 1)])
    until(lambda: len(desk.ids()) == 2)
    assert desk.figure("safe_reporting_safety_unreadable") == 1.0
    (shown,) = [one for one in listed(pipeline) if one["topic"] == safety.TOPIC]
    assert (shown["agency"], shown["risk"], shown["partition"]) == (None, "unknown", 1)
    assert acknowledge(pipeline, *desk.ids()).exit_code == 0
    until(lambda: desk.ids() == set())


def test_a_killed_desk_knows_the_same_again_and_repeats_no_alert(running: Running) -> None:
    pipeline, desk = running
    pipeline.send([broken(), broken(riskLevel="standard")])
    until(lambda: desk.page()["open"] == {"0": 0, "1": 2, "2": 0})
    until(lambda: said(pipeline))
    time.sleep(1)
    before, alerts = desk.page(), len(said(pipeline))
    desk.restart()
    until(lambda: desk.page().get("ready"), seconds=120)
    after = desk.page()
    assert [(one["id"], one["level"]) for one in after["holds"]] == [
        (one["id"], one["level"]) for one in before["holds"]
    ]
    assert after["open"] == before["open"]
    time.sleep(3)
    assert len(said(pipeline)) == alerts
    assert acknowledge(pipeline, *desk.ids()).exit_code == 0


def said(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Alerts of the desk."""
    found = [json.loads(one.value.reveal()) for one in pipeline.read("ops.alert") if one.value is not None]
    return [one for one in found if one["service"] == "desk"]


def test_holds_and_acknowledgements_go_on_while_the_gate_is_closed(running: Running, tmp_path: Path) -> None:
    pipeline, desk = running
    assert desk.page()["gate"] is None
    done = command(pipeline, "cli-operator", "gate", "close", "--by", "A1", "--why", "drill", "--slots", "1")
    assert done.exit_code == 0, (done.output, done.exception)
    redacted = sum(entry["service"] == "redactor" for entry in pipeline.entries())
    pipeline.send([*[MARAC.message() for _ in range(8)], broken()])
    pipeline.wait(redacted + 9, seconds=120, routed=False)
    until(lambda: len(desk.ids()) == 1)
    until(lambda: (desk.page()["gate"] or {}).get("records") not in (None, 0))
    shown = next(one for one in listed(pipeline) if one["id"] == "gate")
    print(f"\nbehind the closed gate: 8 records sent, {shown['records']} said to wait")
    assert 8 <= shown["records"] <= 24
    until(lambda: any(one["event"] == "safety_gate_closed" for one in said(pipeline)))
    until(lambda: desk.figure("safe_reporting_safety_gate_level") == 1.0)
    assert "about" in command(pipeline, "cli-safety", "safety", "list").stdout
    live = {re.split(r"[{ ]", line)[0] for line in desk.get("/metrics").decode().splitlines()}
    assert {name for name in samples() if name.startswith("safe_reporting_safety_")} <= live
    assert acknowledge(pipeline, *desk.ids()).exit_code == 0
    until(lambda: desk.ids() == set())
    for person in ("first-approver", "second-approver"):
        key = str(pipeline.keys_dir / "approvers" / f"{person}.dev")
        done = command(
            pipeline, "cli-operator", "gate", "open", str(tmp_path / "open.json"), "--by", person, "--key", key
        )
        assert done.exit_code == 0, (done.output, done.exception)
    until(lambda: desk.page()["gate"] is None)
    assert listed(pipeline) == []


def test_nothing_that_was_planted_is_on_a_page_in_an_alert_or_in_a_log(running: Running) -> None:
    pipeline, desk = running
    shown = [desk.get(path) for path in ("/metrics", "/holds", "/healthz", "/readyz")]
    shown += [one.value.reveal() for topic in ("ops.alert", "ledger") for one in pipeline.read(topic) if one.value]
    shown += [one.value.reveal() for one in pipeline.read(safety.ACKNOWLEDGED) if one.value]
    shown += [desk.log.read_bytes(), json.dumps(listed(pipeline, "--all")).encode()]
    assert all(shown)
    assert not [text for text in shown if SECRET.encode() in text.lower()]
    assert b"Traceback" not in desk.log.read_bytes()
    planted = [one for one in pipeline.read(safety.TOPIC) if one.value and SECRET.encode() in one.value.reveal()]
    assert len(planted) == 1  # what this file itself sent there


def test_a_storm_of_holds_is_few_alerts(running: Running) -> None:
    pipeline, desk = running
    before = len(said(pipeline))
    sources = [("agency.gmp.police-crime", n % 4, 1_000_000 + n) for n in range(5000)]
    storm = [
        (safety.hold(source, 0, Reason.FAULT, agency="gmp", feed="police-crime", risk=Risk.UNKNOWN), source[1])
        for source in sources
    ]
    send(pipeline.broker.client_config("admin"), storm, deadline=120.0)
    seconds = until(lambda: sum(desk.page()["open"].values()) == 5000, seconds=180)
    until(lambda: desk.page()["open"]["1"] == 5000, seconds=60)
    until(lambda: any(one["count"] == 5000 for one in said(pipeline)[before:]), seconds=120)
    time.sleep(5)
    alerts = said(pipeline)[before:]
    print(f"\n5,000 holds known {seconds:.1f} s after they were sent; alerts: {len(alerts)}")
    assert 1 <= len(alerts) <= 5
    assert len(listed(pipeline)) == 5000
    assert len(desk.page()["holds"]) == 100
