"""Feed schemas: every leaf has one known meaning, and what is kept unread is closed."""

from __future__ import annotations

import re

import jsonschema_rs
import pytest

from services.kernel.schema.load import load_feeds
from services.kernel.schema.tags import load_tags
from services.kernel.vocabulary import Role, Tag
from tests.schemas.files import FEEDS, SCHEMAS, feed_schema, is_leaf, nodes, tag_of, types, yaml_file

ALL = ("council-asb", "hate-crime", "marac", "nrm", "online-report", "partnership-intel", "police-crime")


def test_all_feeds_are_there_and_compile() -> None:
    assert FEEDS == ALL
    plans = load_feeds(SCHEMAS).plans
    assert sorted(plan.feed for plan in plans.values()) == list(ALL)


def test_tags_file_explains_each_tag() -> None:
    load_tags(SCHEMAS / "tags.yaml")
    tags = yaml_file(SCHEMAS / "tags.yaml")["tags"]
    assert set(tags) == set(Tag)
    assert all(rule["summary"].endswith(".") for rule in tags.values())


@pytest.mark.parametrize("feed", FEEDS)
def test_file_is_a_schema_with_its_own_id(feed: str) -> None:
    schema = feed_schema(feed)
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"] == f"urn:safe-reporting:{feed}:1.0"
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("feed", FEEDS)
def test_every_leaf_has_exactly_one_known_tag(feed: str) -> None:
    faults = [
        pointer
        for pointer, node in nodes(feed_schema(feed))
        if is_leaf(node)
        and (len(node.get("confluent:tags", ())) != 1 or node["confluent:tags"][0] not in set(Tag) - {Tag.PERSON})
    ]
    assert faults == []


@pytest.mark.parametrize("feed", FEEDS)
def test_only_person_objects_are_tagged_above_the_leaves(feed: str) -> None:
    for pointer, node in nodes(feed_schema(feed)):
        if not is_leaf(node) and "confluent:tags" in node:
            assert types(node) == {"object"}, pointer
            assert node["confluent:tags"] == [Tag.PERSON], pointer


@pytest.mark.parametrize("feed", FEEDS)
def test_codes_are_closed(feed: str) -> None:
    for pointer, node in nodes(feed_schema(feed)):
        if not is_leaf(node) or tag_of(node) not in {Tag.CODE, Tag.ROLE, Tag.AREA, Tag.CONSENT, Tag.TIME}:
            continue
        if "string" not in types(node) or "enum" in node:
            continue
        pattern = node["pattern"]
        assert pattern.startswith("^"), pointer
        assert pattern.endswith("$"), pointer
        assert not any(re.search(pattern, word) for word in ("asylum", "PL", "Polish", "NRPF", "no recourse")), pointer


@pytest.mark.parametrize("feed", FEEDS)
def test_roles_are_mapped_to_known_ones_and_one_value_stays_unknown_or_none(feed: str) -> None:
    for pointer, node in nodes(feed_schema(feed)):
        if is_leaf(node) and tag_of(node) is Tag.ROLE:
            assert set(node["x-roles"].values()) <= set(Role) - {Role.UNKNOWN}, pointer
            assert set(node["x-roles"]) <= set(node["enum"]), pointer
        if "x-role" in node:
            assert node["x-role"] in set(Role), pointer
            assert tag_of(node) is Tag.RELATIONSHIP, pointer


@pytest.mark.parametrize("feed", FEEDS)
def test_each_person_has_an_id_and_each_record_one(feed: str) -> None:
    found = list(nodes(feed_schema(feed)))
    persons = [node for _, node in found if node.get("confluent:tags") == [Tag.PERSON]]
    assert persons
    inner = feed_schema(feed).get("$defs", {})
    for person in persons:
        children = [
            inner[child["$ref"].removeprefix("#/$defs/")] for child in person["properties"].values() if "$ref" in child
        ]
        assert sum(child.get("x-person") == "id" for child in children) == 1
    assert sum(node.get("x-record") == "id" for _, node in found) == 1
    assert sum(node.get("x-record") == "version" for _, node in found) == 1


def test_nested_lists_are_covered() -> None:
    """A list of lists of text, of persons and of references, and persons inside persons."""
    pointers = {feed: {pointer for pointer, node in nodes(feed_schema(feed)) if is_leaf(node)} for feed in FEEDS}
    assert "/enquiryLog/*/*" in pointers["police-crime"]
    assert "/households/*/*/nationality" in pointers["marac"]
    assert "/linkedPeople/*/*" in pointers["partnership-intel"]
    assert "/persons/*/family/*/nationality" in pointers["police-crime"]
