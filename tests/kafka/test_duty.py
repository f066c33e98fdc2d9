"""A release under a duty, end to end: proposed by the redactor, released by two persons, once, with its entry."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.cli.pipeline import Pipeline
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.paths import ROOT
from services.kernel.proposal import TOPIC as PROPOSALS
from services.kernel.proposal import Proposal
from services.kernel.record import Inbound
from services.kernel.samples import load_samples
from services.kernel.sealing import open_sealed, unlock

pytestmark = pytest.mark.kafka
TOPIC = "sealed.msa-s52"


@pytest.fixture(scope="module")
def pipeline(broker: EmbeddedKafka) -> Iterator[Pipeline]:
    """Six adults of one kind and one of another were redacted; their proposals lie sealed."""
    sample = next(s for s in load_samples(ROOT / "samples") if s.name == "nrm-03")
    forms = [json.loads(json.dumps(sample.value)) for _ in range(7)]
    for number, form in enumerate(forms):
        form["potentialVictim"]["id"] = f"PV-{number}"
        form["referral"]["id"] = f"NRM-{number}-{time.time_ns()}"
    forms[6]["potentialVictim"]["nationality"] = "Tongan"
    with Pipeline(broker, redactors=1, routers=0, ledgers=1) as made:
        before = len(made.entries())
        made.send([sample.message(form) for form in forms])
        ends = time.monotonic() + 60
        while len(made.entries()) < before + 7:
            assert time.monotonic() < ends
            time.sleep(0.2)
        yield made


@pytest.fixture
def environment(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in pipeline.broker.environment("cli-duty").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SR_APPROVERS_FILE", str(pipeline.keys_dir / "approvers.yaml"))
    return pipeline.keys_dir


def proposals(pipeline: Pipeline, nationality: str = "Brazilian") -> list[Inbound]:
    """Those of this pipeline, whose identity opens them, about somebody of `nationality`; the same order each time."""
    identity = (pipeline.keys_dir / "compliance" / "seal-identity.dev").read_text().strip()
    lock = (pipeline.keys_dir / "lock.dev").read_text().strip()
    found = []
    for record in sorted(pipeline.read(PROPOSALS), key=lambda record: (record.partition, record.offset)):
        try:
            inner = unlock(record.value.reveal() if record.value else b"", lock)
            opened = open_sealed(inner, identity)
        except RefusedError:
            continue
        if msgspec.msgpack.decode(opened, type=Proposal).notification().nationality == nationality:
            found.append(record)
    return found


def name(record: Inbound) -> str:
    return (record.header("sr-proposal") or b"").decode()


def release(keys_dir: Path, file: Path, proposal: str, person: str, reference: str = "MS1-2026-7") -> Result:
    return CliRunner().invoke(
        app,
        [
            "duty", "release", proposal, "--file", str(file), "--by", person,
            "--key", str(keys_dir / "approvers" / f"{person}.dev"), "--reason", "the adult does not consent",
            "--reference", reference, "--identity", str(keys_dir / "compliance" / "seal-identity.dev"),
        ],
    )  # fmt: skip


def released(pipeline: Pipeline, proposal: str) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(record.value.reveal())
        for record in pipeline.read(TOPIC)
        if record.value is not None and name(record) == proposal
    ]


def entries(pipeline: Pipeline, proposal: str) -> list[dict[str, Any]]:
    schema = json.loads((ROOT / "schemas" / "messages" / "ledger-entry.json").read_text())
    found = [e for e in pipeline.entries() if e["service"] == "duty" and e["record"] == proposal]
    for entry in found:
        jsonschema_rs.validator_for(schema).validate(entry)
    return found


def test_two_persons_release_it_once_and_the_ledger_says_so(
    pipeline: Pipeline, environment: Path, tmp_path: Path
) -> None:
    proposal = name(proposals(pipeline)[0])
    done = release(environment, tmp_path / "r.json", proposal, "first-approver")
    assert done.exit_code == 0, done.output
    assert "1 more person must approve" in done.output
    assert released(pipeline, proposal) == []
    done = release(environment, tmp_path / "r.json", proposal, "second-approver")
    assert done.exit_code == 0, done.output
    (sent,) = released(pipeline, proposal)
    assert sent["nationality"] == "Brazilian"
    assert set(sent) == {"nationality", "exploitation", "sex", "age_band", "region", "quarter"}
    (entry,) = entries(pipeline, proposal)
    assert (entry["operation"], entry["approved_by"], entry["reference"]) == (
        "disclosure", ["first-approver", "second-approver"], "MS1-2026-7",
    )  # fmt: skip
    release(environment, tmp_path / "again.json", proposal, "first-approver")
    refused = release(environment, tmp_path / "again.json", proposal, "second-approver").exception
    assert isinstance(refused, RefusedError)
    assert "released before" in str(refused)
    assert len(released(pipeline, proposal)) == 1
    assert [one["outcome"] for one in entries(pipeline, proposal)] == ["forwarded", "withheld"]


def test_a_person_who_would_stand_out_is_told_of_with_less(
    pipeline: Pipeline, environment: Path, tmp_path: Path
) -> None:
    proposal = name(proposals(pipeline, "Tongan")[0])
    for person in ("first-approver", "second-approver"):
        done = release(environment, tmp_path / "r.json", proposal, person)
        assert done.exit_code == 0, (done.output, done.exception)
    (sent,) = released(pipeline, proposal)
    assert sent["nationality"] is None
    assert sent["quarter"] == "2026-Q3"


def test_what_is_refused_leaves_an_entry_and_nothing_else(
    pipeline: Pipeline, environment: Path, tmp_path: Path
) -> None:
    proposal = name(proposals(pipeline)[1])
    before = len(entries(pipeline, proposal))
    release(environment, tmp_path / "r.json", proposal, "first-approver", "PUBLIC-INTEREST")
    refused = release(environment, tmp_path / "r.json", proposal, "second-approver", "PUBLIC-INTEREST").exception
    assert isinstance(refused, RefusedError)
    assert "is not one of `msa-s52`" in str(refused)
    assert released(pipeline, proposal) == []
    assert [e["outcome"] for e in entries(pipeline, proposal)][before:] == ["withheld"]


def test_the_second_person_cannot_sign_another_thing(pipeline: Pipeline, environment: Path, tmp_path: Path) -> None:
    first, second = (name(record) for record in proposals(pipeline)[2:4])
    file = tmp_path / "r.json"
    release(environment, file, first, "first-approver")
    assert isinstance(release(environment, file, second, "second-approver").exception, RefusedError)
    other = release(environment, file, first, "second-approver", "MS1-2026-9").exception
    assert isinstance(other, RefusedError)
    file.write_text("{")
    assert isinstance(release(environment, file, first, "second-approver").exception, ConfigError)
    assert isinstance(release(environment, tmp_path / "n", "nobody", "first-approver").exception, ConfigError)
    assert released(pipeline, first) == released(pipeline, second) == []


def test_the_list_shows_duties_and_proposals_and_no_content(pipeline: Pipeline, environment: Path) -> None:
    shown = CliRunner().invoke(app, ["duty", "list"])
    assert shown.exit_code == 0, shown.output
    assert "Modern Slavery Act" in shown.output
    assert "Brazilian" not in shown.output
    rows = CliRunner().invoke(app, ["duty", "list", "--json"]).output.splitlines()
    assert {name(record) for record in proposals(pipeline)} <= {json.loads(row)["proposal"] for row in rows}
