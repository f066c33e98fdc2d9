"""Who is protected: everybody, except where every coded fact speaks for the one narrow exception."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.kernel.vocabulary import Role
from services.redactor.roles import attribute
from tests.redactor.helpers import NOW, feeds, samples, small_crime

ADULT = {"id": "p1", "roles": ["SUS"], "charged": True, "age": 30}


def who(value: dict[str, Any], feed: str = "police-crime", now: int = NOW) -> Any:
    plan = feeds().get(f"urn:safe-reporting:{feed}:1.0")
    assert plan is not None
    assert plan.validate(value)
    return attribute(value, plan, now)


def with_persons(*persons: dict[str, Any], markers: list[str] | None = None) -> dict[str, Any]:
    value = small_crime(persons=list(persons))
    value["incident"]["markers"] = markers or []
    return value


@pytest.mark.parametrize(
    ("persons", "markers"),
    [
        pytest.param([ADULT], [], id="charged adult suspect"),
        pytest.param([{**ADULT, "roles": ["SUS", "ARR", "OFF"]}], ["burglary"], id="all accused roles"),
        pytest.param([ADULT, {**ADULT, "id": "p2", "roles": ["OFF"]}], ["theft", "drugs"], id="two of them"),
        pytest.param([{**ADULT, "age": None, "birthDate": "1990-01-01"}], [], id="adult by birth date"),
    ],
)
def test_unprotected(persons: list[dict[str, Any]], markers: list[str]) -> None:
    assert who(with_persons(*persons, markers=markers)).protected is False


@pytest.mark.parametrize(
    ("persons", "markers"),
    [
        pytest.param([], [], id="nobody"),
        pytest.param([{**ADULT, "charged": False}], [], id="not charged"),
        pytest.param([{**ADULT, "charged": None}], [], id="charged not said"),
        pytest.param([{key: ADULT[key] for key in ("id", "roles", "age")}], [], id="charged missing"),
        pytest.param([{**ADULT, "age": 17}], [], id="child by age"),
        pytest.param([{**ADULT, "age": None}], [], id="age not said"),
        pytest.param([{**ADULT, "birthDate": "2010-05-05"}], [], id="age and birth date disagree"),
        pytest.param([{**ADULT, "birthDate": "1990-13-45"}], [], id="birth date is no date"),
        pytest.param([{**ADULT, "age": None, "birthDate": "2999-01-01"}], [], id="born in the future"),
        pytest.param([{**ADULT, "roles": ["SUS", "VIC"]}], [], id="two roles"),
        pytest.param([{**ADULT, "roles": ["SUS", "UNK"]}], [], id="accused and unknown"),
        pytest.param([{**ADULT, "roles": ["OTH"]}], [], id="a role that maps to none"),
        pytest.param([{**ADULT, "roles": []}], [], id="no role"),
        pytest.param([{key: ADULT[key] for key in ("id", "charged", "age")}], [], id="roles missing"),
        pytest.param([ADULT, {"id": "p2", "roles": ["VIC"]}], [], id="victim beside"),
        pytest.param([ADULT, {"id": "p2", "roles": ["PRO"]}], [], id="professional beside"),
        pytest.param([ADULT, {"id": "p2"}], [], id="unknown person beside"),
        pytest.param([{**ADULT, "family": [{"id": "p2"}]}], [], id="family inside"),
        pytest.param([ADULT, {**ADULT, "roles": ["WIT"]}], [], id="same id, two objects, two roles"),
        pytest.param([ADULT, {**ADULT, "charged": False}], [], id="same id, charged in one object only"),
        *[
            pytest.param([ADULT], ["burglary", marker], id=marker)
            for marker in ("domestic_abuse", "exploitation", "modern_slavery", "hate", "counter_allegation")
        ],
    ],
)
def test_protected(persons: list[dict[str, Any]], markers: list[str]) -> None:
    assert who(with_persons(*persons, markers=markers)).protected is True


@pytest.mark.parametrize(
    ("born", "today", "adult"),
    [
        ("2008-02-02", "2026-02-01", False),
        ("2008-02-02", "2026-02-02", True),
        ("2008-02-29", "2026-02-28", False),
        ("2008-02-29", "2026-03-01", True),
    ],
)
def test_adult_from_the_eighteenth_birthday(born: str, today: str, adult: bool) -> None:
    now = int(datetime.fromisoformat(today).replace(tzinfo=UTC).timestamp() * 1000)
    value = with_persons({**ADULT, "age": None, "birthDate": born})
    assert who(value, now=now).protected is not adult
    assert who(value, now=now).child is not adult


def test_leaves_belong_to_the_nearest_person() -> None:
    inner = {"id": "p2", "relationship": "child", "age": 6}
    found = who(with_persons({"id": "p1", "roles": ["VIC"], "age": 40, "family": [inner]}))
    assert {person.pointer: (person.id, set(person.roles), person.age) for person in found.persons} == {
        "/persons/0": ("p1", {Role.VICTIM}, 40),
        "/persons/0/family/0": ("p2", {Role.CHILD}, 6),
    }
    assert found.child
    assert found.roles == ("child", "victim")


def report(included: list[dict[str, Any]], **relationships: list[str]) -> dict[str, Any]:
    return {
        "data": {
            "id": "OR-1",
            "attributes": {"area": "E08000009"},
            "relationships": {
                name: {"data": [{"type": "person", "id": id_} for id_ in ids]} for name, ids in relationships.items()
            },
        },
        "included": included,
    }


def test_a_reference_gives_the_role() -> None:
    found = who(report([{"type": "person", "id": "p1"}], victim=["p1"], personReporting=["p1"]), "online-report")
    assert [(person.pointer, set(person.roles)) for person in found.persons] == [
        ("/included/0", {Role.VICTIM, Role.REPORTING_PERSON})
    ]


def test_a_person_who_is_only_referred_to_counts() -> None:
    found = who(report([], victim=["p9"]), "online-report")
    assert [(person.pointer, person.roles) for person in found.persons] == [("", frozenset({Role.VICTIM}))]
    assert found.protected


@pytest.mark.parametrize(
    ("feed", "parts"),
    [
        ("police-crime", {"statements": [{"personId": "W9", "text": "I saw the whole of it."}]}),
        ("partnership-intel", {"linkedPeople": [["p1", "W9"]]}),
        ("council-asb", {"diaries": [{"writtenBy": "W9"}]}),
    ],
)
def test_a_person_known_by_a_reference_alone_is_unknown_and_so_protected(feed: str, parts: dict[str, Any]) -> None:
    plan = feeds().named(feed)
    found = attribute(parts, plan, NOW)
    assert ("", "W9", frozenset({Role.UNKNOWN})) in [(p.pointer, p.id, p.roles) for p in found.persons]
    assert found.protected


def test_a_reference_to_somebody_in_the_record_or_to_a_thing_adds_nobody() -> None:
    value = with_persons(ADULT) | {"statements": [{"personId": " p1 "}, {"personId": None}, {"personId": ""}]}
    value["record"]["relatedRecords"] = ["CR-2"]
    assert [person.pointer for person in who(value).persons] == ["/persons/0"]
    assert who(value).protected is False
    value["statements"].append({"personId": "W9"})
    assert who(value).protected is True


def test_an_included_object_that_is_no_person_is_none() -> None:
    found = who(report([{"type": "address", "id": "a1"}, {"type": "person", "id": "p1"}]), "online-report")
    assert [(person.pointer, person.id) for person in found.persons] == [("/included/1", "p1")]


def test_area_is_the_one_coded_borough_or_unknown() -> None:
    assert who(small_crime()).area == "E08000003"
    assert who({**small_crime(), "incident": {"area": None}}).area == "unknown"
    assert who({"record": {"id": "CR-1"}, "incident": {}}).area == "unknown"


def test_samples_the_one_unprotected_case() -> None:
    unprotected = []
    for name, sample in samples().items():
        feed = sample["topic"].split(".")[-1]
        if not who(sample["value"], feed).protected:
            unprotected.append(name)
    assert "police-crime-03" in unprotected
    assert not {name for name in unprotected if name.startswith(("marac", "nrm", "hate"))}
