"""Who a record is about, in which roles, and whether that leaves anyone unprotected.

Protection is a property of the whole record: one protected or unknown person protects everybody
in it, so a person alone is never unprotected beside a protected one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from services.kernel.schema.plan import Leaf, Node, Plan, escape
from services.kernel.schema.words import PROTECTING_MARKERS, UNKNOWN_AREA, Marker, PersonMark, RecordMark
from services.kernel.vocabulary import ACCUSED_ROLES, Role, Tag

ADULT = 18

_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """One person object, or (with an empty pointer) a person whom the record only refers to.

    `age` is the lowest that the record says, in whole years; None where it says none.
    """

    pointer: str
    id: str | None
    roles: frozenset[Role]
    charged: bool
    age: int | None

    @property
    def accused_only(self) -> bool:
        """Accused and nothing else, charged, and known to be an adult."""
        return self.roles <= ACCUSED_ROLES and self.charged and self.age is not None and self.age >= ADULT


@dataclass(frozen=True, slots=True)
class Attribution:
    """What the coded fields of a record say about it."""

    persons: tuple[Person, ...]
    markers: tuple[Marker, ...]
    area: str
    record_id: str | None

    @property
    def protected(self) -> bool:
        """True unless every person is accused only, there is one, and no marker speaks against it."""
        settled = bool(self.persons) and all(person.accused_only for person in self.persons)
        return not settled or not PROTECTING_MARKERS.isdisjoint(self.markers)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role that somebody holds in the record, sorted."""
        return tuple(sorted({role for person in self.persons for role in person.roles}))

    @property
    def child(self) -> bool:
        """Whether somebody is a child by role or by age."""
        return any(
            Role.CHILD in person.roles or (person.age is not None and person.age < ADULT) for person in self.persons
        )


def attribute(value: dict[str, object], plan: Plan, now: int) -> Attribution:
    """Read persons, roles, markers, area and id of a valid record.

    1. Collect what each leaf says of its record and of the nearest person object that encloses it.
    2. Add the roles that references give; a person who is only referred to counts as well, without a role as unknown.
    3. Objects with the same id are one person: roles add up, and every object must be charged and adult.

    Args:
        now: milliseconds since the epoch, UTC; ages are counted to that day.
    """
    found = _collect(value, plan)  # 1
    given: dict[str, set[Role]] = {}
    for id_, role in found.given:  # 2
        given.setdefault(id_, set()).add(role)
    for id_ in (given.keys() | found.referred) - {draft.id for draft in found.drafts}:
        found.drafts.append(_Draft("", id=id_))
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    by_id: dict[str | int, list[_Draft]] = {}  # 3
    for number, draft in enumerate(found.drafts):
        draft.roles |= given.get(draft.id or "", set())
        by_id.setdefault(number if draft.id is None else draft.id, []).append(draft)
    persons = [person for drafts in by_id.values() for person in _persons(drafts, today)]
    return Attribution(
        tuple(sorted(persons, key=lambda person: person.pointer)),
        tuple(sorted(found.markers)),
        next(iter(found.areas)) if len(found.areas) == 1 else UNKNOWN_AREA,
        found.record_id,
    )


@dataclass(slots=True)
class _Draft:
    pointer: str
    id: str | None = None
    roles: set[Role] = field(default_factory=set)
    charged: bool = False
    births: list[object] = field(default_factory=list)
    ages: list[object] = field(default_factory=list)


@dataclass(slots=True)
class _Found:
    drafts: list[_Draft] = field(default_factory=list)
    given: list[tuple[str, Role]] = field(default_factory=list)
    referred: set[str] = field(default_factory=set)
    markers: set[Marker] = field(default_factory=set)
    areas: set[str] = field(default_factory=set)
    record_id: str | None = None


def _collect(value: dict[str, object], plan: Plan) -> _Found:
    """Visit every place that speaks; `owner` is the nearest person object above."""
    found = _Found()
    stack: list[tuple[object, Node, str, _Draft | None]] = [(value, plan.root, "", None)]
    while stack:
        item, node, pointer, owner = stack.pop()
        if isinstance(item, dict):
            if node.is_person(item):
                owner = _Draft(pointer)
                found.drafts.append(owner)
            for key, inner in item.items():
                child = node.children.get(key)
                if child is not None and child.speaks:
                    stack.append((inner, child, f"{pointer}/{escape(key)}", owner))
        elif isinstance(item, list):
            if node.items is not None and node.items.speaks:
                stack += [(inner, node.items, f"{pointer}/{index}", owner) for index, inner in enumerate(item)]
        elif node.leaf is not None and item is not None:
            _hear(item, node.leaf, owner, found)
    return found


def _hear(value: object, leaf: Leaf, owner: _Draft | None, found: _Found) -> None:
    """Take in what one filled leaf says."""
    if leaf.tag is Tag.AREA:
        found.areas.add(str(value))
    elif leaf.record is RecordMark.ID:
        found.record_id = str(value).strip() or None
    elif leaf.record is RecordMark.MARKER:
        found.markers.add(Marker(str(value)))
    elif leaf.gives is not None:
        if str(value).strip():
            found.given.append((str(value).strip(), leaf.gives))
    elif leaf.names_person:
        if str(value).strip():
            found.referred.add(str(value).strip())
    elif owner is not None:
        if leaf.tag is Tag.ROLE:
            owner.roles.add(leaf.roles.get(str(value), Role.UNKNOWN))
        elif leaf.person is PersonMark.ID:
            owner.id = str(value).strip() or None
        elif leaf.person is PersonMark.CHARGED:
            owner.charged = value is True
        elif leaf.person is PersonMark.BIRTH_DATE:
            owner.births.append(value)
        elif leaf.person is PersonMark.AGE:
            owner.ages.append(value)


def _persons(drafts: list[_Draft], today: date) -> Iterable[Person]:
    """The objects of one person, each with what all of them say together."""
    roles = frozenset(role for draft in drafts for role in draft.roles) or frozenset({Role.UNKNOWN})
    ages = [_years(birth, today) for draft in drafts for birth in draft.births]
    ages += [int(age) if isinstance(age, int | float) else None for draft in drafts for age in draft.ages]
    known = [age for age in ages if age is not None]
    lowest = min(known, default=None)
    if lowest is not None and lowest >= ADULT and len(known) < len(ages):
        lowest = None  # one date cannot be read: the person may be a child
    charged = all(draft.charged for draft in drafts)
    return [Person(draft.pointer, draft.id, roles, charged, lowest) for draft in drafts]


def _years(birth: object, today: date) -> int | None:
    """Whole years since a date of birth; None for what is no date, or lies in the future."""
    match = _DATE.fullmatch(birth) if isinstance(birth, str) else None
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups())
    try:
        born = date(year, month, day)
    except ValueError:
        return None
    if born > today:
        return None
    return today.year - year - ((today.month, today.day) < (month, day))
