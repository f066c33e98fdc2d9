"""The `policy` commands as a compliance officer runs them, on the project's files and on broken ones."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.kernel.errors import ConfigError
from services.kernel.paths import ROOT

SCENARIO_FILES = sorted((ROOT / "policies" / "scenarios").glob("*.yaml"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", *arguments])


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A copy of the policy folder, to be broken."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    return tmp_path / "policies"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_check_finds_nothing_in_the_project() -> None:
    result = run("check")
    assert result.exit_code == 0, result.output
    assert "14 permits, 17 forbids, 16 partners" in result.output


def test_check_lists_every_fault_of_the_files_at_once(policies: Path) -> None:
    change(policies / "partners.yaml", "purposes: [housing]", "purposes: [resale]")
    change(policies / "areas.yaml", "E08000010", "E08000009")
    change(policies / "cedar" / "permits.cedar", "context.residual == 0", "context.residul == 0")
    result = run("check", "--policies", str(policies))
    assert result.exit_code == 1
    for part in ("resale", "E08000009", "residul"):
        assert part in result.output


def test_check_finds_what_cannot_be_reached_and_what_nobody_tried(policies: Path) -> None:
    forbid = (
        '@id("forbid-nothing")\n@basis("none")\n@summary("never applies")\n'
        'forbid (principal, action == SafeReporting::Action::"receive", resource)\n'
        "when { context.child && !context.child };\n"
    )
    with (policies / "cedar" / "forbids.cedar").open("a") as file:
        file.write("\n" + forbid.replace("context.child && !context.child", "context.residual == 7") + "\n")
    change(policies / "cedar" / "permits.cedar", 'Purpose::"housing"', 'Purpose::"community_safety"')
    result = run("check", "--policies", str(policies))
    assert result.exit_code == 1
    assert "policy `forbid-nothing` can never apply" in result.output
    assert "policy `forbid-nothing` decides no scenario" in result.output
    assert "partner `housing-gm`: no policy permits anything for `housing`" in result.output


def test_every_scenario_comes_out_as_told() -> None:
    result = run("test", "--json")
    found = json.loads(result.output)
    assert (result.exit_code, found["failed"], found["not_decided_by_any_scenario"]) == (0, [], [])
    assert found["scenarios"] >= 120


def test_a_scenario_that_is_told_wrongly_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    for file in SCENARIO_FILES:
        shutil.copy(file, folder)
    change(folder / "consent.yaml", "[forbid-without-consent]", "[forbid-area]")
    change(folder / "boroughs-and-pilot.yaml", "area: Bolton, roles: [victim]", "area: Bolton, roles: [victm]")
    change(folder / "purpose-limitation.yaml", "partners:\n        idva-service", "partners:\n        idva-servce")
    result = run("test", str(folder))
    assert result.exit_code == 1
    assert "decided by forbid-without-consent, not by forbid-area" in result.output
    assert "`when` does not fit: 'idva-servce'" in result.output
    assert "`victm` is not a role" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["housing-gm", "--feed", "council-asb"], "receives a council-asb record"),
        (["housing-gm", "--feed", "police-crime", "--child"], "those who protect or help the child"),
        (["immigration-enforcement", "--feed", "police-crime"], "never receives a record with a protected person"),
        (["probation-gm", "--feed", "police-crime"], "no policy permits it"),
        (["idva-service", "--feed", "nrm"], "its agreement names marac, police-crime of gmp, marac-office"),
        (["victim-support-gm", "--feed", "hate-crime", "--agency", "tprc", "--area", "unknown"], "unknown area"),
        (["housing-gm", "--feed", "council-asb", "--day", "2030-01-01"], "after it ends"),
    ],
)
def test_explain_says_why_in_plain_words(arguments: list[str], says: str) -> None:
    result = run("explain", *arguments)
    assert result.exit_code == 0, result.output
    assert says in result.output


def test_explain_reads_a_ledger_entry(tmp_path: Path) -> None:
    entry = {
        "service": "router", "time": "2026-11-24T12:00:00.000Z", "feed": "police-crime", "id": "x",
        "decisions": [{"partner": "housing-gm", "effect": "deny", "policies": ["forbid-child", "forbid-of-old"],
                       "basis": "", "view": "housing"}],
    }  # fmt: skip
    path = tmp_path / "entry.json"
    path.write_text(json.dumps(entry))
    result = run("explain", "housing-gm", "--entry", str(path))
    assert "does not receive a police-crime record, decided 2026-11-24T12:00:00.000Z" in result.output
    assert "a policy of another version" in result.output
    assert "holds no decision for this partner" in run("explain", "idva-service", "--entry", str(path)).output
    path.write_text("{")
    assert isinstance(run("explain", "housing-gm", "--entry", str(path)).exception, ConfigError)
    assert isinstance(run("explain", "nobody", "--feed", "marac").exception, ConfigError)
    assert isinstance(run("explain", "housing-gm").exception, ConfigError)


@pytest.mark.parametrize(
    ("option", "word", "says"),
    [
        ("--role", "victm", "`victm` is not a role: victim"),
        ("--marker", "nonsense", "`nonsense` is not a marker"),
        ("--area", "Leeds", "`Leeds` is no borough: Bolton"),
        ("--feed", "crime", "`crime` is not a feed"),
    ],
)
def test_a_misspelt_word_is_said_and_not_explained(option: str, word: str, says: str) -> None:
    done = run("explain", "housing-gm", "--feed", "council-asb", option, word)
    assert isinstance(done.exception, ConfigError)
    assert says in done.exception.faults[0]


def test_the_matrix_has_a_line_for_each_partner_and_feed() -> None:
    rows = list(csv.DictReader(io.StringIO(run("matrix", "--format", "csv").output)))
    found = {(row["partner"], row["feed"]): row for row in rows}
    assert found["challenger-hub", "marac"]["victim"] == "all"
    assert found["immigration-enforcement", "marac"]["victim"] == "no"
    assert "domestic_abuse" in found["nhs-safeguarding-gm", "police-crime"]["victim"]
    assert "idva-service by contact, free text, name" in found["victim-support-gm", "police-crime"]["joinable with"]
    assert found["challenger-hub", "marac"]["joinable with"] == ""
    page = run("matrix", "--format", "html").output
    assert page.count("<tr>") == len(rows) + 1
    assert len(json.loads(run("matrix", "--format", "json").output)["rows"]) == len(rows)
    assert "what reaches whom" in run("matrix").output.lower()


def test_compare_shows_what_another_profile_would_have_sent() -> None:
    found = json.loads(run("compare", "default", "npcc-2018", "--json").output)
    enforcement = [row for row in found["rows"] if row["partner"] == "immigration-enforcement"]
    assert found["records"] >= 20
    assert sum(row["default"] for row in enforcement) == 0
    assert sum(row["npcc-2018"] for row in enforcement) > 0
    assert isinstance(run("compare", "default", "nppc").exception, ConfigError)


def test_prove_shows_a_broken_guarantee_and_the_facts(policies: Path) -> None:
    text = (policies / "cedar" / "forbids.cedar").read_text()
    start = text.index('@id("forbid-child")')
    (policies / "cedar" / "forbids.cedar").write_text(text[:start] + text[text.index('@id("forbid-held-text') :])
    keep = (policies / "partners.yaml").read_text()
    head, _, rest = keep.partition("partners:\n")
    housing = rest[rest.index("  - id: housing-gm") : rest.index("  - id: gla-labour")]
    (policies / "partners.yaml").write_text(f"{head}partners:\n{housing}")
    result = run("prove", "--policies", str(policies))
    assert result.exit_code == 1
    assert "children (a record with a child goes only to who protects or helps the child) is broken" in result.output
    assert "child=True" in result.output
    assert "none sampled" in result.output
