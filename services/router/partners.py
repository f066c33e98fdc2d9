"""The registry of partners: who may receive what, for which purpose, and how long that holds.

`policies/partners.yaml` is read once at the start; every fault is listed and any fault stops the start.
Dates are days in Europe/London, both ends included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.kernel import policy_file
from services.kernel.errors import ConfigError
from services.kernel.london import london
from services.kernel.policy_file import Strict

SCHEMA_ID = "urn:safe-reporting:partners:1.0"


class Purpose(StrEnum):
    """What a partner may use a record for."""

    VICTIM_SUPPORT = "victim_support"
    INDEPENDENT_ADVOCACY = "independent_advocacy"
    COMMUNITY_SAFETY = "community_safety"
    HOUSING = "housing"
    CHILDRENS_SAFEGUARDING = "childrens_safeguarding"
    ADULTS_SAFEGUARDING = "adults_safeguarding"
    HEALTHCARE = "healthcare"
    VICTIM_IDENTIFICATION = "victim_identification"
    LABOUR_EXPLOITATION = "labour_exploitation"
    THIRD_PARTY_REPORTING = "third_party_reporting"
    ORGANISED_CRIME_COORDINATION = "organised_crime_coordination"
    OFFENDER_MANAGEMENT = "offender_management"
    RESEARCH = "research"
    CUSTODY = "custody"
    IMMIGRATION_ENFORCEMENT = "immigration_enforcement"


class Access(StrEnum):
    """Whether immigration staff can reach the systems that hold what a partner receives."""

    NONE = "none"
    YES = "yes"
    UNKNOWN = "unknown"


class Sensitivity(StrEnum):
    """How grave it is if a record is read by the wrong person; `special` from abuse, slavery, a child, some feeds."""

    STANDARD = "standard"
    SPECIAL = "special"


class ConsentRule(StrEnum):
    """Whether a person's recorded consent is needed; without a record it is absent."""

    NONE = "none"
    REQUIRED = "required"


Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)]
Borough = Annotated[str, Meta(pattern=r"^E080000(0[1-9]|10)$", description="ONS code of one of the ten boroughs")]
Line = Annotated[str, Meta(min_length=1, max_length=200)]


class ImmigrationAccess(Strict, frozen=True):
    """The last review of who reaches the partner's systems; after `until` it counts as unknown."""

    answer: Access
    reviewed: date
    until: date


class Agreement(Strict, frozen=True, rename={"from_": "from"}):
    """The sharing agreement: its reference, first and last day, and the day it must be reviewed by."""

    ref: Line
    from_: date
    until: date
    review: date


class Attestation(Strict, frozen=True):
    """The partner's signed word that nothing is shared onward, and its last day."""

    by: Line
    until: date


class Need(Strict, frozen=True):
    """Whether the agreement names a need for a kind of data, and why."""

    needed: bool
    why: str = ""


class Partner(Strict, frozen=True):
    """One recipient: its organisation, what it receives, and the terms."""

    id: Slug
    name: Line
    legal_entity: Slug
    systems: Annotated[tuple[Slug, ...], Meta(min_length=1)]
    immigration_access: ImmigrationAccess
    purposes: Annotated[tuple[Purpose, ...], Meta(min_length=1)]
    boroughs: Annotated[tuple[Borough, ...], Meta(min_length=1)]
    agencies: Annotated[tuple[Slug, ...], Meta(min_length=1)]
    feeds: Annotated[tuple[Slug, ...], Meta(min_length=1)]
    view: Slug
    agreement: Agreement
    attestation: Attestation
    consent: ConsentRule
    sensitivity: Sensitivity
    text: Need
    contact_details: Need  # names too: who is called is named
    address: Need
    principal: Annotated[str, Meta(pattern=r"^User:[A-Za-z0-9._-]+$")]
    contact: Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+$")]

    @property
    def topic(self) -> str:
        """The partner's own topic."""
        return f"partner.{self.id}"


class PartnersFile(Strict, frozen=True):
    """The whole file."""

    version: Annotated[int, Meta(ge=1, le=1)]
    partners: Annotated[tuple[Partner, ...], Meta(min_length=1)]


class Standing(msgspec.Struct, frozen=True):
    """What holds for one partner today: the only form in which time enters a decision."""

    agreement: bool
    attestation: bool
    review: bool
    access: Access
    access_review: bool

    @property
    def closes(self) -> list[str]:
        """Why nothing may go to the partner, whatever the record says; empty where nothing stands against it."""
        checks = (
            (self.agreement, "its agreement is not in force"),
            (self.attestation, "its attestation ran out"),
            (self.review, "the review of its agreement is overdue"),
            (self.access is Access.NONE, "immigration staff reach its systems, or may"),
            (self.access_review, "the review of who reaches its systems ran out"),
        )
        return [why for holds, why in checks if not holds]


