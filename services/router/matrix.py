"""The matrix: partner × feed × role, and whose copies could be joined with whose."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.vocabulary import ACCUSED_ROLES, Role
from services.router.facts import MARKERS
from services.router.partners import Partner
from services.router.situation import Situation, World

ALL, NONE = "all", "no"
_UNMARKED = "unmarked"
#: The kinds of record: each marker alone, and none.
_KINDS = (_UNMARKED, *MARKERS)


@dataclass(frozen=True, slots=True)
class Row:
    """One partner and feed: for each role which kinds of record reach it, and who could join copies with it."""

    partner: str
    feed: str
    view: str
    cells: dict[str, str]
    joinable: tuple[str, ...]


def matrix(world: World) -> list[Row]:
    """Decide for one record of each role and each kind (its marker), in a borough of the agreement.

    A cell says `all`, `all but` some kinds, the kinds that pass, or `no`; a kind is one marker, or none.
    """
    return [
        Row(partner.id, feed, partner.view, _cells(world, partner, feed), _joinable(world, partner, feed))
        for partner in world.registry.partners
        for feed in partner.feeds
    ]


def _cells(world: World, partner: Partner, feed: str) -> dict[str, str]:
    cells = {}
    for role in Role:
        passed = {kind: _passes(world, partner, feed, role, kind) for kind in _KINDS}
        cells[role.value] = _cell([kind for kind in _KINDS if passed[kind]], [k for k in _KINDS if not passed[k]])
    return cells


def _cell(passed: list[str], held: list[str]) -> str:
    if not held:
        return ALL
    if len(passed) > len(held):
        return f"{ALL} but {', '.join(held)}"
    return ", ".join(passed) or NONE


def _passes(world: World, partner: Partner, feed: str, role: Role, kind: str) -> bool:
    situation = Situation(
        feed=feed,
        agency=partner.agencies[0],
        area=partner.boroughs[0],
        roles=(role.value,),
        markers=() if kind == _UNMARKED else (kind,),
        protected=role not in ACCUSED_ROLES,
        child=role is Role.CHILD,
    )
    return world.answers(situation)[partner.id].ruling.allowed


def _joinable(world: World, partner: Partner, feed: str) -> tuple[str, ...]:
    """Partners that could hold the same record's reference, name, address, contact or text, and which of them.

    Ids never join: each partner's are keyed for it alone.
    """
    own = world.views.get(partner.view, feed)
    found = []
    for other in world.registry.partners:
        if other is partner or feed not in other.feeds or not set(other.agencies) & set(partner.agencies):
            continue
        view = world.views.get(other.view, feed)
        if own is None or view is None:
            continue
        common = sorted({own.holds.joins[place].lower() for place in set(own.holds.joins) & set(view.holds.joins)})
        if common:
            found.append(f"{other.id} by {', '.join(common).replace('_', ' ')}")
    return tuple(found)
