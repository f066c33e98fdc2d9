"""The schema files as the tests read them: plain JSON, without the services' own compilers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from services.kernel.vocabulary import Tag

Schema = dict[str, Any]

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
FEEDS = tuple(sorted(path.stem for path in (SCHEMAS / "feeds").glob("*.json")))
VIEWS = tuple(sorted((path.parent.name, path.stem) for path in (SCHEMAS / "partners").glob("*/*.json")))
MESSAGES = tuple(sorted(path.stem for path in (SCHEMAS / "messages").glob("*.json")))

#: Tags of what a view never has room for.
PROTECTED = frozenset(
    {
        Tag.NATIONALITY, Tag.COUNTRY_OF_ORIGIN, Tag.IMMIGRATION_STATUS, Tag.IMMIGRATION_DOCUMENT,
        Tag.IMMIGRATION_CONTACT, Tag.ENTRY_ROUTE, Tag.LANGUAGE, Tag.PROXY, Tag.ETHNICITY, Tag.POLICE_ID,
        Tag.MARKER, Tag.TASK, Tag.ATTACHMENT,
    }
)  # fmt: skip


def read(path: Path) -> Schema:
    """One JSON file."""
    content = json.loads(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def feed_schema(feed: str) -> Schema:
    """The schema of one feed."""
    return read(SCHEMAS / "feeds" / f"{feed}.json")


def view_schema(view: str, feed: str) -> Schema:
    """The schema of one view of one feed."""
    return read(SCHEMAS / "partners" / view / f"{feed}.json")


def samples(feed: str) -> list[dict[str, Any]]:
    """The made-up records of one feed."""
    return [json.loads(line) for line in (ROOT / "samples" / f"{feed}.jsonl").read_text("utf-8").splitlines()]


def yaml_file(path: Path) -> dict[str, Any]:
    """One YAML file."""
    content = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def nodes(root: Schema) -> Iterator[tuple[str, Schema]]:
    """Every node of a feed or view schema with its pointer, `*` for the items of an array."""
    stack = [("", root)]
    while stack:
        pointer, node = stack.pop()
        if "$ref" in node:
            assert set(node) == {"$ref"}, f"{pointer}: nothing may stand beside a reference"
            node = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
        yield pointer, node
        stack += [(f"{pointer}/{name}", child) for name, child in node.get("properties", {}).items()]
        if "items" in node:
            stack.append((f"{pointer}/*", node["items"]))


def types(node: Schema) -> frozenset[str]:
    """The JSON types that a node admits."""
    given = node.get("type", ())
    return frozenset([given] if isinstance(given, str) else given)


def is_leaf(node: Schema) -> bool:
    """True for a node that holds a value and no further nodes."""
    return types(node).isdisjoint({"object", "array"})


def tag_of(node: Schema) -> Tag:
    """The node's one tag."""
    (tag,) = node["confluent:tags"]
    return Tag(tag)
