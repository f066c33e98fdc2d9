"""Compiling feed schemas: the project's own load, and every fault in another is found, all at once."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kernel.errors import ConfigError
from services.kernel.schema import Plan, Tags, compile_feed, load_feeds, load_tags
from services.kernel.schema.closed import is_closed
from services.kernel.schema.words import PersonMark, RiskMark
from services.kernel.vocabulary import Role, Tag

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
TAGS: Tags = load_tags(SCHEMAS / "tags.yaml")
FEEDS = load_feeds(SCHEMAS)

CODE = {"type": "string", "enum": ["a", "b"], "confluent:tags": ["CODE"]}
TEXT = {"type": ["string", "null"], "confluent:tags": ["FREE_TEXT"]}
ID = {"type": "string", "x-record": "id", "confluent:tags": ["RECORD_ID"]}
FLAG = {"type": "boolean", "x-risk": "coercive_control", "confluent:tags": ["CODE"]}
PERSON_ID = {"type": "string", "x-person": "id", "confluent:tags": ["IDENTIFIER"]}
NATIONALITY = {"type": "string", "confluent:tags": ["NATIONALITY"]}
ROLE = {"type": "string", "enum": ["V", "victim", "else"], "x-roles": {"V": "victim"}, "confluent:tags": ["ROLE"]}
PERSON = {
    "type": "object",
    "confluent:tags": ["PERSON"],
    "properties": {"id": PERSON_ID, "role": ROLE, "nationality": NATIONALITY},
}


def feed(properties: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:safe-reporting:made-up:1.0",
        "type": "object",
        "properties": {"id": ID, **(properties or {})},
        **changes,
    }


def compiled(properties: dict[str, Any] | None = None, **changes: Any) -> Plan:
    return compile_feed(feed(properties, **changes), TAGS)


def faults(properties: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compiled(properties, **changes)
    return caught.value.faults


def test_the_feeds_of_the_project_load() -> None:
    assert FEEDS.names() == (
        "council-asb", "hate-crime", "marac", "nrm", "online-report", "partnership-intel", "police-crime",
    )  # fmt: skip
    assert FEEDS.get("urn:safe-reporting:police-crime:9.9") is None
    for plan in FEEDS.plans.values():
        assert plan.persons
        assert set(plan.risk) == set(RiskMark)
        assert PersonMark.ID in {leaf.person for leaf in plan.leaves.values()}


FAULTS = [
    pytest.param({"x": {"type": "string"}}, "a leaf without a tag", id="untagged"),
    pytest.param({"x": {"enum": [1]}}, "a leaf without a tag", id="untagged by enum"),
    pytest.param({"x": {}}, "nothing could be said", id="anything"),
    pytest.param({"x": {"type": "object"}}, "nothing could be said", id="object without properties"),
    pytest.param({"x": {"type": "array"}}, "nothing could be said", id="array without items"),
    pytest.param({"x": True}, "a schema must be an object", id="true"),
    pytest.param({"x": {**CODE, "confluent:tags": ["SECRET"]}}, "unknown tag `SECRET`", id="unknown tag"),
    pytest.param({"x": {**CODE, "confluent:tags": ["CODE", "TIME"]}}, "exactly one tag", id="two tags"),
    pytest.param({"x": {"type": "string", "confluent:tags": ["CODE"]}}, "must be closed", id="open code"),
    pytest.param({"x": {"type": "string", "pattern": "^.*$", "confluent:tags": ["CODE"]}}, "must be closed", id="dot"),
    pytest.param({"x": {"type": "string", "confluent:tags": ["TIME"]}}, "must be closed", id="open time"),
    pytest.param({"x": {"type": "string", "enum": ["E1"], "confluent:tags": ["AREA"]}}, "an area needs", id="area"),
    pytest.param({"x": {"enum": ["a"], "confluent:tags": ["CODE"]}}, "scalar `type`", id="tag without type"),
    pytest.param({"x": {**CODE, "x-how": "copy"}}, "unknown keyword `x-how`", id="unknown annotation"),
    pytest.param({"x": {**CODE, "not": {}}}, "unknown keyword `not`", id="unknown keyword"),
    pytest.param({"x": {**PERSON, "additionalProperties": False}}, "unknown keyword", id="closed object"),
    pytest.param({"x": {"$ref": "#/$defs/none"}}, "not a local definition", id="reference to nothing"),
    pytest.param({"x": {"$ref": "other.json#/a"}}, "not a local definition", id="reference to a file"),
    pytest.param({"x": {"$ref": "https://host.invalid/#/$defs/a"}}, "not a local definition", id="reference to a host"),
    pytest.param({"x": {"type": "integer", "confluent:tags": ["FREE_TEXT"]}}, "must be string", id="text of numbers"),
    pytest.param({"x": {"type": "number", "confluent:tags": ["REFERENCE"]}}, "string or integer", id="float id"),
    pytest.param({"x": {"type": "object", "confluent:tags": ["TASK"]}}, "scalar `type`", id="tag on an object"),
    pytest.param({"x": {**ID}}, "2 leaves with `x-record: id`", id="two record ids"),
    pytest.param({"x": {**CODE, "x-record": "id"}}, "belongs to tag `RECORD_ID`", id="record id of another tag"),
    pytest.param({"x": {**CODE, "x-record": "key"}}, "`x-record: key` is not one of", id="unknown record mark"),
    pytest.param({"x": {**CODE, "x-record": "marker"}}, "a marker needs", id="marker outside the list"),
    pytest.param({"x": {**CODE, "x-risk": "threats"}}, "needs an enum", id="threat outside the list"),
    pytest.param({"x": FLAG, "y": FLAG}, "more than one place", id="two places for a risk"),
    pytest.param({"x": {"type": "array", "items": FLAG}}, "cannot stand here", id="risk flag in a list"),
    pytest.param({"x": {**CODE, "x-role": "victim"}}, "`x-role` belongs", id="x-role on a code"),
    pytest.param({"x": {**CODE, "x-refers": "thing"}}, "`x-refers` belongs", id="x-refers on a code"),
    pytest.param({"x": {**CODE, "x-refers": "it"}}, "`x-refers: it` is not one of", id="unknown x-refers"),
    pytest.param({"x": {"type": "string", "confluent:tags": ["RELATIONSHIP"]}}, "which needs it", id="no x-role"),
    pytest.param({"x": ROLE}, "belong inside an object tagged `PERSON`", id="role without person"),
    pytest.param({"x": PERSON_ID}, "belong inside an object tagged `PERSON`", id="person id without person"),
    pytest.param({"x": {"type": "object", "x-role": "victim", "properties": {"a": CODE}}}, "tagged leaf", id="stray"),
    pytest.param({"x": {"type": "string", "confluent:tags": ["PERSON"]}}, "object with properties", id="person leaf"),
    pytest.param({"x": {**PERSON, "x-person-when": {"kind": 1}}}, "must name properties", id="when of nothing"),
    pytest.param(
        {"x": {"type": "object", "x-person-when": {"a": "a"}, "properties": {"a": CODE}}},
        "belongs to an object tagged `PERSON`",
        id="when without person",
    ),
    pytest.param(
        {"x": {**PERSON, "properties": {"id": PERSON_ID, "other": PERSON_ID}}}, "more than one `x-person: id`", id="ids"
    ),
    pytest.param(
        {"x": {**PERSON, "properties": {"ids": {"type": "array", "items": PERSON_ID}}}},
        "more than one `x-person: id`",
        id="list of ids",
    ),
    pytest.param(
        {"x": {"anyOf": [PERSON, {"type": "object", "properties": {"a": CODE}}]}}, "needs `x-person-when`", id="branch"
    ),
    pytest.param({"x": {"anyOf": [CODE, TEXT]}}, "branches disagree", id="branches disagree"),
    pytest.param({"x": {"anyOf": [CODE, PERSON]}}, "a leaf and a container", id="leaf or object"),
    pytest.param(
        {"x": {"anyOf": [{"type": "object", "properties": {"r": ROLE}, "confluent:tags": ["PERSON"]}] * 2
               + [{"type": "object", "confluent:tags": ["PERSON"],
                   "properties": {"r": {**ROLE, "x-roles": {"V": "suspect"}}}}]}},
        "one value two roles", id="two roles for a value",
    ),
    pytest.param({"x": {**PERSON, "properties": {"r": {**ROLE, "x-roles": {"Z": "victim"}}}}}, "not in the", id="z"),
    pytest.param({"x": {**PERSON, "properties": {"r": {**ROLE, "enum": [1]}}}}, "enum of strings", id="role numbers"),
    pytest.param({"x": {**CODE, "x-roles": {"a": "victim"}}}, "belongs to tag `ROLE`", id="roles on a code"),
    pytest.param(
        {"x": {**PERSON, "properties": {"c": {**CODE, "x-person": "charged"}}}}, "needs type ['boolean']", id="charged"
    ),
    pytest.param(
        {"x": {"type": "array", "items": {"type": "object", "properties": {"v": {
            "type": "integer", "x-record": "version", "confluent:tags": ["RECORD_VERSION"]}}}}},
        "inside an array", id="version in a list",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("properties", "what"), FAULTS)
def test_a_fault_is_named(properties: dict[str, Any], what: str) -> None:
    found = faults(properties)
    assert any(what in fault for fault in found), found


def test_all_faults_come_at_once() -> None:
    found = faults({"a": {"type": "string", "confluent:tags": ["CODE"]}, "b": {**CODE, "x-z": 1}}, **{"$id": "urn:x"})
    assert len(found) == 3


def test_a_recursive_reference_is_a_fault() -> None:
    node = {"type": "object", "properties": {"a": CODE, "inner": {"$ref": "#/$defs/node"}}}
    assert any("recursive" in fault for fault in faults({"x": {"$ref": "#/$defs/node"}}, **{"$defs": {"node": node}}))


def test_a_schema_that_is_none_is_a_fault() -> None:
    assert any("not a JSON Schema" in fault for fault in faults({"x": {**CODE, "type": "text"}}))
    assert any("not itself a person" in fault for fault in faults(**{"confluent:tags": ["PERSON"]}))
    assert any("$schema" in fault for fault in faults(**{"$schema": "http://json-schema.org/draft-07/schema#"}))


def test_a_record_needs_an_id() -> None:
    assert any("0 leaves with `x-record: id`" in fault for fault in faults({"id": CODE}))


def test_branches_and_references_are_united() -> None:
    plan = compiled(
        {
            "things": {
                "type": "array",
                "items": {
                    "oneOf": [
                        {
                            **PERSON,
                            "x-person-when": {"kind": "p"},
                            "properties": {**PERSON["properties"], "kind": CODE_P},
                        },  # type: ignore[dict-item]
                        {"type": "object", "properties": {"kind": CODE_Q, "note": {"$ref": "#/$defs/text"}}},
                    ]
                },
            }
        },
        **{"$defs": {"text": TEXT}},
    )
    assert set(plan.leaves) == {
        "/id", "/things/*/id", "/things/*/role", "/things/*/nationality", "/things/*/kind", "/things/*/note",
    }  # fmt: skip
    assert plan.persons == ("/things/*",)
    assert plan.leaves["/things/*/role"].roles == {"V": Role.VICTIM, "victim": Role.VICTIM, "else": Role.UNKNOWN}
    assert plan.validate_redacted({"things": [{"kind": "q", "note": "any words"}, {"kind": "p", "nationality": "x"}]})
    assert not plan.validate_redacted({"things": [{"kind": "z"}]})


CODE_P = {"type": "string", "const": "p", "confluent:tags": ["CODE"]}
CODE_Q = {"type": "string", "const": "q", "confluent:tags": ["CODE"]}


def test_branches_that_make_a_person_only_sometimes_need_the_condition_in_each() -> None:
    plain = {"type": "object", "properties": {"kind": CODE_Q}}
    with_condition = {**PERSON, "x-person-when": {"id": "p"}}
    assert compiled({"x": {"anyOf": [with_condition, plain]}}).persons == ("/x",)


def test_the_redacted_schema_is_closed_and_requires_nothing() -> None:
    plan = compiled({"who": PERSON, "note": TEXT, "task": {"type": "string", "confluent:tags": ["TASK"]}})
    good = {"id": "ab" * 16, "who": {"id": "cd" * 16, "role": "V", "nationality": "x"}, "note": "free words"}
    assert plan.validate_redacted({})
    assert plan.validate_redacted(good)
    assert plan.validate_redacted({**good, "note": None})
    for bad in (
        {"task": "x"}, {"other": 1}, {"id": "CR-1"}, {"note": 5}, {"note": ["x"]}, {"who": {"role": "Z"}},
        {"who": {"x": 1}}, {"who": {"id": "p1"}}, {"id": None},
    ):  # fmt: skip
        assert not plan.validate_redacted({**good, **bad}), bad


def test_what_is_accepted_is_lenient_only_about_what_is_dropped() -> None:
    plan = compiled(
        {
            "who": PERSON,
            "note": TEXT,
            "tasks": {"type": "array", "items": {"type": "string", "confluent:tags": ["TASK"]}},
        }
    )
    assert plan.validate({"id": "x", "tasks": {"a": 1}, "who": {"id": "p", "nationality": [5]}, "unknown": {}})
    assert not plan.validate({"id": "x", "note": 5})
    assert not plan.validate({"id": "x", "who": {"role": "Z"}})
    assert not plan.validate({"id": "x", "who": []})


def test_the_digest_changes_with_schema_and_tags_only() -> None:
    one = compiled({"note": TEXT})
    assert one.digest == compiled({"note": TEXT}).digest
    assert one.digest != compiled({"note": {**TEXT, "description": "x"}}).digest
    assert len(one.digest) == 32


@pytest.mark.parametrize(
    ("pattern", "closed"),
    [
        (r"^\d{4}-\d{2}-\d{2}$", True),
        (r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$", True),
        (r"^E05\d{6}$", True),
        (r"^[A-Z]{2}\d{4}$", True),
        (r"^[A-Z]{3}$", False),
        (r"^[A-Za-z ]+$", False),
        (r"^\S+$", False),
        (r"\d{4}", False),
        (r"^\d{4}", False),
        (r"^(a|b$", False),
    ],
)
def test_closed_patterns(pattern: str, closed: bool) -> None:
    assert is_closed({"pattern": pattern}, frozenset({"string"})) is closed


def test_files_that_disagree_with_what_they_hold(tmp_path: Path) -> None:
    shutil.copy(SCHEMAS / "tags.yaml", tmp_path)
    folder = tmp_path / "feeds"
    folder.mkdir()
    with pytest.raises(ConfigError, match="no schema in"):
        load_feeds(tmp_path)
    (folder / "other.json").write_text(json.dumps(feed()))
    (folder / "made-up.json").write_text(json.dumps(feed()))
    (folder / "list.json").write_text("[]")
    (folder / "bad.json").write_text('{"a": 1, "a": 2}')
    with pytest.raises(ConfigError) as caught:
        load_feeds(tmp_path)
    text = str(caught.value)
    for part in ("other.json: holds feed `made-up`", "a second schema", "list.json: not an object", "duplicate_key"):
        assert part in text
    for path in folder.iterdir():
        path.unlink()
    (folder / "made-up-1.0.json").write_text(json.dumps(feed()))
    assert load_feeds(tmp_path).names() == ("made-up",)


GOOD_TAGS = yaml.safe_load((SCHEMAS / "tags.yaml").read_text())


@pytest.mark.parametrize(
    ("tag", "change", "what"),
    [
        ("NAME", None, "`NAME` is missing"),
        ("SECRET", {}, "unknown tag `SECRET`"),
        ("NAME", [], "is not a mapping"),
        ("CODE", {"colour": 1}, "unknown key `colour`"),
        ("CODE", {"summary": 1}, "no summary"),
        ("CODE", {"group": "x"}, "group is not one of"),
        ("CODE", {"protected": "hide"}, "`protected` is not one of"),
        ("CODE", {"kind": "poem"}, "kind is not one of"),
        ("CODE", {"kind": "name"}, "`kind` belongs to `scan`"),
        ("NATIONALITY", {"protected": "keep", "unprotected": "drop"}, "milder for the protected"),
    ],
)
def test_faults_in_the_tags(tmp_path: Path, tag: str, change: Any, what: str) -> None:
    content = copy.deepcopy(GOOD_TAGS)
    if change is None:
        del content["tags"][tag]
    elif isinstance(change, dict):
        content["tags"][tag] = {**content["tags"].get(tag, {}), **change}
    else:
        content["tags"][tag] = change
    path = tmp_path / "tags.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=what):
        load_tags(path)


@pytest.mark.parametrize("content", ["[]", "tags: 5", "a: [", ""])
def test_tags_that_are_no_tags(tmp_path: Path, content: str) -> None:
    (tmp_path / "tags.yaml").write_text(content)
    with pytest.raises(ConfigError, match="tags"):
        load_tags(tmp_path / "tags.yaml")


def test_no_tag_keeps_what_is_direct_for_the_protected() -> None:
    for rule in TAGS.values():
        if rule.group in ("direct", "proxy"):
            assert rule.protected == "drop", rule.tag
    assert set(TAGS) == set(Tag)
