"""From a feed's JSON Schema to the tree of its places. Everything that is not understood is a fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.kernel.schema.leaf import CONSTRAINTS, LEAF_WORDS, SCALARS, read_leaf, united
from services.kernel.schema.plan import Node, Schema, escape
from services.kernel.schema.tags import Action, Tags
from services.kernel.schema.words import RecordMark, RiskMark
from services.kernel.vocabulary import Tag

BRANCHES = ("anyOf", "oneOf", "allOf")
MAX_DEPTH = 48

_KNOWN = LEAF_WORDS.union(
    CONSTRAINTS,
    BRANCHES,
    ("$ref", "$defs", "properties", "required", "items", "minItems", "maxItems", "uniqueItems"),
    ("$schema", "$id", "$comment", "title", "description", "examples", "default"),
    ("confluent:tags", "x-person-when"),
)


def resolve(schema: Schema, definitions: Mapping[str, Any]) -> tuple[Schema, str | None]:
    """Follow one local `$ref`; what stands beside it wins. Returns the schema and the name followed.

    Raises:
        KeyError: the reference leads nowhere, or out of the file.
    """
    reference = schema.get("$ref")
    if reference is None:
        return schema, None
    prefix, _, name = str(reference).rpartition("/")
    if prefix != "#/$defs" or not isinstance(definitions.get(name), dict):
        raise KeyError(reference)
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**definitions[name], **beside}, name


def walk_tree(root: Node) -> Iterator[Node]:
    """Every node, a parent before what is below it."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.below())


