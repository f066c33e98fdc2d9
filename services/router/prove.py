"""Proof of the policy set: every combination of the finite facts, for every partner, against each guarantee.

It proves the policy over facts. That the facts are right (an agreement that is not in force, a residual that
was not seen) is shown elsewhere; `docs/policy.md` says where.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np

from services.router.facts import DOMAINS, SETS, Facts
from services.router.guarantees import GUARANTEES, Cube, Guarantee
from services.router.partners import Access, Partner, Purpose, Registry
from services.router.policy import Policies
from services.router.truth import Axis, Bools, Table, Term, spell, tables

#: Combinations held in memory at once.
_CHUNK = 1 << 22
#: Combinations of each partner and purpose that are also asked from the router's own guard, evenly spaced.
_CROSS_CHECKS = 512
#: Any day: a review is in time on it, or ended the day before.
_DAY = date(2026, 11, 24)
#: Every combination of every fact, mentioned or not; of a set, every subset.
COMBINATIONS = math.prod(2 ** len(values) if fact in SETS else len(values) for fact, values in DOMAINS.items())


@dataclass(frozen=True, slots=True)
class Broken:
    """One guarantee that an allowed combination breaks, with the facts that the policies and it read."""

    guarantee: Guarantee
    partner: str
    facts: Mapping[str, Any]
    combinations: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What was enumerated for one partner and purpose."""

    partner: str
    purpose: Purpose
    facts: tuple[str, ...]
    combinations: int
    allowed: int
    cross_checked: int
    broken: tuple[Broken, ...]
    differs: tuple[Mapping[str, Any], ...]

    @property
    def kept(self) -> bool:
        """No guarantee is broken and the router's guard agrees."""
        return not self.broken and not self.differs


