"""Loading every feed schema of a deployment, or none: all faults are listed at once."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from types import MappingProxyType

from services.kernel.errors import ConfigError
from services.kernel.jsonio import BadJson, Limits, canonical, parse
from services.kernel.schema.compile import Compiler, walk_tree
from services.kernel.schema.generate import kept_validators, redacted_schema, schema_fault, source_schema, validator
from services.kernel.schema.plan import Feeds, Node, Plan, Schema
from services.kernel.schema.tags import Tags, load_tags
from services.kernel.schema.words import RiskMark

_ID = re.compile(r"urn:safe-reporting:(?P<feed>[a-z][a-z0-9]*(?:-[a-z0-9]+)*):(?P<version>\d+\.\d+)")
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def load_feeds(directory: Path) -> Feeds:
    """Compile `<directory>/feeds/*.json` with `<directory>/tags.yaml`.

    Raises:
        ConfigError: listing every fault of every file.
    """
    tags = load_tags(directory / "tags.yaml")
    plans: dict[str, Plan] = {}
    faults: list[str] = []
    for path in sorted((directory / "feeds").glob("*.json")):
        try:
            plan = compile_feed(_read(path), tags)
        except ConfigError as error:
            faults += [f"{path.name}: {fault}" for fault in error.faults]
            continue
        if path.stem not in (plan.feed, f"{plan.feed}-{plan.version}"):
            faults.append(f"{path.name}: holds feed `{plan.feed}` {plan.version}")
        if plan.schema_id in plans:
            faults.append(f"{path.name}: a second schema `{plan.schema_id}`")
        plans[plan.schema_id] = plan
    if not plans and not faults:
        faults.append(f"no schema in `{directory / 'feeds'}`")
    if faults:
        raise ConfigError("feed schemas", faults)
    return Feeds(MappingProxyType(plans))


def compile_feed(schema: Schema, tags: Tags) -> Plan:
    """Compile one feed schema.

    Raises:
        ConfigError: listing every fault.
    """
    identity = _ID.fullmatch(str(schema.get("$id")))
    faults = [] if identity else ["`$id` must be `urn:safe-reporting:<feed>:<major>.<minor>`"]
    if schema.get("$schema") != _DRAFT:
        faults.append(f"`$schema` must be `{_DRAFT}`")
        raise ConfigError("feed schema", faults)
    if fault := schema_fault(schema):
        raise ConfigError("feed schema", [*faults, f"not a JSON Schema: {fault}"])
    compiler = Compiler(schema, tags)
    faults += compiler.faults
    if faults or identity is None:
        raise ConfigError("feed schema", faults)
    redacted = redacted_schema(compiler.root, identity.group())
    nodes = sorted(walk_tree(compiler.root), key=lambda node: node.pattern)
    return Plan(
        feed=identity["feed"],
        version=identity["version"],
        schema_id=identity.group(),
        digest=_digest(schema, tags),
        root=compiler.root,
        leaves=MappingProxyType({node.pattern: node.leaf for node in nodes if node.leaf is not None}),
        persons=tuple(node.pattern for node in nodes if node.person is not None),
        risk=MappingProxyType(_risk_places(compiler.root)),
        redacted_schema=redacted,
        source_validator=validator(source_schema(schema, tags)),
        redacted_validator=validator(redacted),
        kept_validators=MappingProxyType(kept_validators(nodes)),
    )


def _read(path: Path) -> Schema:
    try:
        schema = parse(path.read_bytes(), Limits())
    except BadJson as error:
        raise ConfigError("feed schema", [f"cannot be read: {error.reason}"]) from error
    except OSError as error:
        raise ConfigError("feed schema", [f"cannot be read: {error.strerror}"]) from error
    if not isinstance(schema, dict):
        raise ConfigError("feed schema", ["not an object"])
    return schema


def _digest(schema: Schema, tags: Tags) -> str:
    """Changes with anything that changes what the plan does: the schema, or the meaning of a tag."""
    rules = [[rule.tag, rule.group, rule.protected, rule.unprotected, rule.kind] for _, rule in sorted(tags.items())]
    return hashlib.sha256(canonical([schema, rules])).hexdigest()[:32]


def _risk_places(root: Node) -> dict[RiskMark, tuple[str, ...]]:
    """For each `x-risk` leaf, the property names that lead to it, without the array step of `threats`."""
    places: dict[RiskMark, tuple[str, ...]] = {}
    stack: list[tuple[Node, tuple[str, ...]]] = [(root, ())]
    while stack:
        node, keys = stack.pop()
        for key, child in node.children.items():
            stack.append((child, (*keys, key)))
            leaf = child.leaf or (child.items.leaf if child.items else None)
            if leaf is not None and leaf.risk is not None:
                places[leaf.risk] = (*keys, key)
    return places
