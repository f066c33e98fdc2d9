"""`quarantine` on a real broker: metadata only, and no content without an entry, a second person and the ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.pipeline import Pipeline
from services.kernel import keys
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Message
from services.kernel.samples import load_samples

pytestmark = pytest.mark.kafka
VALUE = b"\xffnot json, Qzvsecret"


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    """A broker of its own, so that the ledger service has only its entries to read; one record is held."""
    with EmbeddedKafka() as broker:
        apply(broker.client_config("admin"), load_topology(), profile="embedded")
        with Pipeline(broker, routers=0, ledgers=1) as made:
            sample = next(s for s in load_samples(ROOT / "samples") if s.topic.endswith("marac"))
            bad = Message(sample.topic, b"k", VALUE, sample.message().headers)
            made.send([bad, bad], partition=lambda _: 2)
            made.wait(2, seconds=60, routed=False)
            yield made


def command(pipeline: Pipeline, *arguments: str, principal: str = "compliance") -> subprocess.CompletedProcess[bytes]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SR_")}
    approvers = {"SR_APPROVERS_FILE": str(pipeline.keys_dir / "approvers.yaml")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli.app", "quarantine", *arguments],
        env=clean | pipeline.broker.environment(principal) | approvers,
        capture_output=True,
        timeout=60,
    )


def listed(pipeline: Pipeline) -> list[dict[str, str]]:
    return [json.loads(line) for line in command(pipeline, "list", "--json").stdout.splitlines()]


def persons(pipeline: Pipeline, *, by: str = "A1", second: str = "second-approver", why: str = "audit") -> list[str]:
    key = str(pipeline.keys_dir / "approvers" / "second-approver.dev")
    return ["--by", by, "--why", why, "--second", second, "--second-key", key]


def identity(pipeline: Pipeline) -> list[str]:
    return ["--identity", str(pipeline.keys_dir / "compliance" / "seal-identity.dev")]


def by_hand(pipeline: Pipeline) -> list[dict[str, object]]:
    return [entry for entry in pipeline.entries() if entry["service"] == "compliance"]


def test_the_list_shows_metadata_and_no_content(pipeline: Pipeline) -> None:
    done = command(pipeline, "list")
    assert done.returncode == 0
    assert b"quarantine: 2" in done.stdout
    assert {row["source"] for row in listed(pipeline)} == {f"agency.marac-office.marac/2/{n}" for n in (0, 1)}
    assert b"format" in done.stdout
    assert b"not_utf8" not in done.stdout
    assert b"Qzvsecret" not in done.stdout


def test_two_persons_open_and_the_ledger_says_who_first(pipeline: Pipeline) -> None:
    before = len(by_hand(pipeline))
    done = command(pipeline, "open", listed(pipeline)[0]["position"], *identity(pipeline), *persons(pipeline))
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip(b"\n") == VALUE
    assert b"not_utf8" in done.stderr
    (entry,) = by_hand(pipeline)[before:]
    assert (entry["by"], entry["why"], entry["outcome"]) == ("A1", "audit", "consulted")
    assert entry["approved_by"] == ["second-approver"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"by": "second-approver"}, b"the second person is the first"),
        ({"second": "first-approver"}, b"does not verify"),
        ({"second": "nobody"}, b"nobody who may approve"),
        ({"by": " "}, b"`--by` is empty"),
    ],
)
def test_what_no_second_person_carries_is_refused(pipeline: Pipeline, change: dict[str, str], says: bytes) -> None:
    position = listed(pipeline)[0]["position"]
    done = command(pipeline, "open", position, *identity(pipeline), *persons(pipeline, **change))
    assert done.returncode in (2, 4)
    assert says in done.stderr
    assert b"Qzvsecret" not in done.stdout
    assert b"Traceback" not in done.stderr


def test_without_the_ledger_service_nothing_is_opened(pipeline: Pipeline) -> None:
    service = next(slot for slot in pipeline.slots if slot.service == "ledger")
    service.process.kill()
    service.process.wait()
    try:
        done = command(pipeline, "open", listed(pipeline)[0]["position"], *identity(pipeline), *persons(pipeline))
        assert done.returncode == 4
        assert b"the ledger service does not answer" in done.stderr
        assert done.stdout == b""
    finally:
        service.process = pipeline._start("ledger", 0)


def test_a_service_may_not_read_quarantine_and_another_identity_opens_nothing(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    done = command(pipeline, "list", principal="router")
    assert done.returncode == 4
    assert b"refuses this principal" in done.stderr
    keys.init_dev(tmp_path, [])
    other = ["--identity", str(tmp_path / "compliance" / "seal-identity.dev")]
    done = command(pipeline, "open", listed(pipeline)[0]["position"], *other, *persons(pipeline))
    assert done.returncode == 4
    assert done.stdout == b""
    assert b"does not open it" in done.stderr


def test_release_goes_through_the_redactor_again(pipeline: Pipeline) -> None:
    before = len(pipeline.entries())
    done = command(pipeline, "release", listed(pipeline)[0]["position"], *identity(pipeline), *persons(pipeline))
    assert done.returncode == 0, done.stderr
    ends = time.monotonic() + 30
    while not [e for e in pipeline.entries()[before:] if e["service"] == "redactor"]:
        assert time.monotonic() < ends
        time.sleep(0.2)
    (again,) = [e for e in pipeline.entries()[before:] if e["service"] == "redactor"]
    assert (again["outcome"], again["source"]["topic"]) == ("quarantined", "agency.marac-office.marac")
    assert pipeline.read("agency.marac-office.marac")[-1].value == pipeline.read("agency.marac-office.marac")[0].value
    assert pipeline.read("partner.idva-service") == []


def test_what_is_destroyed_is_gone_from_the_list_with_its_entry(pipeline: Pipeline) -> None:
    rows = listed(pipeline)
    refused = command(pipeline, "destroy", rows[0]["position"], *persons(pipeline, by="second-approver"))
    assert refused.returncode == 4
    done = command(pipeline, "destroy", rows[0]["position"], *persons(pipeline, why="fault_review"))
    assert done.returncode == 0, done.stderr
    assert [row["position"] for row in listed(pipeline)] == [row["position"] for row in rows[1:]]
    entry = by_hand(pipeline)[-1]
    assert (entry["operation"], entry["approved_by"], entry["why"]) == ("erasure", ["second-approver"], "fault_review")
    gone = command(pipeline, "open", rows[0]["position"], *identity(pipeline), *persons(pipeline))
    assert b"nothing at" in gone.stderr
