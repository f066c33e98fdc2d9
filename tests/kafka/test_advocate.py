"""Coded fields for an advocate, end to end: allowed by the person, sealed, released by two persons, taken back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.cli.pipeline import Pipeline
from services.kernel.consent import Consent, Taken
from services.kernel.errors import RefusedError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.reader import read_all, send
from services.kernel.keys import load, pseudonym, secret
from services.kernel.ledger import rfc3339
from services.kernel.paths import ROOT
from services.kernel.proposal import TOPIC
from services.kernel.record import Message
from services.kernel.samples import Numberer, load_samples

pytestmark = pytest.mark.kafka
SEALED = "sealed.advocate.k7f3a91c"
PERSON = "PC-001P1"


@pytest.fixture(scope="module")
def pipeline(broker: EmbeddedKafka) -> Iterator[Pipeline]:
    with Pipeline(broker, redactors=1, routers=1, ledgers=1) as made:
        yield made
        ends = time.monotonic() + 60
        while unrouted(made):  # another pipeline's router has other keys: leave it nothing
            assert time.monotonic() < ends
            time.sleep(0.2)


def unrouted(pipeline: Pipeline) -> set[tuple[int, int]]:
    routed = {
        (entry["source"]["partition"], entry["source"]["offset"])
        for entry in pipeline.entries()
        if entry["service"] == "router"
    }
    return {(record.partition, record.offset) for record in pipeline.read("redacted")} - routed


@pytest.fixture
def environment(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in pipeline.broker.environment("cli-duty").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SR_APPROVERS_FILE", str(pipeline.keys_dir / "approvers.yaml"))
    return pipeline.keys_dir


def subject(pipeline: Pipeline) -> str:
    return pseudonym(secret(load(pipeline.keys_dir, ["pseudonym"])["pseudonym"]), "gmp", PERSON)


def allow(pipeline: Pipeline, state: str = "given") -> None:
    """Record the consent as the command does; the person is made up."""
    now = int(time.time() * 1000)
    taken = Taken("advocate", True, "v3", "independent", "subject", False, True, False)
    said = Consent(
        v=1, subject=subject(pipeline), recipient="idva-service", purpose="independent_advocacy", scope="f2",
        state=state, at=rfc3339(now), by="A1234", reference="C-7",  # type: ignore[arg-type]  # one of its two words
        expires=rfc3339(now + 86_400_000) if state == "given" else None, taken=taken if state == "given" else None,
        case="k7f3a91c" if state == "given" else None,
    )  # fmt: skip
    send(pipeline.broker.client_config("admin"), [(Message("consent", said.key, msgspec.json.encode(said)), 0)])


def redactions(pipeline: Pipeline) -> int:
    return sum(entry["service"] == "redactor" for entry in pipeline.entries())


def redact(pipeline: Pipeline) -> list[str]:
    """Send the sample once more; ids of the proposals that it led to."""
    sample = next(s for s in load_samples(ROOT / "samples") if s.name == "police-crime-01")
    before = {(record.partition, record.offset) for record in pipeline.read(TOPIC)}
    handled = redactions(pipeline)
    pipeline.send([Numberer(ROOT / "schemas")(sample, time.time_ns())])
    ends = time.monotonic() + 60
    while redactions(pipeline) == handled:
        assert time.monotonic() < ends
        time.sleep(0.1)
    fresh = [record for record in pipeline.read(TOPIC) if (record.partition, record.offset) not in before]
    made = [record for record in fresh if record.header("sr-duty") == b"advocate"]
    return [(record.header("sr-proposal") or b"").decode() for record in made]


def release(keys_dir: Path, file: Path, proposal: str, person: str) -> Result:
    return CliRunner().invoke(
        app,
        [
            "consent", "release", proposal, "--file", str(file), "--by", person, "--reference", "C-7",
            "--key", str(keys_dir / "approvers" / f"{person}.dev"),
            "--identity", str(keys_dir / "compliance" / "seal-identity.dev"),
        ],
    )  # fmt: skip


def test_fields_reach_the_case_of_their_person_while_the_consent_holds(
    pipeline: Pipeline, environment: Path, tmp_path: Path
) -> None:
    assert redact(pipeline) == []  # nobody allowed anything
    allow(pipeline)
    (first,) = redact(pipeline)
    done = release(environment, tmp_path / "r.json", first, "first-approver")
    assert "1 more person must approve" in done.output, (done.output, done.exception)
    done = release(environment, tmp_path / "r.json", first, "second-approver")
    assert done.exit_code == 0, (done.output, done.exception)
    own = read_all(pipeline.broker.client_config("advocate-k7f3a91c"), SEALED, name="advocate-k7f3a91c")
    (sent,) = [msgspec.json.decode(record.value.reveal()) for record in own if record.value is not None]
    assert (sent["case"], sent["scope"]) == ("k7f3a91c", "f2")
    assert {"tag": "IMMIGRATION_STATUS", "name": "status", "value": "overstayer"} in sent["fields"]
    assert {field["tag"] for field in sent["fields"]} == {"IMMIGRATION_STATUS"}
    assert "Dervishaj" not in str(sent)
    (entry,) = [e for e in pipeline.entries() if e["service"] == "duty" and e["record"] == first]
    assert (entry["operation"], entry["decisions"][0]["partner"]) == ("disclosure", "advocate-k7f3a91c")

    (second,) = redact(pipeline)
    release(environment, tmp_path / "s.json", second, "first-approver")
    time.sleep(0.01)
    allow(pipeline, "withdrawn")
    refused = release(environment, tmp_path / "s.json", second, "second-approver").exception
    assert isinstance(refused, RefusedError)
    assert "consent does not hold now" in str(refused)
    assert redact(pipeline) == []
    assert len(list(pipeline.read(SEALED))) == 1
    entries = [e for e in pipeline.entries() if e["service"] == "duty" and e["record"] == second]
    assert [one["outcome"] for one in entries] == ["withheld"]


@pytest.mark.parametrize("principal", ["partner-idva-service", "router", "redactor"])
def test_nobody_else_reads_the_case(pipeline: Pipeline, principal: str) -> None:
    with pytest.raises(RefusedError):
        list(read_all(pipeline.broker.client_config(principal), SEALED, name=principal.removeprefix("partner-")))
