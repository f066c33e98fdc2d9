"""A schema's version says what changed."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.kernel.schema.evolution import Grade, changes, faults
from tests.schemas.files import SCHEMAS, view_schema

Change = Callable[[dict[str, Any]], object]


def graded(change: Change) -> set[Grade]:
    old = view_schema("housing", "council-asb")
    new = copy.deepcopy(old)
    change(new)
    return {grade for grade, _ in changes(old, new)}


@pytest.mark.parametrize(
    ("change", "grade"),
    [
        (lambda s: s.update(title="Other words", description="for people"), set()),
        (lambda s: s["properties"].update(colour={"type": ["string", "null"]}), {Grade.MINOR}),
        (lambda s: s["properties"]["tenure"]["enum"].append("hostel"), {Grade.MINOR}),
        (lambda s: s["properties"].pop("tenure"), {Grade.MAJOR}),
        (lambda s: s["properties"]["tenure"]["enum"].remove("owner"), {Grade.MAJOR}),
        (lambda s: s["properties"]["ward"].update(pattern="^E"), {Grade.MAJOR}),
        (lambda s: s["properties"]["ward"].update({"x-how": "copy"}), {Grade.MAJOR}),
        (lambda s: s["properties"]["ward"].update({"confluent:tags": ["ADDRESS"]}), {Grade.MAJOR}),
        (lambda s: s["properties"]["actions"]["items"]["properties"]["kind"]["type"].remove("null"), {Grade.MAJOR}),
        (lambda s: s["required"].remove("ward"), {Grade.MAJOR}),
        (lambda s: s.update(additionalProperties=True), {Grade.MAJOR}),
    ],
)
def test_a_change_has_a_grade(change: Change, grade: set[Grade]) -> None:
    assert graded(change) == grade


@pytest.mark.parametrize(
    ("version", "change", "fault"),
    [
        ("1.0", lambda s: s["properties"]["tenure"]["enum"].append("hostel"), "that is a minor version"),
        ("1.1", lambda s: s["properties"]["tenure"]["enum"].append("hostel"), None),
        ("1.1", lambda s: s["properties"].pop("tenure"), "that is a major version"),
        ("2.0", lambda s: s["properties"].pop("tenure"), None),
        ("0.9", dict, "version 0.9 is below 1.0"),
    ],
)
def test_the_command_says_what_the_version_does_not(
    tmp_path: Path, version: str, change: Change, fault: str | None
) -> None:
    shutil.copytree(SCHEMAS, tmp_path / "new")
    file = tmp_path / "new" / "partners" / "housing" / "council-asb.json"
    schema = json.loads(file.read_text())
    schema["$id"] = schema["$id"].replace(":1.0", f":{version}")
    change(schema)
    file.write_text(json.dumps(schema))
    found = faults(SCHEMAS, tmp_path / "new")
    assert [fault in one for one in found] == [True] if fault else found == []
    done = CliRunner().invoke(app, ["schema", "check", "--schemas", str(tmp_path / "new"), "--previous", str(SCHEMAS)])
    assert done.exit_code == (1 if fault else 0), done.output
    assert not fault or fault in done.output


def test_a_schema_that_is_gone_is_a_fault(tmp_path: Path) -> None:
    shutil.copytree(SCHEMAS, tmp_path / "new")
    (tmp_path / "new" / "messages" / "consent.json").unlink()
    assert faults(SCHEMAS, tmp_path / "new") == ["`messages/consent.json` is gone: its readers have no schema any more"]


def test_a_folder_without_schemas_is_no_comparison(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["schema", "check", "--previous", str(tmp_path / "nothing")])
    assert "holds no schema" in str(done.exception)
