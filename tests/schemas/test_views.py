"""Partner views: closed shapes, resolvable sources, no place for a protected class."""

from __future__ import annotations

import jsonschema_rs
import pytest

from services.kernel.vocabulary import Role, Tag
from services.router.coarsen import TABLES
from services.router.view import load_views
from tests.schemas.files import (
    PROTECTED,
    SCHEMAS,
    VIEWS,
    Schema,
    feed_schema,
    is_leaf,
    nodes,
    tag_of,
    types,
    view_schema,
)

EXPECTED = {
    "victim-support": {"police-crime", "online-report", "hate-crime"},
    "independent-advocacy": {"marac", "police-crime"},
    "community-safety": {"police-crime", "online-report", "hate-crime", "council-asb"},
    "housing": {"council-asb", "police-crime"},
    "labour-exploitation": {"nrm", "partnership-intel"},
    "challenger-hub": {
        "police-crime", "online-report", "hate-crime", "marac", "nrm", "council-asb", "partnership-intel",
    },
    "childrens-safeguarding": {"police-crime", "online-report", "marac"},
    "adults-safeguarding": {"police-crime", "marac", "council-asb"},
    "health": {"police-crime", "marac"},
    "victim-identification": {"nrm", "partnership-intel"},
    "reporting-centre": {"hate-crime", "online-report"},
    "probation": {"police-crime", "marac"},
    "research": {"police-crime", "online-report", "hate-crime", "council-asb"},
}  # fmt: skip
WITH_TEXT = {"victim-support", "independent-advocacy"}
DOORS = {("housing", "council-asb"), ("housing", "police-crime"), ("childrens-safeguarding", "police-crime")}
CALLED = {("victim-identification", "nrm")}
#: Views that show no person at all.
NOBODY = {("victim-identification", "partnership-intel")} | {("research", feed) for feed in EXPECTED["research"]}
CONTACT = "contactArrangement"
views = pytest.mark.parametrize(("view", "feed"), VIEWS)


def leaves(schema: Schema) -> list[tuple[str, Schema]]:
    """Nodes that the router fills: those that say how."""
    return [(pointer, node) for pointer, node in nodes(schema) if "x-how" in node]


def test_each_agreed_pair_has_a_view_and_no_other() -> None:
    assert {(view, feed) for view, feeds in EXPECTED.items() for feed in feeds} == set(VIEWS)
    load_views(SCHEMAS / "partners")


@views
def test_file_is_a_schema_with_its_own_id(view: str, feed: str) -> None:
    schema = view_schema(view, feed)
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"] == f"urn:safe-reporting:view:{view}:{feed}:1.0"


@views
def test_objects_are_closed_and_complete(view: str, feed: str) -> None:
    for pointer, node in nodes(view_schema(view, feed)):
        if "object" in types(node):
            assert node["additionalProperties"] is False, pointer
            assert sorted(node["required"]) == sorted(node["properties"]), pointer


@views
def test_every_leaf_says_what_it_is_and_how_it_is_made(view: str, feed: str) -> None:
    schema = view_schema(view, feed)
    filled = {pointer for pointer, _ in leaves(schema)}
    for pointer, node in nodes(schema):
        if is_leaf(node):
            assert len(node["confluent:tags"]) == 1, pointer
            assert pointer in filled or pointer.removesuffix("/*") in filled, pointer


@views
def test_no_leaf_has_room_for_a_protected_class(view: str, feed: str) -> None:
    feed_tags = {pointer: node.get("confluent:tags") for pointer, node in nodes(feed_schema(feed))}
    for pointer, node in leaves(view_schema(view, feed)):
        assert tag_of(node) not in PROTECTED, pointer
        if "x-from" in node:
            assert PROTECTED.isdisjoint(feed_tags[node["x-from"]] or ()), pointer


@views
def test_sources_resolve_to_the_same_meaning(view: str, feed: str) -> None:
    source = dict(nodes(feed_schema(feed)))
    for pointer, node in nodes(view_schema(view, feed)):
        if "x-from" not in node:
            assert not str(node.get("x-how", "constant")).startswith(("copy", "coarsen", "pseudonym", "role")), pointer
            continue
        found = source[node["x-from"]]
        if node.get("x-how") == "role":
            assert found["confluent:tags"] == [Tag.PERSON], pointer
        elif "x-how" in node:
            assert found["confluent:tags"] == node["confluent:tags"], pointer
        else:
            assert types(found) == {"array"}, pointer


@views
def test_arrays_choose_by_known_roles_and_by_codes(view: str, feed: str) -> None:
    source = dict(nodes(feed_schema(feed)))
    for pointer, node in nodes(view_schema(view, feed)):
        assert set(node.get("x-roles", ())) <= set(Role), pointer
        if where := node.get("x-where"):
            assert where["equals"] in source[where["pointer"]]["enum"], pointer


@views
def test_ways_are_known_and_fit_the_meaning(view: str, feed: str) -> None:
    """Birth dates only as bands, contacts only by table, times only as days, ids only keyed."""
    for pointer, node in leaves(view_schema(view, feed)):
        how, _, what = node["x-how"].partition(":")
        assert how in {"copy", "coarsen", "pseudonym", "constant", "role", "record"}, pointer
        if how == "coarsen":
            assert what in {*TABLES, "text"}, pointer
        expected = {
            Tag.BIRTH_DATE: {"coarsen:age_band"},
            Tag.CONTACT: {"coarsen:uk_phone", "coarsen:email_known"},
            Tag.TIME: {"coarsen:quarter"} if view == "research" else {"coarsen:day", "coarsen:month"},
            Tag.FREE_TEXT: {"coarsen:text"},
            Tag.RECORD_ID: {"record"},
            Tag.IDENTIFIER: {"pseudonym"},
            Tag.REFERENCE: {"pseudonym"},
            Tag.ROLE: {"role"},
        }.get(tag_of(node))
        assert expected is None or node["x-how"] in expected, pointer


@views
def test_single_values_can_be_empty(view: str, feed: str) -> None:
    """One constant for empty, dropped and unknown: null."""
    for pointer, node in leaves(view_schema(view, feed)):
        if node["x-how"] != "role" and not pointer.endswith("/*"):
            assert "null" in types(node), pointer
            assert "enum" not in node or None in node["enum"], pointer


@views
def test_text_and_doors_only_where_the_agreement_names_them(view: str, feed: str) -> None:
    tags = {tag_of(node) for _, node in leaves(view_schema(view, feed))}
    assert (Tag.FREE_TEXT in tags) == (view in WITH_TEXT)
    assert (Tag.ADDRESS in tags) == ((view, feed) in DOORS)
    if view not in WITH_TEXT and (view, feed) not in CALLED:
        assert tags.isdisjoint({Tag.NAME, Tag.CONTACT})


@pytest.mark.parametrize("feed", sorted(EXPECTED["research"]))
def test_a_row_for_counting_shows_no_single_record(feed: str) -> None:
    schema = view_schema("research", feed)
    tags = {tag_of(node) for _, node in leaves(schema)}
    assert tags <= {Tag.AREA, Tag.CODE, Tag.TIME}
    assert "ward" not in schema["properties"]


@views
def test_each_list_of_people_carries_the_contact_constant(view: str, feed: str) -> None:
    constants = {node["x-how"] for pointer, node in leaves(view_schema(view, feed)) if pointer.endswith(f"/{CONTACT}")}
    told = {"constant:arrange contact through the safe-contact desk; never use family to interpret"}
    assert constants == (set() if (view, feed) in NOBODY else told)
