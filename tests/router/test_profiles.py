from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest

from services.kernel.errors import ConfigError
from services.kernel.paths import ROOT
from services.router import scenarios
from services.router.partners import load_partners
from services.router.profiles import json_schema, load_profile
from services.router.prove import prove
from services.router.step import load_rules

POLICIES = ROOT / "policies"
COMPARISON = ("npcc-2018", "npcc-2020", "police-discretion")


def test_the_schema_files_are_what_the_loaders_check() -> None:
    assert orjson.loads((POLICIES / "profiles" / "profiles.schema.json").read_bytes()) == json_schema()
    assert orjson.loads((POLICIES / "scenarios.schema.json").read_bytes()) == scenarios.json_schema()


@pytest.mark.parametrize("name", COMPARISON)
def test_no_service_runs_a_profile_for_comparison(name: str) -> None:
    load_profile(POLICIES, name, for_service=False)
    with pytest.raises(ConfigError) as caught:
        load_rules(schemas_dir=ROOT / "schemas", policies_dir=POLICIES, profile=name)
    assert any("for comparison only" in fault for fault in caught.value.faults)


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(POLICIES, "npcc-2019", for_service=False)
    assert "`npcc-2019` is not one of `default`" in caught.value.faults[0]


def test_an_approved_profile_is_the_whole_folder(tmp_path: Path) -> None:
    shutil.copytree(POLICIES, tmp_path / "policies")
    file = tmp_path / "policies" / "profiles" / "profiles.yaml"
    file.write_text(file.read_text().replace("status: comparison", "status: approved"))
    with pytest.raises(ConfigError) as caught:
        load_profile(tmp_path / "policies", "npcc-2018", for_service=True)
    assert "it is `cedar/` itself" in caught.value.faults[0]


@pytest.mark.parametrize("name", COMPARISON)
def test_a_profile_for_comparison_opens_immigration_enforcement(name: str) -> None:
    """So that the comparison shows something, and the proof is seen to find it."""
    enforcement = load_partners(POLICIES / "partners.yaml").by_id["immigration-enforcement"]
    (proof,) = prove(load_profile(POLICIES, name, for_service=False), [enforcement])
    assert "G4-no-enforcement" in {broken.guarantee.name for broken in proof.broken}
