from __future__ import annotations

import dataclasses
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import cedarpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kernel.errors import ConfigError
from services.kernel.paths import ROOT
from services.router.facts import DOMAINS, FEEDS, SETS, Facts
from services.router.partners import Access, Purpose, Sensitivity
from services.router.policy import DEFAULT, Policies, load_policies

CEDAR = ROOT / "policies" / "cedar"
OPEN = Facts(
    purpose=Purpose.HOUSING,
    feed="council-asb",
    roles=frozenset({"victim"}),
    markers=frozenset({"asb"}),
    protected=True,
    child=False,
    sensitivity=Sensitivity.STANDARD,
    text_held=False,
    residual=0,
    area_known=True,
    area_permitted=True,
    pilot_started=True,
    agreement_in_force=True,
    attestation_in_force=True,
    review_in_force=True,
    access_review_in_force=True,
    immigration_access=Access.NONE,
    consent_required=False,
    consent_given=False,
    cleared_for=Sensitivity.STANDARD,
    view_has_text=False,
    text_needed=False,
    view_has_contact=False,
    contact_needed=False,
    view_has_address=True,
    address_needed=True,
    view_aggregate=False,
)
facts_strategy = st.builds(
    Facts,
    **{
        name: st.frozensets(st.sampled_from(values), max_size=3) if name in SETS else st.sampled_from(values)
        for name, values in DOMAINS.items()
    },
)


@pytest.fixture(scope="module")
def policies() -> Policies:
    return load_policies(CEDAR)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(CEDAR, tmp_path / "cedar")
    return tmp_path / "cedar"


def test_a_permit_names_itself_and_its_basis(policies: Policies) -> None:
    ruling = policies.decide("p", "v", OPEN)
    assert ruling.allowed
    assert ruling.effect == "allow"
    assert ruling.policies == ("permit-housing",)
    assert "Crime and Disorder Act 1998" in ruling.basis


@pytest.mark.parametrize(
    ("change", "policy"),
    [
        ({"residual": 1}, "forbid-residual"),
        ({"area_permitted": False}, "forbid-area"),
        ({"area_known": False}, "forbid-area"),
        ({"agreement_in_force": False}, "forbid-agreement-not-in-force"),
        ({"attestation_in_force": False}, "forbid-attestation-not-in-force"),
        ({"review_in_force": False}, "forbid-review-not-in-force"),
        ({"immigration_access": Access.YES}, "forbid-immigration-access"),
        ({"immigration_access": Access.UNKNOWN}, "forbid-immigration-access"),
        ({"consent_required": True}, "forbid-without-consent"),
        ({"view_has_text": True}, "forbid-text-without-need"),
        ({"view_has_contact": True}, "forbid-contact-without-need"),
        ({"address_needed": False}, "forbid-address-without-need"),
        ({"pilot_started": False}, "forbid-before-pilot"),
        ({"access_review_in_force": False}, "forbid-access-review-not-in-force"),
        ({"sensitivity": Sensitivity.SPECIAL}, "forbid-special-without-clearance"),
        ({"child": True}, "forbid-child"),
        ({"purpose": Purpose.RESEARCH, "text_held": True}, "forbid-held-text-in-research"),
        ({"purpose": Purpose.CUSTODY, "feed": "police-crime"}, "forbid-custody"),
        ({"purpose": Purpose.IMMIGRATION_ENFORCEMENT}, "forbid-immigration-enforcement"),
    ],
)
def test_one_closed_fact_refuses_and_is_named(policies: Policies, change: dict[str, Any], policy: str) -> None:
    ruling = policies.decide("p", "v", dataclasses.replace(OPEN, **change))
    assert not ruling.allowed
    assert policy in (*ruling.policies, *ruling.sealed)


def test_a_sealed_policy_refuses_without_its_name_or_basis_in_the_open(policies: Policies) -> None:
    ruling = policies.decide("p", "v", dataclasses.replace(OPEN, residual=1))
    assert (ruling.allowed, ruling.policies, ruling.basis) == (False, (DEFAULT,), "DPA 2018 s.35")
    assert ruling.sealed == ("forbid-residual",)


