"""Retained records through another policy: what would be otherwise is listed, and goes out only with two signatures."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.canary.main import planter_of
from services.cli import drill
from services.cli.app import app
from services.cli.pipeline import Pipeline
from services.kernel.errors import RefusedError
from services.kernel.kafka.embedded import EmbeddedKafka
from services.kernel.kafka.topology import apply, load_topology
from services.kernel.paths import ROOT
from services.kernel.samples import Numberer, load_samples
from services.kernel.settings import Settings

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with EmbeddedKafka() as broker:
        apply(broker.client_config("admin"), load_topology(), profile="embedded")
        with Pipeline(broker, ledgers=1) as made:
            numbered = Numberer(ROOT / "schemas")
            samples = load_samples(ROOT / "samples")
            planter = planter_of(Settings(keys_dir=made.keys_dir))
            planted = [planter.plant(*one, now=int(time.time() * 1000)).message for one in planter.producers]
            made.send([*(numbered(sample, number) for number, sample in enumerate(samples)), *planted])
            made.wait(len(samples) + len(planted), seconds=120)
            drill.caught_up(made)
            yield made


def run(pipeline: Pipeline, *arguments: str, policies: Path | None = None) -> Result:
    wanted = pipeline.broker.environment("cli-replay") | {
        "SR_KEYS_DIR": str(pipeline.keys_dir), "SR_LEDGER_DATABASE": pipeline.ledger_database,
        "SR_APPROVERS_FILE": str(pipeline.keys_dir / "approvers.yaml"),
        "SR_POLICIES_DIR": str(policies or ROOT / "policies"),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as changed:
        for name in [name for name in os.environ if name.startswith("SR_")]:
            changed.delenv(name)
        for name, value in wanted.items():
            changed.setenv(name, value)
        return CliRunner().invoke(app, ["replay", *arguments])


def test_the_same_deployment_would_do_the_same(pipeline: Pipeline, tmp_path: Path) -> None:
    done = run(pipeline, "list", str(tmp_path / "r.json"))
    assert done.exit_code == 0, (done.output, done.exception)
    listed = json.loads((tmp_path / "r.json").read_text())
    assert listed["records"] == len(load_samples(ROOT / "samples"))
    assert listed["differences"] == []


def test_another_policy_is_listed_and_published_with_two_signatures(pipeline: Pipeline, tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", policies)
    areas = (policies / "areas.yaml").read_text()
    (policies / "areas.yaml").write_text(areas.replace("Manchester, from: 2026", "Manchester, from: 2099"))
    file = tmp_path / "r.json"
    done = run(pipeline, "list", str(file), policies=policies)
    assert done.exit_code == 0, (done.output, done.exception)
    differences = json.loads(file.read_text())["differences"]
    assert differences
    assert all(one["lost"] and not one["gained"] and not one["redacted_otherwise"] for one in differences)
    assert "no longer to" in done.output
    text = file.read_text()
    assert "Dervishaj" not in text
    before = len(pipeline.read("agency.gmp.police-crime"))
    first, second = (str(pipeline.keys_dir / "approvers" / f"{who}-approver.dev") for who in ("first", "second"))
    options = ["--reason", "an agreement ended"]
    as_first = ["publish", str(file), "--by", "first-approver", "--key", first, *options]
    as_second = ["publish", str(file), "--by", "second-approver", "--key", second, *options]
    assert "one more person" in run(pipeline, *as_first).output
    twice = run(pipeline, *as_first).exception
    assert isinstance(twice, RefusedError)
    assert len(pipeline.read("agency.gmp.police-crime")) == before
    done = run(pipeline, *as_second)
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"{len(differences)} of {len(differences)} records sent again" in done.output
    count = sum(one["topic"] == "agency.gmp.police-crime" for one in differences)
    ends = time.monotonic() + 30
    while len(pipeline.read("agency.gmp.police-crime")) < before + count:
        assert time.monotonic() < ends
        time.sleep(0.2)
    assert isinstance(run(pipeline, *as_second).exception, RefusedError)


def test_a_changed_list_carries_no_signature(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    one = {
        "topic": "agency.gmp.police-crime", "partition": 0, "offset": 0, "leaf": 1, "record": None, "was": "redacted",
        "now": "redacted", "redacted_otherwise": True, "gained": [], "lost": [],
    }  # fmt: skip
    file.write_text(json.dumps({"records": 1, "differences": [one]}))
    first, second = (str(pipeline.keys_dir / "approvers" / f"{who}-approver.dev") for who in ("first", "second"))
    run(pipeline, "publish", str(file), "--by", "first-approver", "--key", first, "--reason", "x")
    held = json.loads(file.read_text())
    held["differences"][0]["offset"] = 1
    file.write_text(json.dumps(held))
    refused = run(pipeline, "publish", str(file), "--by", "second-approver", "--key", second, "--reason", "x").exception
    assert isinstance(refused, RefusedError)
    assert "other content" in str(refused)
