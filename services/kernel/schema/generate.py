"""The two schemas that are made from a feed's own: what is accepted, and what may come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema_rs

from services.kernel.schema.compile import BRANCHES, resolve
from services.kernel.schema.leaf import CONSTRAINTS
from services.kernel.schema.plan import Leaf, Node, Schema, Validator
from services.kernel.schema.tags import Action, Tags
from services.kernel.vocabulary import Tag

#: A keyed hash in hex.
PSEUDONYM_PATTERN = "^[0-9a-f]{16,64}$"


def validator(schema: Schema) -> Validator:
    """Compile a generated `schema`, which has no references left; formats are checked."""
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, offline=True)


def schema_fault(schema: Schema) -> str | None:
    """None where `schema` is a JSON Schema, else what is wrong. Nothing is fetched."""
    try:
        jsonschema_rs.meta.validate(dict(schema))
    except ValueError as error:
        return str(error).splitlines()[0]
    return None


def source_schema(schema: Schema, tags: Tags) -> Schema:
    """What is accepted: the feed's constraints without those on leaves that a protected person loses.

    Such a leaf may hold anything, since it is dropped. `oneOf` becomes `anyOf`, for with fewer
    constraints two branches may hold at once.
    """
    return _relaxed(schema, schema.get("$defs", {}), tags)[0]


def _relaxed(given: Schema, definitions: Mapping[str, Any], tags: Tags) -> tuple[Schema, bool]:
    """The relaxed schema, and whether everything beneath is dropped. Recursion is as deep as the schema."""
    schema, name = resolve(given, definitions)
    if name is not None:
        return _relaxed(schema, definitions, tags)
    tag = next(iter(schema.get("confluent:tags", ())), None)
    if tag is not None and tag != Tag.PERSON:
        dropped = tags[Tag(tag)].protected is Action.DROP and "x-person" not in schema
        return ({} if dropped else {key: schema[key] for key in CONSTRAINTS if key in schema}), dropped
    made: dict[str, Any] = {
        key: schema[key] for key in (*CONSTRAINTS, "required", "minItems", "maxItems", "uniqueItems") if key in schema
    }
    dropped_below: list[bool] = []
    if "properties" in schema:
        inner = {key: _relaxed(value, definitions, tags) for key, value in schema["properties"].items()}
        made["properties"] = {key: value for key, (value, _) in inner.items()}
        dropped_below += [dropped for _, dropped in inner.values()]
    if "items" in schema:
        made["items"], dropped = _relaxed(schema["items"], definitions, tags)
        dropped_below.append(dropped)
    every: list[Schema] = []
    for key in BRANCHES:
        if key in schema:
            branches = [_relaxed(branch, definitions, tags) for branch in schema[key]]
            group = {"allOf" if key == "allOf" else "anyOf": [branch for branch, _ in branches]}
            every.append(group)
            dropped_below += [dropped for _, dropped in branches]
    if every:
        made["allOf"] = every
    if tag is None and dropped_below and all(dropped_below):
        return {}, True
    return made, False


def redacted_schema(root: Node, schema_id: str) -> Schema:
    """What may come out: the feed's shape, closed at every object, nothing required."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{schema_id}:redacted",
        **_closed(root),
    }


def kept_validators(nodes: Iterable[Node]) -> dict[str, Validator]:
    """By pattern, what checks a leaf that only an unprotected record keeps: `source_schema` asked nothing of it."""
    return {
        node.pattern: validator(_leaf(node.leaf))
        for node in nodes
        if node.leaf is not None and node.leaf.protected is Action.DROP and node.leaf.unprotected is Action.KEEP
    }


def _closed(node: Node) -> dict[str, Any]:
    if node.leaf is not None:
        return _leaf(node.leaf)
    forms: list[dict[str, Any]] = []
    if node.children:
        properties = {key: _closed(child) for key, child in sorted(node.children.items()) if not child.gone}
        forms.append({"type": "object", "properties": properties, "additionalProperties": False})
    if node.items is not None:
        forms.append({"type": "array", "items": _closed(node.items)})
    if "null" in node.types:
        forms.append({"type": "null"})
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _leaf(leaf: Leaf) -> dict[str, Any]:
    nullable = ["null"] if "null" in leaf.types else []
    if leaf.unprotected is Action.SCAN:
        return {"type": ["string", *nullable]}
    if leaf.unprotected is Action.PSEUDONYMISE:
        return {"type": ["string", *nullable], "pattern": PSEUDONYM_PATTERN}
    forms = [dict(constraint) for constraint in leaf.constraints]
    return forms[0] if len(forms) == 1 else {"anyOf": forms}