def test_a_refusal_always_names_something_and_never_a_permit(policies: Policies) -> None:
    unpermitted = policies.decide("p", "v", dataclasses.replace(OPEN, feed="marac"))
    assert policies.decide("p", "v", OPEN).refused("why") == dataclasses.replace(unpermitted, errors=("why",))
    closed = policies.decide("p", "v", dataclasses.replace(OPEN, area_known=False))
    assert closed.refused("why").policies == closed.policies == ("forbid-area",)
    residual = dataclasses.replace(OPEN, residual=1, area_known=False)
    assert policies.decide("p", "v", residual).policies == closed.policies


@pytest.mark.parametrize("feed", sorted(set(FEEDS) - {"council-asb", "police-crime"}))
def test_no_permit_no_record(policies: Policies, feed: str) -> None:
    ruling = policies.decide("p", "v", dataclasses.replace(OPEN, feed=feed))
    assert ruling.effect == "deny"
    assert ruling.policies == (DEFAULT,)


@settings(max_examples=150, deadline=None)
@given(facts=facts_strategy)
def test_nothing_opens_without_every_condition(policies: Policies, facts: Facts) -> None:
    if policies.decide("p", "v", facts).allowed:
        assert facts.residual == 0
        assert facts.area_known
        assert facts.area_permitted
        assert facts.agreement_in_force
        assert facts.attestation_in_force
        assert facts.review_in_force
        assert facts.access_review_in_force
        assert facts.pilot_started
        assert facts.immigration_access is Access.NONE
        assert facts.purpose is not Purpose.IMMIGRATION_ENFORCEMENT


# -- the guard -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "reasons", "errors"),
    [
        ("Allow", ["permit-housing"], ["an error in another policy"]),
        ("Allow", [], []),
        ("Allow", ["permit-nobody-knows"], []),
        ("Allow", ["forbid-residual"], []),
        ("NoDecision", [], []),
        ("NoDecision", ["permit-housing"], []),
        ("Deny", ["permit-housing"], []),
        ("Deny", [], ["an error"]),
    ],
)
def test_anything_but_a_clean_allow_refuses(
    policies: Policies, monkeypatch: pytest.MonkeyPatch, decision: str, reasons: list[str], errors: list[str]
) -> None:
    answer = cedarpy.AuthzResult({"decision": decision, "diagnostics": {"reason": reasons, "errors": errors}})
    monkeypatch.setattr(cedarpy, "is_authorized", lambda *_: answer)
    fresh = load_policies_without_probe(monkeypatch)
    assert not fresh.decide("p", "v", OPEN).allowed


