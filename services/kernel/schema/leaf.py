"""One leaf of a feed schema: its tag, its `x-*` words, and whether they go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

from services.kernel.schema.closed import is_closed
from services.kernel.schema.plan import Leaf, Schema
from services.kernel.schema.tags import Action, TagRule
from services.kernel.schema.words import BOROUGHS, THREATS, Marker, PersonMark, RecordMark, ReferenceMark, RiskMark
from services.kernel.vocabulary import Role, Tag

#: Keywords that limit a scalar; they go over into the redacted schema of a kept leaf.
CONSTRAINTS = (
    "type", "enum", "const", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength",
)  # fmt: skip
LEAF_WORDS = frozenset({"x-record", "x-person", "x-roles", "x-role", "x-risk", "x-refers"})
SCALARS = frozenset({"string", "number", "integer", "boolean"})

_KEPT_OPEN = frozenset({Tag.NATIONALITY, Tag.COUNTRY_OF_ORIGIN, Tag.ETHNICITY})
_TAG_OF_PERSON = {
    PersonMark.ID: Tag.IDENTIFIER,
    PersonMark.CHARGED: Tag.CODE,
    PersonMark.BIRTH_DATE: Tag.BIRTH_DATE,
    PersonMark.AGE: Tag.BIRTH_DATE,
}
_TAG_OF_RECORD = {
    RecordMark.ID: Tag.RECORD_ID,
    RecordMark.VERSION: Tag.RECORD_VERSION,
    RecordMark.MARKER: Tag.CODE,
}
_TYPES_OF = {
    PersonMark.CHARGED: {"boolean"},
    PersonMark.BIRTH_DATE: {"string"},
    PersonMark.AGE: {"integer"},
    RiskMark.THREATS: {"string"},
    RiskMark.COERCIVE_CONTROL: {"boolean"},
    RiskMark.CONTROLLED: {"boolean"},
}

Fault = Callable[[str], None]
Word = TypeVar("Word", bound=StrEnum)


def read_leaf(schema: Schema, pattern: str, types: frozenset[str], rule: TagRule, fault: Fault) -> Leaf | None:
    """The leaf that `schema` describes; every contradiction is told to `fault`."""
    tag = rule.tag
    if not types & SCALARS or types - SCALARS - {"null"}:
        fault(f"tag `{tag}` needs a leaf with a scalar `type`")
        return None
    leaf = Leaf(
        pattern,
        tag,
        rule.protected,
        rule.unprotected,
        rule.kind,
        types,
        person=_word(schema, "x-person", PersonMark, fault),
        record=_word(schema, "x-record", RecordMark, fault),
        risk=_word(schema, "x-risk", RiskMark, fault),
        refers=_word(schema, "x-refers", ReferenceMark, fault),
        gives=_word(schema, "x-role", Role, fault),
        roles=_roles(schema, tag, fault),
        constraints=({key: schema[key] for key in CONSTRAINTS if key in schema},),
    )
    if leaf.person is PersonMark.ID:
        leaf = replace(leaf, protected=Action.PSEUDONYMISE, unprotected=Action.PSEUDONYMISE)
    _check_marks(leaf, schema, fault)
    _check_actions(leaf, schema, fault)
    return leaf


def united(one: Leaf, other: Leaf, fault: Fault) -> Leaf:
    """One leaf out of two branches of `anyOf`, `oneOf` or `allOf` that describe the same place."""
    if (one.tag, one.person, one.record, one.gives, one.risk, one.refers) != (
        other.tag, other.person, other.record, other.gives, other.risk, other.refers,
    ):  # fmt: skip
        fault(f"branches disagree: `{one.tag}` and `{other.tag}`, or their `x-*` words")
    if any(one.roles.get(value, role) is not role for value, role in other.roles.items()):
        fault("branches give one value two roles")
    more = tuple(constraint for constraint in other.constraints if constraint not in one.constraints)
    return replace(
        one,
        types=one.types | other.types,
        roles={**one.roles, **other.roles},
        constraints=one.constraints + more,
    )


def _word(schema: Schema, key: str, kind: type[Word], fault: Fault) -> Word | None:
    value = schema.get(key)
    if value is None:
        return None
    if value not in list(kind):
        fault(f"`{key}: {value}` is not one of {[word.value for word in kind]}")
        return None
    return kind(value)


def _roles(schema: Schema, tag: Tag, fault: Fault) -> dict[str, Role]:
    """Value to role. A value that is itself a role means that role; any other that is not mapped, unknown."""
    given = schema.get("x-roles", {})
    if tag is not Tag.ROLE:
        if given:
            fault("`x-roles` belongs to tag `ROLE`")
        return {}
    values = [value for value in schema.get("enum", ()) if value is not None]
    if not values or not all(isinstance(value, str) for value in values) or not isinstance(given, dict):
        fault("tag `ROLE` needs an enum of strings, and `x-roles` a mapping")
        return {}
    for value, role in given.items():
        if value not in values or role not in list(Role):
            fault(f"`x-roles`: `{value}` is not in the enum, or `{role}` is not a role")
    words = {value: given.get(value, value) for value in values}
    return {value: Role(word) if word in list(Role) else Role.UNKNOWN for value, word in words.items()}


def _check_marks(leaf: Leaf, schema: Schema, fault: Fault) -> None:
    if leaf.person is not None and leaf.tag is not _TAG_OF_PERSON[leaf.person]:
        fault(f"`x-person: {leaf.person}` belongs to tag `{_TAG_OF_PERSON[leaf.person]}`")
    if leaf.record is not None and leaf.tag is not _TAG_OF_RECORD[leaf.record]:
        fault(f"`x-record: {leaf.record}` belongs to tag `{_TAG_OF_RECORD[leaf.record]}`")
    for typed in (leaf.person, leaf.risk):
        if typed in _TYPES_OF and leaf.types - {"null"} != _TYPES_OF[typed]:
            fault(f"`{typed}` needs type {sorted(_TYPES_OF[typed])}")
    if (leaf.gives is not None) != (leaf.tag is Tag.RELATIONSHIP):
        fault("`x-role` belongs to tag `RELATIONSHIP`, which needs it; without a role it is a `REFERENCE`")
    if leaf.refers is not None and leaf.tag is not Tag.REFERENCE:
        fault("`x-refers` belongs to tag `REFERENCE`")
    if leaf.risk is not None and leaf.tag is not Tag.CODE:
        fault("`x-risk` belongs to tag `CODE`")
    for applies, name, allowed in (
        (leaf.record is RecordMark.MARKER, "a marker", set(Marker)),
        (leaf.tag is Tag.AREA, "an area", set(BOROUGHS)),
        (leaf.risk is RiskMark.THREATS, "`x-risk: threats`", set(THREATS)),
    ):
        if applies and not {value for value in schema.get("enum", ["-"]) if value is not None} <= allowed:
            fault(f"{name} needs an enum out of {sorted(allowed)}")


def _check_actions(leaf: Leaf, schema: Schema, fault: Fault) -> None:
    actions = {leaf.protected, leaf.unprotected}
    if Action.KEEP in actions and leaf.tag not in _KEPT_OPEN and not is_closed(schema, leaf.types):
        fault(f"tag `{leaf.tag}` is kept, so it must be closed: enum, number, boolean or a pattern without words")
    if Action.SCAN in actions and leaf.types - {"string", "null"}:
        fault(f"tag `{leaf.tag}` is read as text, so its type must be string")
    if Action.PSEUDONYMISE in actions and leaf.types - {"string", "integer", "null"}:
        fault(f"tag `{leaf.tag}` is an id, so its type must be string or integer")
