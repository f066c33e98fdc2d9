"""The truth table of each policy over the facts that it mentions, asked from Cedar itself.

A condition is a function of the attributes that it reads, so a table over those says all about it. A policy
applies where all its conditions and, in a `when`, all terms of a `&&` hold: each term is asked alone, over few
facts, and the tables are joined. Facts that are sets count as one yes-or-no axis for each member named.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cedarpy
import numpy as np
from numpy.typing import NDArray

from services.kernel.errors import ConfigError
from services.router.facts import DOMAINS, SETS, Facts, entity
from services.router.policy import conjuncts

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Axis:
    """One finite question: the value of a fact, or whether a member is in a set."""

    fact: str
    member: str | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        """All its answers, in a fixed order."""
        return (False, True) if self.member is not None else DOMAINS[self.fact]

    def __str__(self) -> str:
        return self.fact if self.member is None else f"{self.fact}.{self.member}"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition, or one term of a `&&`: `holds` has one dimension for each of `axes`, in that order."""

    axes: tuple[Axis, ...]
    holds: Bools


@dataclass(frozen=True, slots=True)
class Table:
    """Where one policy applies: where all of its terms hold."""

    policy: str
    permit: bool
    terms: tuple[Term, ...]

    @property
    def axes(self) -> frozenset[Axis]:
        """All that the policy reads."""
        return frozenset(axis for term in self.terms for axis in term.axes)


def spell(axes: tuple[Axis, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    """The facts that `values` of `axes` spell out; a set holds the members answered with yes."""
    facts: dict[str, Any] = {}
    for axis, value in zip(axes, values, strict=True):
        if axis.member is None:
            facts[axis.fact] = value
        else:
            facts[axis.fact] = facts.get(axis.fact, frozenset()) | ({axis.member} if value else frozenset())
    return facts


def tables(static: Mapping[str, dict[str, Any]], schema: cedarpy.Schema, partner: str, view: str) -> list[Table]:
    """One table for each policy, for requests of `partner` and `view`.

    Raises:
        ConfigError: a policy reads a set in a way that has no finite list of members, or errors.
    """
    return [_table(name, policy, schema, partner, view) for name, policy in static.items()]


def _table(name: str, policy: dict[str, Any], schema: cedarpy.Schema, partner: str, view: str) -> Table:
    terms = []
    for condition in policy["conditions"]:
        bodies = conjuncts(condition["body"]) if condition["kind"] == "when" else [condition["body"]]
        for body in bodies:
            alone = {**policy, "conditions": [{"kind": condition["kind"], "body": body}]}
            terms.append(_term(name, alone, tuple(sorted(set(_walk(body, name)), key=str)), schema, partner, view))
    if not terms:
        terms.append(_term(name, policy, (), schema, partner, view))
    return Table(name, policy["effect"] == "permit", tuple(terms))


def _term(
    name: str, policy: dict[str, Any], axes: tuple[Axis, ...], schema: cedarpy.Schema, partner: str, view: str
) -> Term:
    document = {"staticPolicies": {name: policy}, "templates": {}, "templateLinks": []}
    rest: dict[str, Any] = {fact: frozenset() if fact in SETS else values[0] for fact, values in DOMAINS.items()}
    requests = [
        {
            "principal": entity("Partner", partner),
            "action": entity("Action", "receive"),
            "resource": entity("View", view),
            "context": Facts(**{**rest, **spell(axes, values)}).context(),
        }
        for values in itertools.product(*(axis.values for axis in axes))
    ]
    policies, entities = (
        cedarpy.PolicySet.from_json_str(json.dumps(document)),
        cedarpy.Entities.from_json_str("[]", schema),
    )
    answers = cedarpy.is_authorized_batch(requests, policies, entities, schema)
    if errors := sorted({error for answer in answers for error in answer.diagnostics.errors}):
        raise ConfigError("prove", [f"policy `{name}`: {error}" for error in errors])
    holds = np.array([name in answer.diagnostics.reasons for answer in answers], dtype=bool)
    return Term(axes, holds.reshape([len(axis.values) for axis in axes]))


def _walk(node: Any, name: str) -> Iterator[Axis]:
    """The axes that an expression (Cedar's JSON form) reads."""
    if isinstance(node, list):
        for part in node:
            yield from _walk(part, name)
        return
    if not isinstance(node, dict):
        return
    for operator, operands in node.items():
        if operator in ("contains", "containsAny", "containsAll") and (fact := _context(operands["left"])) in SETS:
            yield from (Axis(fact, member) for member in _members(operands["right"], name))
            continue
        fact = _context({operator: operands})
        if fact in SETS:
            raise ConfigError("prove", [f"policy `{name}` reads `{fact}` other than by naming members"])
        if fact is not None:
            yield Axis(fact)
        yield from _walk(operands, name)


def _context(node: Any) -> str | None:
    """The fact that an expression is, if it is one."""
    access = node.get(".") if isinstance(node, dict) else None
    return str(access["attr"]) if isinstance(access, dict) and access.get("left") == {"Var": "context"} else None


def _members(node: Any, name: str) -> Iterator[str]:
    """The entities of a literal, or of a literal set."""
    for part in node.get("Set", [node]):
        literal = part.get("Value", {}).get("__entity")
        if literal is None:
            raise ConfigError("prove", [f"policy `{name}` asks for members that are no literals"])
        yield str(literal["id"])
