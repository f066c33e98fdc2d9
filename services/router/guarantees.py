"""What must hold of everything that leaves, said apart from the policies that are to bring it about.

Each guarantee is a statement about the facts of an allowed decision. `prove` looks for an allowed combination
of facts that breaks one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from services.router.facts import FEEDS
from services.router.partners import Access, Purpose, Sensitivity
from services.router.truth import Axis, Bools

#: The feeds that each purpose may ever see. What is not here sees nothing.
FEEDS_OF: Mapping[Purpose, tuple[str, ...]] = {
    Purpose.VICTIM_SUPPORT: ("police-crime", "online-report", "hate-crime"),
    Purpose.INDEPENDENT_ADVOCACY: ("marac", "police-crime"),
    Purpose.COMMUNITY_SAFETY: ("police-crime", "online-report", "hate-crime", "council-asb"),
    Purpose.HOUSING: ("council-asb", "police-crime"),
    Purpose.CHILDRENS_SAFEGUARDING: ("police-crime", "online-report", "marac"),
    Purpose.ADULTS_SAFEGUARDING: ("police-crime", "marac", "council-asb"),
    Purpose.HEALTHCARE: ("police-crime", "marac"),
    Purpose.VICTIM_IDENTIFICATION: ("nrm", "partnership-intel"),
    Purpose.LABOUR_EXPLOITATION: ("nrm", "partnership-intel"),
    Purpose.THIRD_PARTY_REPORTING: ("hate-crime", "online-report"),
    Purpose.ORGANISED_CRIME_COORDINATION: FEEDS,
    Purpose.OFFENDER_MANAGEMENT: ("police-crime", "marac"),
    Purpose.RESEARCH: ("police-crime", "online-report", "hate-crime", "council-asb"),
    Purpose.CUSTODY: ("police-crime",),
}
#: Purposes that protect or help a child.
FOR_CHILDREN = (
    Purpose.VICTIM_SUPPORT, Purpose.INDEPENDENT_ADVOCACY, Purpose.CHILDRENS_SAFEGUARDING, Purpose.ADULTS_SAFEGUARDING,
    Purpose.HEALTHCARE, Purpose.VICTIM_IDENTIFICATION, Purpose.ORGANISED_CRIME_COORDINATION,
)  # fmt: skip


class Cube:
    """All combinations of some facts as arrays that broadcast against each other."""

    def __init__(self, axes: tuple[Axis, ...], values: tuple[tuple[object, ...], ...]) -> None:
        self._places = {axis: place for place, axis in enumerate(axes)}
        self._values = values

    def shaped(self, axis: Axis, answers: list[bool]) -> Bools:
        """`answers` for the values of `axis`, as an array along its dimension."""
        shape = [1] * len(self._places)
        shape[self._places[axis]] = len(answers)
        return np.array(answers, dtype=bool).reshape(shape)

    def equals(self, fact: str, *wanted: object) -> Bools:
        """Where the value of `fact` is one of `wanted`."""
        axis = Axis(fact)
        return self.shaped(axis, [value in wanted for value in self._values[self._places[axis]]])

    def yes(self, fact: str) -> Bools:
        """Where a yes-or-no fact is yes."""
        return self.equals(fact, True)

    def has(self, fact: str, *members: str) -> Bools:
        """Where a set holds one of `members`."""
        held: Bools = np.zeros([1] * len(self._places), dtype=bool)
        for member in members:
            axis = Axis(fact, member)
            held = held | self.shaped(axis, [bool(value) for value in self._values[self._places[axis]]])
        return held


@dataclass(frozen=True, slots=True)
class Guarantee:
    """One statement about what is allowed; `holds` is true where it is kept."""

    name: str
    says: str
    reads: tuple[Axis, ...]
    holds: Callable[[Cube], Bools]


def _of(name: str, says: str, reads: str, holds: Callable[[Cube], Bools], *members: tuple[str, str]) -> Guarantee:
    axes = tuple(Axis(fact) for fact in reads.split()) + tuple(Axis(*pair) for pair in members)
    return Guarantee(name, says, axes, holds)


def _feeds(cube: Cube) -> Bools:
    held = cube.equals("feed")
    for purpose, feeds in FEEDS_OF.items():
        held = held | (cube.equals("purpose", purpose) & cube.equals("feed", *feeds))
    return held


_ACCUSED = ("suspect", "offender", "arrested")

GUARANTEES = (
    _of("G1-no-residual", "nothing that gives away was found in what leaves", "residual",
        lambda c: c.equals("residual", 0)),
    _of("G4-no-enforcement", "nothing opens the purpose of immigration enforcement", "purpose",
        lambda c: ~c.equals("purpose", Purpose.IMMIGRATION_ENFORCEMENT)),
    _of("purpose-limitation", "each purpose receives only the feeds that it is for", "purpose feed", _feeds),
    _of("custody-unprotected", "custody never receives a record with a protected person", "purpose protected",
        lambda c: ~c.equals("purpose", Purpose.CUSTODY) | ~c.yes("protected")),
    _of("no-immigration-staff", "no system that immigration staff reach, or may reach, receives anything",
        "immigration_access", lambda c: c.equals("immigration_access", Access.NONE)),
    _of("access-reviewed", "who reaches the systems was reviewed in time", "access_review_in_force",
        lambda c: c.yes("access_review_in_force")),
    _of("area", "the borough is known and in the agreement", "area_known area_permitted",
        lambda c: c.yes("area_known") & c.yes("area_permitted")),
    _of("pilot", "the borough is in the pilot", "pilot_started", lambda c: c.yes("pilot_started")),
    _of("agreement", "the agreement is in force", "agreement_in_force", lambda c: c.yes("agreement_in_force")),
    _of("attestation", "the word that nothing is shared onward is in force", "attestation_in_force",
        lambda c: c.yes("attestation_in_force")),
    _of("review", "the review of the agreement is not overdue", "review_in_force", lambda c: c.yes("review_in_force")),
    _of("consent", "where consent is needed it is recorded", "consent_required consent_given",
        lambda c: ~c.yes("consent_required") | c.yes("consent_given")),
    _of("clearance", "a special record goes only to a partner cleared for it", "sensitivity cleared_for",
        lambda c: ~c.equals("sensitivity", Sensitivity.SPECIAL) | c.equals("cleared_for", Sensitivity.SPECIAL)),
    _of("children", "a record with a child goes only to who protects or helps the child", "purpose child",
        lambda c: ~c.yes("child") | c.equals("purpose", *FOR_CHILDREN)),
    _of("only-children", "children's social care receives only records with a child", "purpose child",
        lambda c: ~c.equals("purpose", Purpose.CHILDRENS_SAFEGUARDING) | c.yes("child")),
    _of("only-accused", "probation receives only records that name somebody accused", "purpose",
        lambda c: ~c.equals("purpose", Purpose.OFFENDER_MANAGEMENT) | c.has("roles", *_ACCUSED),
        *(("roles", role) for role in _ACCUSED)),
    _of("text", "free text leaves only where it is needed", "view_has_text text_needed",
        lambda c: ~c.yes("view_has_text") | c.yes("text_needed")),
    _of("contact", "contact details leave only where they are needed", "view_has_contact contact_needed",
        lambda c: ~c.yes("view_has_contact") | c.yes("contact_needed")),
    _of("address", "an address leaves only where it is needed", "view_has_address address_needed",
        lambda c: ~c.yes("view_has_address") | c.yes("address_needed")),
    _of("research-aggregate", "research receives rows for counting alone, of records read whole", "purpose "
        "view_aggregate text_held",
        lambda c: ~c.equals("purpose", Purpose.RESEARCH) | (c.yes("view_aggregate") & ~c.yes("text_held"))),
)  # fmt: skip