def prove(
    policies: Policies, partners: Iterable[Partner], guarantees: Sequence[Guarantee] = GUARANTEES
) -> Iterator[Proof]:
    """Prove for each partner and each of its purposes.

    1. Ask Cedar for the table of each term of each policy; drop policies and guarantees that do not concern this
       purpose.
    2. Enumerate every combination of the facts that are left or that a guarantee reads.
    3. Allowed is where a permit applies and no forbid does; look for an allowed one that breaks a guarantee.
    4. Ask the router's own guard about evenly spaced combinations; it must answer the same.

    Raises:
        ConfigError: a policy that errors, or that reads a set other than by naming members.
    """
    for partner in partners:
        asked = tables(policies.static, policies.schema, partner.id, partner.view)
        for purpose in partner.purposes:
            yield _prove(policies, partner, purpose, asked, guarantees)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Pairs of partners as if they kept records in one system: what immigration staff read there closes both."""

    combinations: int
    open: tuple[str, ...]


def prove_sharing(registry: Registry) -> Sharing:
    """Every pair of partners on one system, with every answer about immigration staff, reviewed in time or not.

    With the guarantees `no-immigration-staff` and `access-reviewed` a closed standing means that nothing leaves.
    """
    combinations = 0
    opened: list[str] = []
    states = tuple(itertools.product(Access, (True, False)))
    for pair in itertools.combinations(registry.partners, 2):
        for held in itertools.product(states, repeat=2):
            combinations += 1
            shared = [_sharing(partner, *state) for partner, state in zip(pair, held, strict=True)]
            safe = all(answer is Access.NONE and in_time for answer, in_time in held)
            for name, standing in Registry(shared).standings(_DAY).items():
                if not safe and standing.access is Access.NONE and standing.access_review:
                    opened.append(name)
    return Sharing(combinations, tuple(dict.fromkeys(opened)))


def _sharing(partner: Partner, answer: Access, in_time: bool) -> Partner:
    until = _DAY if in_time else _DAY - timedelta(days=1)
    access = msgspec.structs.replace(partner.immigration_access, answer=answer, reviewed=date.min, until=until)
    return msgspec.structs.replace(partner, systems=("one-system",), immigration_access=access)


def _prove(
    policies: Policies, partner: Partner, purpose: Purpose, asked: list[Table], guarantees: Sequence[Guarantee]
) -> Proof:
    sliced = [table for table in (applies_for(table, purpose) for table in asked) if table is not None]  # 1
    read = {axis for table in sliced for axis in table.axes}
    guarantees = [guarantee for guarantee in guarantees if not _trivial(guarantee, purpose)]
    read |= {axis for guarantee in guarantees for axis in guarantee.reads}
    axes = (Axis("purpose"), *sorted(read - {Axis("purpose")}, key=_order))
    broken: dict[str, Broken] = {}
    differs: list[Mapping[str, Any]] = []
    allowed_count = combinations = checked = 0
    for values in _chunks(axes, purpose):  # 2
        cube = Cube(axes, values)
        allowed = _allowed(sliced, axes, values)  # 3
        combinations += allowed.size
        allowed_count += int(allowed.sum())
        for guarantee in guarantees:
            wrong = allowed & ~guarantee.holds(cube)
            if wrong.any() and guarantee.name not in broken:
                broken[guarantee.name] = Broken(guarantee, partner.id, _at(axes, values, wrong), int(wrong.sum()))
        for index in _spaced(allowed):  # 4
            facts = _facts(axes, values, index)
            checked += 1
            if policies.decide(partner.id, partner.view, facts).allowed != bool(allowed[index]):
                differs.append(_spelt(axes, values, index))
    names = tuple(dict.fromkeys(axis.fact for axis in axes))
    return Proof(
        partner.id, purpose, names, combinations, allowed_count, checked, tuple(broken.values()), tuple(differs)
    )


def _trivial(guarantee: Guarantee, purpose: Purpose) -> bool:
    """Whether it holds for this purpose whatever the other facts are: it speaks of other purposes."""
    axes = guarantee.reads
    values = tuple((purpose,) if axis.fact == "purpose" else axis.values for axis in axes)
    return bool(guarantee.holds(Cube(axes, values)).all())


def _order(axis: Axis) -> tuple[int, str]:
    """Wide axes first: the chunks are made along them."""
    return (-len(axis.values), str(axis))


def applies_for(table: Table, purpose: Purpose) -> Table | None:
    """The table with the purpose fixed; None where it can never apply for that purpose."""
    terms = []
    for term in table.terms:
        held = term.holds
        if Axis("purpose") in term.axes:
            place = term.axes.index(Axis("purpose"))
            held = np.take(held, [DOMAINS["purpose"].index(purpose)], axis=place)
        if not held.any():
            return None
        terms.append(Term(term.axes, held))
    return Table(table.policy, table.permit, tuple(terms))


def _chunks(axes: tuple[Axis, ...], purpose: Purpose) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """The values of every axis, in pieces that together are every combination once."""
    whole = [(purpose,), *(axis.values for axis in axes[1:])]
    split = 1
    while math.prod(len(values) for values in whole[split:]) > _CHUNK:
        split += 1
    for fixed in itertools.product(*whole[:split]):
        yield (*((value,) for value in fixed), *whole[split:])


def _allowed(sliced: list[Table], axes: tuple[Axis, ...], values: tuple[tuple[Any, ...], ...]) -> Bools:
    """Where a permit applies and no forbid does, over every combination of `values`."""
    shape = tuple(len(part) for part in values)
    permitted = np.zeros(shape, dtype=bool)
    forbidden = np.zeros(shape, dtype=bool)
    for table in sliced:
        applies: Bools = np.ones([1] * len(axes), dtype=bool)
        for term in table.terms:
            applies = applies & _placed(term, axes, values)
        np.logical_or(permitted if table.permit else forbidden, applies, out=permitted if table.permit else forbidden)
    return permitted & ~forbidden


def _placed(term: Term, axes: tuple[Axis, ...], values: tuple[tuple[Any, ...], ...]) -> Bools:
    """A term's table along the joint axes, cut to `values`."""
    held = term.holds
    for place, axis in enumerate(term.axes):
        if held.shape[place] > 1:
            wanted = values[axes.index(axis)]
            held = np.take(held, [axis.values.index(value) for value in wanted], axis=place)
    order = sorted(range(len(term.axes)), key=lambda place: axes.index(term.axes[place]))
    shape = [1] * len(axes)
    for place, axis in enumerate(term.axes):
        shape[axes.index(axis)] = held.shape[place]
    return np.transpose(held, order).reshape(shape)


def _spaced(allowed: Bools) -> list[tuple[int, ...]]:
    """Indices of evenly spaced combinations, and of as many evenly spaced allowed ones."""
    flat = np.linspace(0, allowed.size - 1, num=min(_CROSS_CHECKS // 2, allowed.size), dtype=np.int64)
    opened = np.flatnonzero(allowed)
    if opened.size:
        picked = np.linspace(0, opened.size - 1, num=min(_CROSS_CHECKS // 2, opened.size), dtype=np.int64)
        flat = np.concatenate([flat, opened[picked]])
    return [tuple(int(part) for part in np.unravel_index(int(index), allowed.shape)) for index in flat]


def _spelt(axes: tuple[Axis, ...], values: tuple[tuple[Any, ...], ...], index: tuple[int, ...]) -> dict[str, Any]:
    return spell(axes, tuple(part[place] for part, place in zip(values, index, strict=True)))


def _at(axes: tuple[Axis, ...], values: tuple[tuple[Any, ...], ...], wrong: Bools) -> dict[str, Any]:
    """The facts of the first wrong combination."""
    index = tuple(int(part) for part in np.unravel_index(int(wrong.argmax()), wrong.shape))
    return _spelt(axes, values, index)


def _facts(axes: tuple[Axis, ...], values: tuple[tuple[Any, ...], ...], index: tuple[int, ...]) -> Facts:
    """A combination with every other fact at its first value: what no policy reads changes nothing."""
    rest: dict[str, Any] = {fact: frozenset() if fact in SETS else held[0] for fact, held in DOMAINS.items()}
    return Facts(**{**rest, **_spelt(axes, values, index)})
