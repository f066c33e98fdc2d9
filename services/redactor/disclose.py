"""What a person allowed their advocate: coded fields of that one person, made from the raw record and sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from services.kernel.consent import FIELD_SCOPES, Book, Grant
from services.kernel.disclosure import Disclosure, Field
from services.kernel.schema.plan import Leaf, Node, Plan
from services.kernel.schema.words import PersonMark

_ASKED = frozenset().union(*FIELD_SCOPES.values())
#: Person's id (None for a person object without one), leaf, value.
_Found = tuple[str | None, Leaf, str | bool]


def disclosures(
    value: dict[str, Any], plan: Plan, *, subject: Callable[[str], str], book: Book, now: int
) -> Iterator[Disclosure]:
    """What this record says of persons who allowed their advocate to have it, one for each grant.

    1. Coded fields alone, with a tag of a scope, by the nearest person object above; never a text.
    2. For each grant of that person that holds now, the fields of its scope, if there are any.

    Args:
        subject: pseudonym of a person's id.
        now: milliseconds since the epoch.
    """
    by_person: dict[str, list[_Found]] = {}
    for found in _fields(value, plan):  # 1
        if found[0] is not None:
            by_person.setdefault(found[0], []).append(found)
    for person, held in sorted(by_person.items()):
        for grant in book.fields(subject(person), now=now):  # 2
            if fields := _of_scope(held, grant):
                yield Disclosure(grant.subject, grant.recipient, grant.purpose, grant.scope, grant.case or "", fields)


def _of_scope(held: list[_Found], grant: Grant) -> tuple[Field, ...]:
    """The fields of the grant's scope that fit what may leave; one that does not fit is left out."""
    wanted = FIELD_SCOPES[grant.scope]
    made = []
    for _, leaf, value in held:
        if leaf.tag in wanted:
            fields = {"tag": leaf.tag.value, "name": leaf.pattern.rsplit("/", 1)[1], "value": value}
            try:
                made.append(msgspec.convert(fields, Field))
            except msgspec.ValidationError:
                continue
    return tuple(made)


def _fields(value: dict[str, Any], plan: Plan) -> Iterator[_Found]:
    stack: list[tuple[Any, Node, str | None]] = [(value, plan.root, None)]
    while stack:
        item, node, person = stack.pop()
        if isinstance(item, dict):
            if node.is_person(item):
                person = _id(item, node)
            stack += [(inner, node.children[key], person) for key, inner in item.items() if key in node.children]
        elif isinstance(item, list) and node.items is not None:
            stack += [(inner, node.items, person) for inner in item]
        elif node.leaf is not None and _may_be_asked(node.leaf) and isinstance(item, str | bool):
            yield person, node.leaf, item


def _may_be_asked(leaf: Leaf) -> bool:
    return leaf.kind is None and leaf.tag in _ASKED


def _id(person: dict[str, Any], node: Node) -> str | None:
    """The id in a person object; None where it has none of its own."""
    for name, child in node.children.items():
        if child.leaf is not None and child.leaf.person is PersonMark.ID:
            found = person.get(name)
            return found.strip() or None if isinstance(found, str) else None
    return None
