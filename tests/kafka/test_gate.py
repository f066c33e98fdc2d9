"""The gate on the real broker: closed at once for every router, also one that stands still; opened by two."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.cli.pipeline import Pipeline
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.samples import Numberer, load_samples

pytestmark = pytest.mark.kafka
PARTNERS = [f"partner.{partner}" for partner in load_topology().partners]


def gate(pipeline: Pipeline, *arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as changed:
        for name, value in pipeline.broker.environment("cli-operator").items():
            changed.setenv(name, value)
        changed.setenv("SR_APPROVERS_FILE", str(pipeline.keys_dir / "approvers.yaml"))
        return CliRunner().invoke(app, ["gate", *arguments])


def send(pipeline: Pipeline, first: int, count: int) -> None:
    number = Numberer(ROOT / "schemas")
    samples = [sample for sample in load_samples(ROOT / "samples") if sample.topic.endswith("police-crime")]
    pipeline.send([number(samples[n % len(samples)], n) for n in range(first, first + count)])


def let_out(pipeline: Pipeline) -> list[int]:
    """Times of append of everything that committed readers see in partners' topics, milliseconds."""
    return [record.timestamp for topic in PARTNERS for record in pipeline.read(topic)]


def redactions(pipeline: Pipeline) -> int:
    return sum(entry["service"] == "redactor" for entry in pipeline.entries())


def wait_for(pipeline: Pipeline, count: int) -> None:
    ends = time.monotonic() + 90
    while redactions(pipeline) < count:
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_nothing_leaves_after_closing_and_nothing_is_lost(pipeline: Pipeline, tmp_path: Path) -> None:
    send(pipeline, 0, 200)
    pipeline.wait(200, seconds=120)
    assert "open" in gate(pipeline, "state").output
    stopped = next(slot for slot in pipeline.slots if slot.service == "router").process
    send(pipeline, 200, 400)
    wait_for(pipeline, 250)
    stopped.send_signal(signal.SIGSTOP)
    done = gate(pipeline, "close", "--by", "A1", "--why", "leak_suspected", "--reference", "INC-7", "--slots", "2")
    assert done.exit_code == 0, (done.output, done.exception)
    (closed,) = [r.timestamp for r in pipeline.read("control") if r.key is not None and r.key.reveal() == b"gate"]
    stopped.send_signal(signal.SIGCONT)
    wait_for(pipeline, 600)  # the redactor goes on
    time.sleep(3.0)
    assert max(let_out(pipeline)) - closed <= 2000
    assert "closed since" in gate(pipeline, "state").output
    entry = next(e for e in pipeline.entries() if e["service"] == "gate")
    assert (entry["why"], entry["by"], entry["reference"]) == ("gate_closed", "A1", "INC-7")

    file = tmp_path / "open.json"

    def opening(person: str, *more: str) -> Result:
        key = str(pipeline.keys_dir / "approvers" / f"{person}.dev")
        return gate(pipeline, "open", str(file), "--by", person, "--key", key, *more)

    assert "one more person" in opening("first-approver").output
    kept = file.read_bytes()
    again = opening("first-approver").exception
    assert isinstance(again, RefusedError)
    spaced = gate(pipeline, "close", "--by", "A 1", "--why", "drill").exception
    assert isinstance(spaced, ConfigError)
    assert "no spaces" in spaced.faults[0]
    before = len(let_out(pipeline))
    time.sleep(1.0)
    assert len(let_out(pipeline)) == before
    done = opening("second-approver")
    assert done.exit_code == 0, (done.output, done.exception)
    pipeline.wait(600, seconds=120)
    seen: dict[tuple[str, bytes], int] = {}
    for topic in PARTNERS:
        for record in pipeline.read(topic):
            assert record.key is not None
            seen[topic, record.key.reveal()] = seen.get((topic, record.key.reveal()), 0) + 1
    assert set(seen.values()) == {1}
    routed = [json.dumps(e["source"], sort_keys=True) for e in pipeline.entries() if e["service"] == "router"]
    assert len(routed) == len(set(routed))

    file.write_bytes(kept)
    assert "open already" in str(opening("second-approver").exception)
    assert gate(pipeline, "close", "--by", "A1", "--why", "drill", "--slots", "2").exit_code == 0
    alone = opening("second-approver").exception  # with what the first signed for the opening before
    assert isinstance(alone, RefusedError)
    assert "older than the last closing" in str(alone)
    assert "closed since" in gate(pipeline, "state").output
    file.unlink()
    entry = next(e for e in pipeline.entries() if e["service"] == "redactor")
    leaked = entry["versions"]["detector"]
    assert "one more person" in opening("first-approver", "--refuse", leaked).output
    assert leaked in opening("second-approver").output
    out, ends = len(let_out(pipeline)), time.monotonic() + 90
    send(pipeline, 600, 50)
    while len(pipeline.read("ops.safety")) < 50:
        assert time.monotonic() < ends
        time.sleep(0.5)
    assert len(let_out(pipeline)) == out