class Compiler:
    """Walks one schema; afterwards `root` is the tree and `faults` all that was wrong with it."""

    def __init__(self, schema: Schema, tags: Tags) -> None:
        self.root = Node("")
        self.faults: list[str] = []
        self._tags = tags
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._when: dict[str, list[bool]] = {}
        self._add(schema, self.root, ())
        if not self.faults:
            self._check_tree()
        for node in reversed(list(walk_tree(self.root))):
            _summarise(node)

    def _fault(self, node: Node, what: str) -> None:
        text = f"`{node.pattern or '/'}`: {what}"
        if text not in self.faults:
            self.faults.append(text)

    def _add(self, given: object, node: Node, followed: tuple[str, ...]) -> None:
        """Add what `given` says of the place `node`; `followed` are the references that led here."""
        if not isinstance(given, dict):
            return self._fault(node, "a schema must be an object")
        try:
            schema, name = resolve(given, self._definitions)
        except KeyError as error:
            return self._fault(node, f"`$ref` {error} is not a local definition")
        if name is not None:
            if name in followed:
                return self._fault(node, f"`$ref` to `{name}` is recursive")
            return self._add(schema, node, (*followed, name))
        if node.pattern.count("/") > MAX_DEPTH:
            return self._fault(node, f"deeper than {MAX_DEPTH} levels")
        for key in sorted(schema.keys() - _KNOWN):
            self._fault(node, f"unknown keyword `{key}`")
        self._add_meaning(schema, node)
        for key in BRANCHES:
            for branch in schema.get(key, ()):
                self._add(branch, node, followed)
        for key, inner in schema.get("properties", {}).items():
            child = node.children.setdefault(key, Node(f"{node.pattern}/{escape(key)}"))
            self._add(inner, child, followed)
        if "items" in schema:
            node.items = node.items or Node(f"{node.pattern}/*")
            self._add(schema["items"], node.items, followed)
        return None

    def _add_meaning(self, schema: Schema, node: Node) -> None:
        """Types, tag and `x-*` words of one schema object."""
        declared = schema.get("type", ())
        types = frozenset((declared,) if isinstance(declared, str) else declared)
        node.types |= types
        node.scalar = node.scalar or bool(types & SCALARS or "enum" in schema or "const" in schema)
        tags = schema.get("confluent:tags", [])
        if not isinstance(tags, list) or len(tags) > 1:
            return self._fault(node, "`confluent:tags` must be a list of exactly one tag")
        if tags and tags[0] not in list(Tag):
            return self._fault(node, f"unknown tag `{tags[0]}`")
        tag = Tag(tags[0]) if tags else None
        if tag is Tag.PERSON:
            return self._add_person(schema, types, node)
        if "object" in types and schema.get("properties"):
            self._when.setdefault(node.pattern, []).append(False)
        if "x-person-when" in schema:
            self._fault(node, "`x-person-when` belongs to an object tagged `PERSON`")
        if tag is None:
            for key in sorted(schema.keys() & LEAF_WORDS):
                self._fault(node, f"`{key}` belongs to a tagged leaf")
            return None
        leaf = read_leaf(schema, node.pattern, types, self._tags[tag], lambda what: self._fault(node, what))
        if leaf is not None and node.leaf is not None:
            leaf = united(node.leaf, leaf, lambda what: self._fault(node, what))
        node.leaf = leaf or node.leaf
        return None

    def _add_person(self, schema: Schema, types: frozenset[str], node: Node) -> None:
        when = schema.get("x-person-when")
        properties = schema.get("properties", {})
        if "object" not in types or not properties:
            return self._fault(node, "`PERSON` belongs to an object with properties")
        if when is not None and (not isinstance(when, dict) or not when or when.keys() - properties.keys()):
            return self._fault(node, "`x-person-when` must name properties of the object and their values")
        self._when.setdefault(node.pattern, []).append(when is None)
        node.person = (*(node.person or ()), *((when,) if when is not None else ()))
        return None

    def _check_tree(self) -> None:
        """What only the whole tree shows."""
        nodes = list(walk_tree(self.root))
        for node in nodes:
            container = bool(node.children or node.items)
            if node.leaf is None and node.scalar:
                self._fault(node, "a leaf without a tag")
            elif node.leaf is not None and container:
                self._fault(node, "a leaf and a container at once")
            elif node.leaf is None and not container:
                self._fault(node, "no type, no properties, no items: nothing could be said of what stands here")
            if node.person is not None and len(set(self._when[node.pattern])) > 1:
                self._fault(node, "`PERSON` in some branches only needs `x-person-when` in each of them")
        if "object" not in self.root.types or self.root.person is not None:
            self._fault(self.root, "a record is an object, and not itself a person")
        self._check_record(nodes)
        self._check_persons()

    def _check_record(self, nodes: list[Node]) -> None:
        marked = [(node, node.leaf.record) for node in nodes if node.leaf and node.leaf.record]
        ids = [node for node, mark in marked if mark is RecordMark.ID]
        versions = [node for node, mark in marked if mark is RecordMark.VERSION]
        if len(ids) != 1:
            self._fault(self.root, f"{len(ids)} leaves with `x-record: id`, there must be one")
        if len(versions) > 1:
            self._fault(self.root, f"{len(versions)} leaves with `x-record: version`, there may be one")
        for node in (*ids, *versions):
            if "*" in node.pattern.split("/"):
                self._fault(node, "`x-record` cannot stand inside an array")
        self._check_risk([node for node in nodes if node.leaf and node.leaf.risk])

    def _check_risk(self, nodes: list[Node]) -> None:
        """One place for each kind of risk, outside arrays; `threats` is itself an array."""
        places = [(node, node.leaf.risk) for node in nodes if node.leaf]
        for risk in sorted({risk for _, risk in places if risk and [r for _, r in places].count(risk) > 1}):
            self._fault(self.root, f"more than one place with `x-risk: {risk}`")
        for node, mark in places:
            stars = node.pattern.split("/").count("*")
            listed = mark is RiskMark.THREATS
            if stars != int(listed) or listed != node.pattern.endswith("/*"):
                self._fault(node, f"`x-risk: {mark}` cannot stand here: threats are an array, flags in none")

    def _check_persons(self) -> None:
        """Marks belong to the nearest person above; each at most once, and outside arrays of its own."""
        stack: list[tuple[Node, Node | None, bool]] = [(self.root, None, False)]
        seen: set[tuple[str, str]] = set()
        while stack:
            node, owner, listed = stack.pop()
            if node.person is not None:
                owner, listed = node, False
            leaf = node.leaf
            if leaf is not None and (leaf.person is not None or leaf.tag is Tag.ROLE):
                if owner is None:
                    self._fault(node, "`x-person` and `ROLE` belong inside an object tagged `PERSON`")
                elif leaf.person is not None:
                    if listed or (owner.pattern, leaf.person) in seen:
                        self._fault(owner, f"more than one `x-person: {leaf.person}`")
                    seen.add((owner.pattern, leaf.person))
            stack += [(child, owner, listed) for child in node.children.values()]
            if node.items is not None:
                stack.append((node.items, owner, True))


def _summarise(node: Node) -> None:
    """Set what holds for all that is below `node`, whose own children are done already."""
    below = list(node.below())
    if node.leaf is not None:
        node.gone = node.leaf.unprotected is Action.DROP and node.leaf.protected is Action.DROP
        node.gone_if_protected = node.leaf.protected is Action.DROP
        node.speaks = node.leaf.speaks
        return
    node.gone = node.person is None and bool(below) and all(child.gone for child in below)
    node.gone_if_protected = node.person is None and bool(below) and all(child.gone_if_protected for child in below)
    node.speaks = node.person is not None or any(child.speaks for child in below)
