"""The proof holds for the project's policies, and each guarantee finds a fault that was put in on purpose."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest

from services.kernel.errors import ConfigError
from services.kernel.paths import ROOT
from services.router.facts import DOMAINS, SETS, Facts
from services.router.guarantees import FEEDS_OF, GUARANTEES
from services.router.partners import Partner, Purpose, Registry, Standing, load_partners
from services.router.policy import Policies, conjuncts, load_policies
from services.router.prove import COMBINATIONS, Proof, prove, prove_sharing
from services.router.truth import Axis, spell, tables

Static = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def policies() -> Policies:
    return load_policies(ROOT / "policies" / "cedar")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_partners(ROOT / "policies" / "partners.yaml")


def reads(term: dict[str, Any], fact: str) -> bool:
    """Whether an expression (Cedar's JSON form) reads a fact."""
    return f"'attr': '{fact}'" in str(term)


def loosen(static: Static, *, drop: tuple[str, ...] = (), forget: tuple[str, ...] = ()) -> Static:
    """The same policies without those of `drop`, and with no permit that asks for a fact of `forget`."""
    made = {name: copy.deepcopy(policy) for name, policy in static.items() if name not in drop}
    for policy in made.values():
        if policy["effect"] == "permit":
            for condition in policy["conditions"]:
                terms = [t for t in conjuncts(condition["body"]) if not any(reads(t, fact) for fact in forget)]
                body = terms[0]
                for term in terms[1:]:
                    body = {"&&": {"left": body, "right": term}}
                condition["body"] = body
    assert made != static
    return made


def open_enforcement(static: Static) -> Static:
    """A permit of another purpose, turned to immigration enforcement."""
    made = loosen(static, drop=("forbid-immigration-enforcement",))
    text = json.dumps(made["permit-organised-crime-coordination"])
    turned = text.replace("organised_crime_coordination", "immigration_enforcement")
    made["permit-organised-crime-coordination"] = json.loads(turned)
    return made


def mutation(*drop: str, forget: str = "") -> Callable[[Static], Static]:
    return lambda static: loosen(static, drop=drop, forget=tuple(forget.split()))


#: guarantee -> the partner it is seen at, and the fault.
MUTATIONS: dict[str, tuple[str, Callable[[Static], Static]]] = {
    "G1-no-residual": ("challenger-hub", mutation("forbid-residual", forget="residual")),
    "G4-no-enforcement": ("immigration-enforcement", open_enforcement),
    "purpose-limitation": ("idva-service", mutation(forget="feed")),
    "custody-unprotected": ("custody-suite", mutation("forbid-custody", forget="protected")),
    "no-immigration-staff": ("challenger-hub", mutation("forbid-immigration-access")),
    "access-reviewed": (
        "challenger-hub",
        mutation("forbid-access-review-not-in-force", forget="access_review_in_force"),
    ),
    "area": ("challenger-hub", mutation("forbid-area")),
    "pilot": ("challenger-hub", mutation("forbid-before-pilot", forget="pilot_started")),
    "agreement": ("challenger-hub", mutation("forbid-agreement-not-in-force", forget="agreement_in_force")),
    "attestation": ("challenger-hub", mutation("forbid-attestation-not-in-force", forget="attestation_in_force")),
    "review": ("challenger-hub", mutation("forbid-review-not-in-force", forget="review_in_force")),
    "consent": ("challenger-hub", mutation("forbid-without-consent")),
    "clearance": ("challenger-hub", mutation("forbid-special-without-clearance")),
    "children": ("housing-gm", mutation("forbid-child")),
    "only-children": ("childrens-social-care-gm", mutation(forget="child")),
    "only-accused": ("probation-gm", mutation(forget="roles")),
    "text": ("challenger-hub", mutation("forbid-text-without-need")),
    "contact": ("challenger-hub", mutation("forbid-contact-without-need")),
    "address": ("challenger-hub", mutation("forbid-address-without-need")),
    "research-aggregate": ("research-observatory", mutation("forbid-held-text-in-research")),
}


def proofs(static: Static, policies: Policies, *partners: Partner) -> list[Proof]:
    return list(prove(Policies(static, policies.schema, digest="mutant"), partners))


def test_every_guarantee_is_kept_by_the_policies_of_the_project(policies: Policies, registry: Registry) -> None:
    done = list(prove(policies, registry.partners))
    assert [proof.partner for proof in done] == [partner.id for partner in registry.partners]
    assert all(proof.kept for proof in done)
    assert all(proof.cross_checked > 200 for proof in done)
    assert {proof.partner for proof in done if not proof.allowed} == {"immigration-enforcement"}
    assert sum(proof.combinations for proof in done) < COMBINATIONS


def test_every_guarantee_has_a_mutation() -> None:
    assert set(MUTATIONS) == {guarantee.name for guarantee in GUARANTEES}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_in_the_policies_is_found(policies: Policies, registry: Registry, name: str) -> None:
    partner, mutate = MUTATIONS[name]
    (proof,) = proofs(mutate(policies.static), policies, registry.by_id[partner])
    broken = {found.guarantee.name: found for found in proof.broken}
    assert name in broken
    assert not proof.differs
    facts = Facts(**{**first(), **broken[name].facts})
    assert Policies(mutate(policies.static), policies.schema, digest="mutant").decide("p", "v", facts).allowed


def first() -> dict[str, Any]:
    return {fact: frozenset() if fact in SETS else values[0] for fact, values in DOMAINS.items()}


@pytest.mark.parametrize("name", ["permit-offender-management", "forbid-child", "forbid-area", "permit-research"])
def test_the_joined_table_is_what_cedar_says_of_the_whole_policy(policies: Policies, name: str) -> None:
    (table,) = tables({name: policies.static[name]}, policies.schema, "p", "v")
    axes = tuple(sorted(table.axes, key=str))
    alone = Policies({name: policies.static[name]}, policies.schema, digest="alone")
    for values in itertools.islice(itertools.product(*(axis.values for axis in axes)), 0, None, 7):
        facts = Facts(**{**first(), **spell(axes, values)})
        answer = alone._ask("p", "v", facts)
        joined = all(
            term.holds[tuple(axis.values.index(values[axes.index(axis)]) for axis in term.axes)] for term in table.terms
        )
        assert (name in answer.diagnostics.reasons) == joined


def test_a_set_that_is_not_read_by_naming_members_is_refused(policies: Policies) -> None:
    odd = copy.deepcopy(policies.static["forbid-child"])
    odd["conditions"] = [
        {
            "kind": "when",
            "body": {
                "==": {
                    "left": {".": {"left": {"Var": "context"}, "attr": "roles"}},
                    "right": {".": {"left": {"Var": "context"}, "attr": "roles"}},
                }
            },
        }
    ]
    with pytest.raises(ConfigError) as caught:
        tables({"odd": odd}, policies.schema, "p", "v")
    assert "naming members" in caught.value.faults[0]


def test_a_policy_of_one_partner_alone_is_seen_for_that_partner(policies: Policies, registry: Registry) -> None:
    opened = loosen(policies.static, drop=("forbid-residual",), forget=("residual",))
    permit = opened["permit-organised-crime-coordination"]
    permit["principal"] = {"op": "==", "entity": {"type": "SafeReporting::Partner", "id": "challenger-hub"}}
    hub = registry.by_id["challenger-hub"]
    (named,) = proofs(opened, policies, hub)
    (other,) = proofs(opened, policies, msgspec.structs.replace(hub, id="another-hub"))
    assert [found.guarantee.name for found in named.broken] == ["G1-no-residual"]
    assert (other.broken, other.allowed) == ((), 0)


def test_a_shared_system_closes_whoever_shares_it(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    done = prove_sharing(registry)
    pairs = len(registry.partners) * (len(registry.partners) - 1) // 2
    assert (done.combinations, done.open) == (pairs * 36, ())
    own = Registry._standing

    def forgetful(self: Registry, partner: Partner, today: date) -> Standing:
        return own(Registry([partner]), partner, today)

    monkeypatch.setattr(Registry, "_standing", forgetful)
    assert set(prove_sharing(registry).open) == set(registry.by_id)


def test_feeds_of_each_purpose_are_said_for_all_but_enforcement() -> None:
    assert set(FEEDS_OF) == set(Purpose) - {Purpose.IMMIGRATION_ENFORCEMENT}
    assert str(Axis("roles", "suspect")) == "roles.suspect"