def load_policies_without_probe(monkeypatch: pytest.MonkeyPatch) -> Policies:
    monkeypatch.setattr(Policies, "probe", lambda _: [])
    return load_policies(CEDAR)


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, RuntimeError])
def test_an_exception_refuses(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail(*_: Any) -> Any:
        raise error("broken")

    monkeypatch.setattr(cedarpy, "is_authorized", fail)
    ruling = load_policies_without_probe(monkeypatch).decide("p", "v", OPEN)
    assert not ruling.allowed
    assert ruling.errors == (error.__name__,)


@pytest.mark.parametrize(
    "change",
    [{"feed": "unheard-of"}, {"purpose": "resale"}, {"roles": frozenset({"passer_by"})}, {"residual": "none"}],
)
def test_a_fact_that_the_schema_does_not_know_refuses_with_an_error(policies: Policies, change: dict[str, Any]) -> None:
    ruling = policies.decide("p", "v", dataclasses.replace(OPEN, **change))
    assert not ruling.allowed
    assert ruling.errors


def test_the_schema_goes_with_every_call(policies: Policies, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = cedarpy.is_authorized
    monkeypatch.setattr(cedarpy, "is_authorized", lambda *given: seen.append(given[3]) or real(*given))
    policies.decide("somebody-new", "v", OPEN)
    assert [type(schema) for schema in seen] == [cedarpy.Schema]


def test_the_same_facts_are_asked_once(policies: Policies, monkeypatch: pytest.MonkeyPatch) -> None:
    first = policies.decide("asked-once", "v", OPEN)
    monkeypatch.setattr(cedarpy, "is_authorized", None)
    assert policies.decide("asked-once", "v", OPEN) is first


# -- forbids only close ----------------------------------------------------------------------------------

CONDITIONS = (
    "context.child",
    "context.protected",
    'context.feed == SafeReporting::Feed::"marac"',
    'context.roles.contains(SafeReporting::Role::"suspect")',
    'context.markers.contains(SafeReporting::Marker::"hate")',
    "context.residual == 0",
    "!context.text_needed",
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=st.sampled_from(CONDITIONS), asked=st.lists(facts_strategy, min_size=3, max_size=6))
def test_adding_a_forbid_never_adds_an_allow(
    policies: Policies, folder: Path, condition: str, asked: list[Facts]
) -> None:
    added = f'@id("added") @basis("test") @summary("test") forbid (principal, action, resource) when {{ {condition} }};'
    (folder / "added.cedar").write_text(added)
    stricter = load_policies(folder)
    for facts in [*asked, OPEN]:
        if stricter.decide("p", "v", facts).allowed:
            assert policies.decide("p", "v", facts).allowed


# -- files -----------------------------------------------------------------------------------------------


def faults_of(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_policies(folder)
    return caught.value.faults


def test_every_fault_of_every_file_is_listed(folder: Path) -> None:
    (folder / "broken.cedar").write_text("permit (principal, action, resource")
    (folder / "unknown.cedar").write_text(
        '@id("typo") @basis("b") @summary("s") forbid (principal, action, resource)'
        ' when { context.purpose == SafeReporting::Purpose::"victim_suport" };'
    )
    (folder / "bare.cedar").write_text("forbid (principal, action, resource);")
    (folder / "twice.cedar").write_text(
        '@id("forbid-residual") @basis("b") @summary("s") forbid (principal, action, resource);'
    )
    (folder / "loose.cedar").write_text(
        '@id("loose") @basis("b") @summary("s") permit (principal, action, resource)'
        " when { context.residual == 0 || context.agreement_in_force };"
    )
    (folder / "taken.cedar").write_text(
        f'@id("{DEFAULT}") @basis("b") @summary("s") forbid (principal, action, resource);'
    )
    (folder / "hidden.cedar").write_text(
        '@id("hidden") @basis("b") @summary("s") @sealed permit (principal, action, resource);'
    )
    faults = "\n".join(faults_of(folder))
    for part in (
        "permit `hidden` is `@sealed`",
        "`taken.cedar`: `deny-by-default` names the refusal",
        "`broken.cedar`",
        "victim_suport",
        "has no `@id`",
        "has no `@basis`",
        "has no `@summary`",
        '`@id("forbid-residual")` is used by another policy',
        "permit `loose` does not demand `residual == 0`",
        "permit `loose` does not demand `agreement_in_force`",
        "permit `loose` does not demand `area_permitted`",
    ):
        assert part in faults


def test_a_missing_schema_and_no_policy_are_faults(tmp_path: Path) -> None:
    faults = "\n".join(faults_of(tmp_path))
    assert "schema.cedarschema" in faults
    assert "no permit" in faults


def test_a_schema_that_does_not_fit_the_vocabulary_stops_the_start(folder: Path) -> None:
    schema = folder / "schema.cedarschema"
    schema.write_text(schema.read_text().replace('"professional", ', "").replace('"other"', '"misc"'))
    assert any("does not fit the vocabulary" in fault for fault in faults_of(folder))


def test_the_digest_names_the_version(policies: Policies, folder: Path) -> None:
    assert load_policies(folder).digest == policies.digest
    path = folder / "forbids.cedar"
    path.write_text(path.read_text() + "\n// a comment\n")
    assert load_policies(folder).digest != policies.digest


def test_dates_are_not_facts() -> None:
    kinds = {field.type for field in dataclasses.fields(Facts)}
    assert not any(str(date.__name__) in str(kind) for kind in kinds)
