"""A miss is planted, let out, traced to every copy, recalled and proved; what changed comes back by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from services.cli import drill
from services.cli.app import app
from services.cli.leak_trace import Trace
from services.cli.pipeline import Pipeline
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.samples import Numberer, load_samples
from tests.ledger import independent

pytestmark = pytest.mark.kafka
RECORDS = 600


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with EmbeddedKafka() as broker:
        apply(broker.client_config("admin"), load_topology(), profile="embedded")
        with Pipeline(broker, redactors=2, ledgers=1) as made:
            made.send(list(drill.planted(RECORDS)))
            made.wait(RECORDS, seconds=180)
            yield made


def run(pipeline: Pipeline, *arguments: str, typed: str = "") -> Result:
    with drill.settings_of(pipeline):
        return CliRunner().invoke(app, ["leak", *arguments], input=typed)


def read(file: Path) -> Trace:
    return msgspec.json.decode(file.read_bytes(), type=Trace)


def test_the_drill_finds_and_recalls_every_copy(pipeline: Pipeline, tmp_path: Path) -> None:
    done = drill.run(pipeline, tmp_path, Console(quiet=True))
    assert (done["missed"], done["too many"], done["pack verifies"], done["whole"]) == (0, 0, True, True)
    assert int(str(done["copies by the oracle"])) >= 10
    public = next(pipeline.keys_dir.glob("ledger-pub.*")).read_text().strip()
    assert independent.verify(tmp_path / "pack" / "ledger", public) == done["entries in the evidence pack"]
    timeline = json.loads((tmp_path / "pack" / "timeline.json").read_text())
    assert timeline["notify_until"] > timeline["aware"]
    assert {"became known"} < {step["what"] for step in timeline["steps"]}
    everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"arvonia" not in everything.lower()


def test_partners_are_told_the_same_whatever_the_cause(pipeline: Pipeline) -> None:
    schema = jsonschema_rs.validator_for(json.loads((ROOT / "schemas" / "messages" / "supersede.json").read_text()))
    told = [
        json.loads(record.value.reveal())
        for partner in load_topology().partners
        for record in pipeline.read(f"partner.{partner}")
        if record.value is not None and record.header("ce_type") == b"safe-reporting.supersede"
    ]
    assert len(told) > 20
    assert all(schema.is_valid(one) for one in told)
    assert {tuple(sorted(one)) for one in told} == {("action", "key", "time", "v")}


def test_what_a_recall_sent_is_whole_for_the_auditor(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    drill.caught_up(pipeline)
    for name, value in pipeline.broker.environment("cli-auditor").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SR_LEDGER_DATABASE", pipeline.ledger_database)
    done = CliRunner().invoke(app, ["audit", "reconcile"])
    assert done.exit_code == 0, (done.output, done.exception)


def test_a_second_recall_sends_nothing_and_a_case_is_no_copy(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    done = run(pipeline, "trace", str(file), "--by", "A1", typed="qarvonia\n")
    assert done.exit_code == 0, (done.output, done.exception)
    assert read(file).copies  # until the broker compacts the topic, the copies behind their tombstones are there
    assert "recalled 0 copies" in run(pipeline, "recall", str(file), "--by", "A1").output
    sample = next(s for s in load_samples(ROOT / "samples") if s.name == "police-crime-01")
    record = _send(pipeline, Numberer(ROOT / "schemas")(drill._with_term(sample, "Qarvonia"), 9001))
    done = run(pipeline, "trace", str(tmp_path / "again.json"), "--by", "A1", typed="Q a r v o n i a\n")
    found = read(tmp_path / "again.json")
    theirs = [one for one in found.sent if one.record == record]
    assert theirs
    sentences = ("parcel was left by the gate on [[Qarvonia]] paper", "no mention", "[[a]] [[b]]")
    case = ("case", str(tmp_path / "again.json"), str(tmp_path / "gold.jsonl"), "--type", "COUNTRY_OF_ORIGIN")
    for number, sentence in enumerate(sentences):
        refused = run(pipeline, *case, typed=sentence + "\n").exception
        assert isinstance(refused, ConfigError if number else RefusedError)
    done = run(pipeline, *case, typed="She grew up in [[Qarvonia]] with her aunt\n")
    assert done.exit_code == 0, (done.output, done.exception)
    (line,) = (tmp_path / "gold.jsonl").read_text().splitlines()
    gold = json.loads(line)
    span = gold["spans"][0]
    assert gold["text"][span["s"] : span["e"]] == "Qarvonia"
    first = run(pipeline, "recall", str(tmp_path / "again.json"), "--by", "A1")
    assert f"recalled {len(theirs)} copies" in first.output
    drill.caught_up(pipeline)
    assert "recalled 0 copies" in run(pipeline, "recall", str(tmp_path / "again.json"), "--by", "A1").output
    wrong = run(pipeline, "receipt", str(tmp_path / "again.json"), "--by", "A1", "--partner", "nobody").exception
    assert isinstance(wrong, ConfigError)


def test_what_a_newer_version_would_not_let_out_comes_back_by_itself(pipeline: Pipeline) -> None:
    """The area leaves the pilot in a newer version: nobody may have the record any more."""
    sample = next(s for s in load_samples(ROOT / "samples") if s.name == "police-crime-01")
    number = Numberer(ROOT / "schemas")
    record = _send(pipeline, number(sample, 9002))
    open_ = _allowed(pipeline, record)
    assert open_
    changed = msgspec.structs.replace(sample, value=json.loads(json.dumps(sample.value)))
    changed.value["incident"]["area"] = None
    changed.value["record"]["version"] = 3
    assert _send(pipeline, number(changed, 9002)) == record
    drill.caught_up(pipeline)
    shown = run(pipeline, "due", "--by", "A1", "--dry-run")
    assert {(json.loads(line)["partner"]) for line in shown.output.splitlines()} == open_, shown.output
    assert f"recalled {len(open_)} copies" in run(pipeline, "due", "--by", "A1").output
    drill.caught_up(pipeline)
    assert "recalled 0 copies" in run(pipeline, "due", "--by", "A1").output
    for partner in open_:
        last: dict[Any, bool] = {}
        for message in pipeline.read(f"partner.{partner}"):
            if message.key is not None:
                last[message.key.reveal()] = message.value is None
        entry = next(e for e in pipeline.entries() if e["record"] == record and e["outcome"] == "recalled")
        keys = {d["key"] for d in entry["decisions"] if d["partner"] == partner}
        assert all(last[key.encode()] for key in keys)


def test_what_is_no_trace_is_said(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    assert isinstance(run(pipeline, "recall", str(tmp_path / "t.json"), "--by", "A").exception, ConfigError)
    assert isinstance(run(pipeline, "recall", str(tmp_path / "none"), "--by", "A").exception, ConfigError)
    assert isinstance(run(pipeline, "trace", str(tmp_path / "t.json"), "--by", "A").exception, ConfigError)
    assert isinstance(run(pipeline, "trace", str(tmp_path / "x"), "--by", "A", typed="q\n").exception, ConfigError)
    assert isinstance(run(pipeline, "trace", str(tmp_path / "x"), "--by", "A", "--no-term").exception, ConfigError)


def _send(pipeline: Pipeline, message: Any) -> str:
    """Send one record and return its pseudonym once it was routed and is in the log."""
    before = len(pipeline.entries())
    pipeline.send([message])
    ends = time.monotonic() + 60
    while len(pipeline.entries()) < before + 2:
        assert time.monotonic() < ends
        time.sleep(0.1)
    drill.caught_up(pipeline)
    return str(pipeline.entries()[-1]["record"])


def _allowed(pipeline: Pipeline, record: str) -> set[str]:
    entry = next(e for e in pipeline.entries() if e["record"] == record and e["service"] == "router")
    return {decision["partner"] for decision in entry["decisions"] if decision["effect"] == "allow"}
