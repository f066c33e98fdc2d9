"""The ledger over the whole service: reconciled with the topics themselves, and a record without an entry is found."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli import audit_totals
from services.cli.app import app
from services.cli.drill import caught_up
from services.cli.pipeline import Pipeline
from services.kernel.detail import read_detail
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all, send
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import Numberer, load_samples
from services.kernel.sealing import open_sealed
from services.ledger import reconcile, totals
from services.ledger.publish import TOPIC as CHECKPOINTS
from services.ledger.store import Store

pytestmark = pytest.mark.kafka
SERVICES = ("redactor", "router")


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    """A broker of its own: what is reconciled is all that it ever held."""
    with EmbeddedKafka() as broker:
        apply(broker.client_config("admin"), load_topology(), profile="embedded")
        with Pipeline(broker, ledgers=1) as made:
            numbered = Numberer(ROOT / "schemas")
            samples = load_samples(ROOT / "samples")
            made.send([numbered(sample, number) for number, sample in enumerate(samples)])
            made.wait(len(samples), seconds=120)
            caught_up(made)
            yield made


@pytest.fixture
def run(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> object:
    for name, value in pipeline.broker.environment("cli-auditor").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SR_KEYS_DIR", str(pipeline.keys_dir))
    monkeypatch.setenv("SR_LEDGER_DATABASE", pipeline.ledger_database)

    def audit(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["audit", *arguments])

    return audit


def test_the_log_is_whole_and_every_record_has_its_entry(pipeline: Pipeline, run: object) -> None:
    assert callable(run)
    done = run("verify")
    assert done.exit_code == 0, done.output
    assert "whole:" in done.output
    rows = [json.loads(line) for line in run("reconcile", "--json").output.splitlines()]
    compared = [row for row in rows if "place" in row]
    records = {service: sum(r["records"] for r in compared if r["place"][0] == service) for service in SERVICES}
    assert records["redactor"] == len(load_samples(ROOT / "samples"))
    assert records["router"] > 40
    assert all(row["unknown"] == 0 for row in rows if "partner" in row)
    (entries,) = [row for row in rows if "entries" in row]
    assert entries == {"entries": len(pipeline.entries()), "lost": [], "changed": [], "invented": []}
    key = pipeline.keys_dir / "approvers" / "first-approver.dev"
    done = run("reconcile", "--sign-with", str(key))
    assert done.exit_code == 0, (done.output, done.exception)
    assert "reconciled-to" in done.output


def empty_log(folder: Path) -> str:
    """The address of a log without an entry."""
    with Store(f"sqlite:///{folder}/other.db"):
        return f"sqlite:///{folder}/other.db"


def test_the_next_pass_reads_what_came_since(
    pipeline: Pipeline, run: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the signed statement of the last pass, while records flow; then only with the right key and log."""
    assert callable(run)
    key = pipeline.keys_dir / "approvers" / "first-approver.dev"
    state = tmp_path / "reconciled"
    arguments = ("--sign-with", str(key), "--state", str(state), "--publish", "--json")

    def records(output: str) -> int:
        rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        return sum(row["records"] for row in rows if "place" in row and row["place"][0] == "redactor")

    done = run("reconcile", *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    before = records(done.output)
    numbered = Numberer(ROOT / "schemas")
    samples = load_samples(ROOT / "samples")
    pipeline.send([numbered(sample, 1000 + number) for number, sample in enumerate(samples)])
    passes = [run("reconcile", *arguments) for _ in range(3)]  # the first while the services are at work
    pipeline.wait(before + len(samples), seconds=120)
    caught_up(pipeline)
    passes.append(run("reconcile", *arguments))
    assert [one.exit_code for one in passes] == [0] * 4, [one.output for one in passes]
    assert sum(records(one.output) for one in passes) == len(samples)
    assert records(run("reconcile", *arguments).output) == 0
    published = [
        r.key.reveal() for r in read_all(pipeline.broker.client_config("admin"), CHECKPOINTS, name="a") if r.key
    ]
    assert published.count(reconcile.KEY) == 6
    other = pipeline.keys_dir / "approvers" / "second-approver.dev"
    assert "another key's" in str(run("reconcile", "--sign-with", str(other), "--state", str(state)).exception)
    monkeypatch.setenv("SR_LEDGER_DATABASE", empty_log(tmp_path))
    assert "not the one of the last statement" in str(run("reconcile", *arguments).exception)
    assert "need `--sign-with`" in str(run("reconcile", "--state", str(state)).exception)


def test_a_log_behind_its_topic_is_said_and_nothing_is_compared(
    pipeline: Pipeline, run: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(run)
    monkeypatch.setenv("SR_LEDGER_DATABASE", empty_log(tmp_path))
    done = run("reconcile", "--patience", "1")
    assert done.exit_code == 1
    assert "offsets behind its topic after 1 s: is the ledger service up?" in str(done.exception)


def test_sealed_detail_opens_after_its_own_entry(pipeline: Pipeline, run: object) -> None:
    assert callable(run)
    (first, *_) = [json.loads(line) for line in run("search", "--service", "redactor", "--json").output.splitlines()]
    identity = pipeline.keys_dir / "compliance" / "seal-identity.dev"
    before = len(pipeline.entries())
    arguments = ("--identity", str(identity), "--by", "C-1", "--why", "dip_sample")
    done = run("open", str(first["leaf"]), *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "leaves_in" in json.loads(done.output)
    (entry,) = pipeline.entries()[before:]
    assert (entry["operation"], entry["by"], entry["why"]) == ("consultation", "C-1", "dip_sample")
    assert entry["source"]["offset"] == first["entry"]["source"]["offset"]


def test_totals_of_a_day_are_small_numbers_hidden_and_an_entry_first(
    pipeline: Pipeline, run: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(run)
    identity = (pipeline.keys_dir / "compliance" / "seal-identity.dev").read_text().strip()
    arguments = ("--identity", str(pipeline.keys_dir / "compliance" / "seal-identity.dev"), "--by", "C-1", "--json")
    today = datetime.now(UTC).date()
    early = run("totals", str(today), *arguments)
    assert "is not over" in str(early.exception)
    wanted: Counter[tuple[str, str]] = Counter()
    for entry in pipeline.entries():
        if entry["service"] == "redactor" and entry["feed"] and entry["sealed"]:
            detail = read_detail(open_sealed(base64.b64decode(entry["sealed"]), identity))
            wanted.update({(entry["feed"], mask[1]) for mask in detail.masks})
    assert len({feed for feed, _ in wanted}) > 4

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(days=2)

    monkeypatch.setattr(audit_totals, "datetime", Later)
    before = len(pipeline.entries())
    shown = json.loads(run("totals", str(today), *arguments).output)
    for cell in shown["cells"]:
        number = wanted[cell["feed"], cell["class"]]
        assert cell["records"] is None or (number >= 10 and abs(cell["records"] - number) <= 2)
    (entry,) = pipeline.entries()[before:]
    assert (entry["operation"], entry["by"], entry["reference"]) == ("consultation", "C-1", f"totals/{today}")
    monkeypatch.setattr(totals, "LEAST", 0)
    monkeypatch.setattr(totals, "ROUNDED_TO", 1)
    shown = json.loads(run("totals", str(today), *arguments).output)
    assert {(c["feed"], c["class"]): c["records"] for c in shown["cells"] if c["records"]} == dict(wanted)


def test_a_record_without_an_entry_is_named(pipeline: Pipeline, run: object) -> None:
    """What reached a partner's topic past the router, and a record that the log does not know."""
    assert callable(run)
    config = pipeline.broker.client_config("admin")
    send(config, [(Message("partner.housing-gm", b"smuggled", b"{}"), 0)])
    with Store(pipeline.ledger_database) as store, store.connection(write=True) as connection:
        connection.exec_driver_sql(
            "DELETE FROM leaf WHERE idx = (SELECT min(idx) FROM leaf WHERE service = 'redactor' AND idx > 3)"
        )
    done = run("reconcile")
    assert done.exit_code == 1
    assert "partner.housing-gm: 1 of" in done.output
    assert "no entry for offset" in done.output
    assert "ledger: 1 messages are not in the log" in done.output
    assert run("verify").exit_code == 1


def test_the_open_command_refuses_what_it_cannot_record(pipeline: Pipeline, run: object, tmp_path: Path) -> None:
    assert callable(run)
    with pytest.MonkeyPatch.context() as changed:
        for name, value in pipeline.broker.environment("monitor").items():
            changed.setenv(name, value)
        identity = pipeline.keys_dir / "compliance" / "seal-identity.dev"
        done = run("open", "0", "--identity", str(identity), "--by", "C-1", "--why", "audit")
    assert done.exit_code == 1
    assert "leaves_in" not in done.output
    assert "ledger did not take" in str(done.exception)
