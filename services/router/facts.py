"""All that a policy may use: finite facts of one record, one partner and one purpose, made once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from services.kernel.attestation import Claims
from services.kernel.vocabulary import Role
from services.router.partners import Access, ConsentRule, Partner, Purpose, Sensitivity, Standing
from services.router.view_compile import Holds

FEEDS = ("police-crime", "online-report", "hate-crime", "marac", "nrm", "council-asb", "partnership-intel")
MARKERS = (
    "domestic_abuse", "exploitation", "modern_slavery", "hate", "counter_allegation", "burglary", "theft",
    "violence", "fraud", "drugs", "asb", "other",
)  # fmt: skip
#: What makes a record special: who reads it wrongly can find, or go on abusing, the person in it.
_SPECIAL_MARKERS = frozenset({"domestic_abuse", "exploitation", "modern_slavery"})
_SPECIAL_FEEDS = frozenset({"marac", "nrm"})
_NAMESPACE = "SafeReporting"
_ENUMS = (
    ("purpose", "Purpose"),
    ("feed", "Feed"),
    ("immigration_access", "Access"),
    ("sensitivity", "Sensitivity"),
    ("cleared_for", "Sensitivity"),
)
_SETS = (("roles", "Role"), ("markers", "Marker"))


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a policy may use. Finite: no time, no id, no text. `residual` is 0 or 1."""

    purpose: Purpose
    feed: str
    roles: frozenset[str]
    markers: frozenset[str]
    protected: bool
    child: bool
    sensitivity: Sensitivity
    text_held: bool
    residual: int
    area_known: bool
    area_permitted: bool
    pilot_started: bool
    agreement_in_force: bool
    attestation_in_force: bool
    review_in_force: bool
    access_review_in_force: bool
    immigration_access: Access
    consent_required: bool
    consent_given: bool
    cleared_for: Sensitivity
    view_has_text: bool
    text_needed: bool
    view_has_contact: bool
    contact_needed: bool
    view_has_address: bool
    address_needed: bool
    view_aggregate: bool

    def context(self) -> dict[str, Any]:
        """As Cedar reads them: enumerated values are entities, sets are lists of entities."""
        context: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, kind in _ENUMS:
            context[name] = {"__entity": entity(kind, context[name])}
        for name, kind in _SETS:
            context[name] = [{"__entity": entity(kind, value)} for value in sorted(context[name])]
        return context


def entity(kind: str, name: str) -> dict[str, str]:
    """The uid of one entity of the schema."""
    return {"type": f"{_NAMESPACE}::{kind}", "id": str(name)}


#: Every value of every fact, in the order of the fields; of a set, its possible members.
DOMAINS: dict[str, tuple[Any, ...]] = {
    field.name: (False, True) for field in dataclasses.fields(Facts)
} | {
    "purpose": tuple(Purpose),
    "feed": FEEDS,
    "roles": tuple(role.value for role in Role),
    "markers": MARKERS,
    "residual": (0, 1),
    "sensitivity": tuple(Sensitivity),
    "cleared_for": tuple(Sensitivity),
    "immigration_access": tuple(Access),
}  # fmt: skip
#: Facts that are sets: each member is in or out.
SETS = tuple(name for name, _ in _SETS)


def sensitivity(claims: Claims) -> Sensitivity:
    """`special` where a marker, the feed or a child makes it so."""
    special = claims.child or claims.feed in _SPECIAL_FEEDS or not _SPECIAL_MARKERS.isdisjoint(claims.markers)
    return Sensitivity.SPECIAL if special else Sensitivity.STANDARD


def facts_of(
    partner: Partner,
    purpose: Purpose,
    claims: Claims,
    *,
    standing: Standing,
    pilot_started: bool,
    consent_given: bool,
    residual: bool,
    holds: Holds,
) -> Facts:
    """The facts of one record for one purpose of one partner.

    Args:
        standing: what holds for the partner on the day of the batch.
        pilot_started: the record's borough is in the pilot on that day.
        holds: what the partner's view of this feed has room for.
    """
    return Facts(
        purpose=purpose,
        feed=claims.feed,
        roles=frozenset(claims.roles),
        markers=frozenset(claims.markers),
        protected=claims.protected,
        child=claims.child,
        sensitivity=sensitivity(claims),
        text_held=claims.held,
        residual=int(residual),
        area_known=claims.area != "unknown",
        area_permitted=claims.area in partner.boroughs,
        pilot_started=pilot_started,
        agreement_in_force=standing.agreement,
        attestation_in_force=standing.attestation,
        review_in_force=standing.review,
        access_review_in_force=standing.access_review,
        immigration_access=standing.access,
        consent_required=partner.consent is ConsentRule.REQUIRED,
        consent_given=consent_given,
        cleared_for=partner.sensitivity,
        view_has_text=holds.text,
        text_needed=partner.text.needed,
        view_has_contact=holds.contact,
        contact_needed=partner.contact_details.needed,
        view_has_address=holds.address,
        address_needed=partner.address.needed,
        view_aggregate=holds.aggregate,
    )
