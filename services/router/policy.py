"""Decisions: Cedar behind a guard that turns everything but a clean Allow into a refusal.

Cedar skips a policy that errors. So the schema goes with every call, and a decision is an allow only
where Cedar answers Allow, reports no error and names at least one permit that was loaded here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cedarpy

from services.kernel.errors import ConfigError
from services.router.facts import DOMAINS, SETS, Facts, entity

#: Booleans that every permit must demand by itself, beside `residual == 0`.
REQUIRED = (
    "agreement_in_force", "attestation_in_force", "review_in_force", "access_review_in_force", "area_permitted",
    "pilot_started",
)  # fmt: skip
#: Named where no policy may be: nothing leaves that no permit names. A residual, a view that does not fit, an error
#: and a want of permits all read like this in the open ledger.
DEFAULT = "deny-by-default"
_DEFAULT_BASIS = "DPA 2018 s.35"
_ANNOTATIONS = ("id", "basis", "summary")
_MEMO_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class Ruling:
    """The answer for one partner: what, by which policies, on what basis, with what errors.

    `sealed` names the policies whose part in a decision would itself say what is in the record; they
    and their basis stay out of the open ledger. A refusal that no other policy speaks is `DEFAULT`.
    """

    allowed: bool
    policies: tuple[str, ...]
    basis: str
    errors: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()

    @property
    def effect(self) -> str:
        """As the ledger writes it: `allow` or `deny`."""
        return "allow" if self.allowed else "deny"

    def refused(self, error: str) -> Ruling:
        """The same turned into a refusal, with the policies that refuse anyhow, else `DEFAULT`."""
        policies, basis = ((DEFAULT,), _DEFAULT_BASIS) if self.allowed else (self.policies, self.basis)
        return Ruling(allowed=False, policies=policies, basis=basis, errors=(*self.errors, error), sealed=self.sealed)


class Policies:
    """A checked set of policies with its schema; `decide` is the only way to ask it."""

    def __init__(self, static: dict[str, dict[str, Any]], schema: cedarpy.Schema, *, digest: str) -> None:
        document = {"staticPolicies": static, "templates": {}, "templateLinks": []}
        self._set = cedarpy.PolicySet.from_json_str(json.dumps(document))
        self._entities = cedarpy.Entities.from_json_str("[]", schema)
        self.static = static
        self.schema = schema
        self._basis = {name: policy["annotations"]["basis"] for name, policy in static.items()}
        self._sealed = frozenset(name for name, policy in static.items() if "sealed" in policy["annotations"])
        self._memo: dict[tuple[str, str, Facts], Ruling] = {}
        self.permits = frozenset(name for name, policy in static.items() if policy["effect"] == "permit")
        self.forbids = frozenset(static) - self.permits
        self.digest = digest

    def decide(self, partner: str, view: str, facts: Facts) -> Ruling:
        """Whether `partner` may receive a record with these facts through `view`.

        1. Ask Cedar with the schema, or repeat the answer to the same facts.
        2. Allow only a clean Allow by a known permit; all else refuses.
        3. Name the policies that decided and their basis in law.
        """
        key = (partner, view, facts)
        known = self._memo.get(key)
        if known is None:
            known = self._guard(self._ask(partner, view, facts))
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[key] = known
        return known

    def _ask(self, partner: str, view: str, facts: Facts) -> cedarpy.AuthzResult:
        request = {
            "principal": entity("Partner", partner),
            "action": entity("Action", "receive"),
            "resource": entity("View", view),
            "context": facts.context(),
        }
        try:
            return cedarpy.is_authorized(request, self._set, self._entities, self.schema)
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            return cedarpy.AuthzResult({"decision": "NoDecision", "diagnostics": {"errors": [type(error).__name__]}})

    def _guard(self, answer: cedarpy.AuthzResult) -> Ruling:
        errors = tuple(answer.diagnostics.errors)
        policies = tuple(sorted(answer.diagnostics.reasons))
        allowed = (
            answer.decision is cedarpy.Decision.Allow
            and not errors
            and bool(policies)
            and self.permits.issuperset(policies)
        )
        shown = tuple(name for name in policies if name not in self._sealed)
        basis = "; ".join(dict.fromkeys(self._basis[name] for name in shown if name in self._basis))
        sealed = tuple(name for name in policies if name in self._sealed)
        if not allowed and self.forbids.isdisjoint(shown):
            shown, basis = (DEFAULT,), _DEFAULT_BASIS
        return Ruling(allowed=allowed, policies=shown, basis=basis, errors=errors, sealed=sealed)

    def probe(self) -> list[str]:
        """Ask about every word of the vocabularies once; return what the schema does not take."""
        first = {name: frozenset() if name in SETS else values[0] for name, values in DOMAINS.items()}
        probes = [
            Facts(**{**first, name: value}) for name, values in DOMAINS.items() if name not in SETS for value in values
        ]
        probes.append(Facts(**{**first, **{name: frozenset(DOMAINS[name]) for name in SETS}}))
        return sorted({error for facts in probes for error in self._ask("probe", "probe", facts).diagnostics.errors})


def load_policies(directory: Path, *, more: Path | None = None, without: frozenset[str] = frozenset()) -> Policies:
    """Read `schema.cedarschema` and every `*.cedar` file of `directory`.

    Args:
        more: another folder, whose policies stand beside them; its permits need not demand what `REQUIRED` names.
        without: ids of policies of `directory` that are left out.

    Raises:
        ConfigError: listing every fault of every file: what does not parse or validate, a policy without
            `@id`, `@basis` or `@summary`, an id used twice, a permit that does not demand what it must.
    """
    faults: list[str] = []
    digest = hashlib.sha256()
    static: dict[str, dict[str, Any]] = {}
    schema = _load_schema(directory / "schema.cedarschema", digest, faults)
    for path in [*sorted(directory.glob("*.cedar")), *sorted(more.glob("*.cedar") if more else ())]:
        text = path.read_text("utf-8")
        digest.update(f"{path.name}\0{text}\0".encode())
        for name, policy in _load_file(path, text, schema, faults, strict=path.parent == directory):
            if name == DEFAULT:
                faults.append(f"`{path.name}`: `{DEFAULT}` names the refusal that no policy speaks")
            if name in static:
                faults.append(f'`{path.name}`: `@id("{name}")` is used by another policy')
            static[name] = policy
    faults += [f"there is no policy `{name}` to leave out" for name in sorted(without - set(static))]
    static = {name: policy for name, policy in static.items() if name not in without}
    digest.update("\0".join(sorted(without)).encode())
    if not any(policy["effect"] == "permit" for policy in static.values()):
        faults.append(f"no permit in `{directory.name}/*.cedar`: nothing could ever leave")
    if faults or schema is None:
        raise ConfigError(f"policies in `{directory}`", faults)
    policies = Policies(static, schema, digest=digest.hexdigest()[:16])
    if faults := [f"`schema.cedarschema` does not fit the vocabulary: {error}" for error in policies.probe()]:
        raise ConfigError(f"policies in `{directory}`", faults)
    return policies


def _load_schema(path: Path, digest: Any, faults: list[str]) -> cedarpy.Schema | None:
    try:
        text = path.read_text("utf-8")
        digest.update(text.encode())
        return cedarpy.Schema.from_str(text)
    except (OSError, ValueError) as error:
        faults.append(f"`{path.name}`: {_line(error)}")
        return None


def _load_file(
    path: Path, text: str, schema: cedarpy.Schema | None, faults: list[str], *, strict: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        document = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        faults.append(f"`{path.name}`: {_line(error)}")
        return
    if schema is not None:
        result = cedarpy.validate_policies(text, schema)
        names = result.id_annotations_by_policy_id
        faults += [f"`{path.name}`: `{names.get(e.policy_id, e.policy_id)}`: {_line(e.error)}" for e in result.errors]
    if document["templates"]:
        faults.append(f"`{path.name}`: templates are not used here")
    for generated, policy in document["staticPolicies"].items():
        annotations = policy.get("annotations", {})
        name = annotations.get("id") or generated
        missing = [what for what in _ANNOTATIONS if not (annotations.get(what) or "").strip()]
        faults += [f"`{path.name}`: policy `{name}` has no `@{what}`" for what in missing]
        if policy["effect"] == "permit" and "sealed" in annotations:
            faults.append(f"`{path.name}`: permit `{name}` is `@sealed`: what lets a record out is always shown")
        if policy["effect"] == "permit" and strict:
            absent = _undemanded(policy)
            faults += [f"`{path.name}`: permit `{name}` does not demand `{what}`" for what in absent]
        yield name, {**policy, "annotations": {"basis": "", **annotations}}


def _undemanded(policy: dict[str, Any]) -> list[str]:
    """Of what every permit must demand, what stands in no `&&` of its `when` clauses."""
    demanded: set[str] = set()
    for condition in policy["conditions"]:
        if condition["kind"] != "when":
            continue
        for term in conjuncts(condition["body"]):
            if attribute := _attribute(term):
                demanded.add(attribute)
            elif "==" in term:
                sides = (term["=="]["left"], term["=="]["right"])
                if {"Value": 0} in sides and any(_attribute(side) == "residual" for side in sides):
                    demanded.add("residual == 0")
    return [what for what in ("residual == 0", *REQUIRED) if what not in demanded]


def conjuncts(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The terms of an expression (Cedar's JSON form) that are joined with `&&`."""
    if "&&" in body:
        yield from conjuncts(body["&&"]["left"])
        yield from conjuncts(body["&&"]["right"])
    else:
        yield body


def _attribute(term: dict[str, Any]) -> str | None:
    access = term.get(".")
    return str(access["attr"]) if access and access["left"] == {"Var": "context"} else None


def _line(error: object) -> str:
    return " ".join(str(error).split())
