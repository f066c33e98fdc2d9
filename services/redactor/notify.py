"""The proposal of a notification under section 52, made from the raw record and sealed at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from services.kernel import notification
from services.kernel.notification import Notification
from services.kernel.schema.plan import Node, Plan
from services.kernel.vocabulary import Tag
from services.redactor.roles import ADULT, Attribution
from services.redactor.text import words

FEED = "nrm"
#: Where the form holds the adult whom it is about.
VICTIM = "/potentialVictim"
_FORM = "duty_to_notify"
#: What names, locates or numbers somebody: none of it may stand in a notification.
_IDENTIFYING = frozenset(
    {
        Tag.NAME, Tag.CONTACT, Tag.ADDRESS, Tag.BIRTH_DATE, Tag.IDENTIFIER, Tag.REFERENCE, Tag.RECORD_ID,
        Tag.POLICE_ID, Tag.IMMIGRATION_DOCUMENT,
    }
)  # fmt: skip


def notify(value: dict[str, Any], plan: Plan, who: Attribution) -> Notification | None:
    """What the duty to notify demands of this record; None where there is no duty, or it could identify.

    1. Only the form of the duty: the adult does not consent to a referral.
    2. Only an adult: said to be, of no age under 18, and nobody in the record is a child.
    3. Closed words alone: a nationality of the lexicon, types, sex, age band, region, quarter. What is none of them
       (the quarter of a thirteenth month) is never sealed: it could not be opened again.
    4. The inverted scan: nothing in it that names, locates or numbers somebody in the record.
    """
    referral, person = value.get("referral") or {}, value.get("potentialVictim") or {}
    made = referral.get("madeAt")
    if plan.feed != FEED or referral.get("form") != _FORM or not isinstance(made, str):  # 1
        return None
    ages = [one.age for one in who.persons if one.pointer == VICTIM]
    if referral.get("adult") is not True or who.child or any(age is not None and age < ADULT for age in ages):  # 2
        return None
    age = next((age for age in ages if age is not None), None)
    found = Notification(  # 3
        nationality=_nationality(person.get("nationality")),
        exploitation=tuple(sorted(set(referral.get("exploitationTypes") or ()))) or None,
        sex=person.get("gender") if person.get("gender") in ("male", "female") else None,
        age_band=notification.age_band(age) if age is not None else None,  # type: ignore[arg-type]  # a word of BANDS
        region=notification.REGION if who.area != "unknown" else None,
        quarter=notification.quarter(made),
    )
    closed = notification.closed(found)
    return None if not closed or notification.identifying(found, _known(value, plan)) else found  # 4


def _nationality(value: object) -> str | None:
    """A nationality as the lexicon spells it, capitalised; None for anything else."""
    word = " ".join(value.split()).lower() if isinstance(value, str) else ""
    return word.title() if word in _demonyms() else None


@functools.cache
def _demonyms() -> frozenset[str]:
    return frozenset(entry.word for entry in words.read() if "demonym" in entry.kinds)


def _known(value: dict[str, Any], plan: Plan) -> Iterator[str]:
    stack: list[tuple[Any, Node]] = [(value, plan.root)]
    while stack:
        item, node = stack.pop()
        if isinstance(item, dict):
            stack += [(inner, node.children[key]) for key, inner in item.items() if key in node.children]
        elif isinstance(item, list) and node.items is not None:
            stack += [(inner, node.items) for inner in item]
        elif node.leaf is not None and node.leaf.tag in _IDENTIFYING and isinstance(item, str):
            yield item