class Registry:
    """All partners, checked; `digest` names this version in every decision."""

    def __init__(self, partners: Iterable[Partner]) -> None:
        self.partners = tuple(partners)
        self.by_id: Mapping[str, Partner] = {partner.id: partner for partner in self.partners}
        self.digest = hashlib.sha256(msgspec.json.encode(self.partners)).hexdigest()[:16]
        self._subscribers: dict[tuple[str, str], tuple[Partner, ...]] = {}
        for partner in self.partners:
            for agency in partner.agencies:
                for feed in partner.feeds:
                    held = self._subscribers.get((agency, feed), ())
                    self._subscribers[agency, feed] = (*held, partner)

    def subscribers(self, agency: str, feed: str) -> tuple[Partner, ...]:
        """Partners whose agreement names both the agency and the feed."""
        return self._subscribers.get((agency, feed), ())

    def standings(self, today: date) -> dict[str, Standing]:
        """What holds on `today` for each partner, by id.

        A wrong or outdated answer about immigration staff counts for every partner that shares a
        system with the one that gave it: what one can read there, the other's data is read by too.
        """
        return {partner.id: self._standing(partner, today) for partner in self.partners}

    def _standing(self, partner: Partner, today: date) -> Standing:
        sharing = [other for other in self.partners if set(other.systems) & set(partner.systems)]
        answers = {other.immigration_access.answer for other in sharing}
        access = next((answer for answer in (Access.YES, Access.UNKNOWN) if answer in answers), Access.NONE)
        reviewed = all(
            other.immigration_access.reviewed <= today <= other.immigration_access.until for other in sharing
        )
        agreement = partner.agreement
        return Standing(
            agreement=agreement.from_ <= today <= agreement.until,
            attestation=today <= partner.attestation.until,
            review=today <= agreement.review,
            access=access,
            access_review=reviewed,
        )


def json_schema() -> dict[str, Any]:
    """JSON Schema of the registry file, as it stands in `policies/partners.schema.json`."""
    return policy_file.json_schema(PartnersFile, identifier=SCHEMA_ID, title="Partners of safe-reporting")


def load_partners(path: Path) -> Registry:
    """Read and check the registry.

    Raises:
        ConfigError: listing every fault of the file.
    """
    partners = policy_file.read(path, PartnersFile, schema=json_schema(), what="partners").partners
    faults = [fault for partner in partners for fault in _faults_of(partner)] + _faults_between(partners)
    if faults:
        raise ConfigError(f"partners `{path.name}`", faults)
    london()
    return Registry(partners)


def _faults_of(partner: Partner) -> list[str]:
    access, agreement = partner.immigration_access, partner.agreement
    checks = (
        (access.reviewed <= access.until, "`immigration_access`: `until` lies before `reviewed`"),
        (agreement.from_ <= agreement.until, "`agreement`: `until` lies before `from`"),
        (agreement.from_ <= agreement.review, "`agreement`: `review` lies before `from`"),
        *(
            (bool(need.why.strip()) == need.needed, f"`{name}`: give `why` where, and only where, `needed`")
            for name, need in (
                ("text", partner.text), ("contact_details", partner.contact_details), ("address", partner.address),
            )
        ),
        *(
            (len(set(values)) == len(values), f"`{name}`: an entry is named twice")
            for name, values in (
                ("systems", partner.systems), ("purposes", partner.purposes), ("boroughs", partner.boroughs),
                ("agencies", partner.agencies), ("feeds", partner.feeds),
            )
        ),
        (
            Purpose.IMMIGRATION_ENFORCEMENT not in partner.purposes or access.answer is Access.YES,
            "`immigration_access`: the answer of immigration enforcement itself is yes",
        ),
        *(
            (
                purpose not in partner.purposes or len(partner.purposes) == 1,
                f"`purposes`: {purpose} cannot stand beside another purpose",
            )
            for purpose in (Purpose.IMMIGRATION_ENFORCEMENT, Purpose.CUSTODY)
        ),
    )  # fmt: skip
    return [f"partner `{partner.id}`: {message}" for holds, message in checks if not holds]


def _faults_between(partners: tuple[Partner, ...]) -> list[str]:
    faults = []
    for what in ("id", "principal"):
        seen: set[str] = set()
        for partner in partners:
            value = getattr(partner, what)
            if value in seen:
                faults.append(f"partner `{partner.id}`: `{what}` is used by another partner")
            seen.add(value)
    return faults
