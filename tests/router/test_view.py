from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.kernel.errors import ConfigError
from services.kernel.mask import TOKEN
from services.kernel.paths import ROOT
from services.kernel.vocabulary import Tag
from services.router import coarsen
from services.router.partners import load_partners
from services.router.view import PLACEHOLDER, View, load_views
from tests.router.helpers import PERSON, RECORD, claims_for

TODAY = date(2026, 11, 24)
CONSTANT = "arrange contact through the safe-contact desk; never use family to interpret"


def leaf(how: str, source: str | None = None, tag: str = "CODE", kind: Any = ("string", "null")) -> dict[str, Any]:
    made = {"type": list(kind) if isinstance(kind, tuple) else kind, "confluent:tags": [tag], "x-how": how}
    return made | ({"x-from": source} if source else {})


def thing(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


SCHEMA = {"$id": "urn:safe-reporting:view:small:tale:1.0"} | thing(
    {
        "ref": leaf("record", "/id", "RECORD_ID", "string"),
        "story": leaf("coarsen:text", "/story", "FREE_TEXT"),
        "on": leaf("coarsen:day", "/at", "TIME"),
        "kind": leaf("copy", "/kind") | {"enum": ["theft", None]},
        "people": {
            "type": "array",
            "x-from": "/included",
            "x-where": {"pointer": "/included/*/type", "equals": "person"},
            "x-roles": ["victim", "unknown"],
            "items": thing(
                {
                    "ref": leaf("pseudonym", "/included/*/id", "IDENTIFIER"),
                    "roles": leaf("role", None, "ROLE", "array") | {"items": {"type": "string"}},
                    "names": {
                        "type": "array",
                        "x-from": "/included/*/names",
                        "items": leaf("copy", "/included/*/names/*", "NAME", "string"),
                    },
                    "band": leaf("coarsen:age_band", "/included/*/born", "BIRTH_DATE"),
                    "phone": leaf("coarsen:uk_phone", "/included/*/phone", "CONTACT"),
                    "arrangement": leaf(f"constant:{CONSTANT}"),
                    "kindOfRecord": leaf("copy", "/kind") | {"enum": ["theft", None]},
                }
            ),
        },
    }
)
RECORD_VALUE: dict[str, Any] = {
    "id": RECORD,
    "story": "He ran.",
    "at": "2026-03-29T00:30:00Z",
    "kind": "theft",
    "included": [
        {"type": "address", "id": "x"},
        {
            "type": "person",
            "id": PERSON,
            "names": ["Jo", "", "Ann"],
            "born": "2008-11-25",
            "phone": "+44 7700 900123",
        },
        {"type": "person", "id": PERSON, "names": []},
        {"type": "person", "id": "0" * 32},
    ],
}
CLAIMS = claims_for(
    RECORD_VALUE,
    feed="tale",
    persons={"/included/1": ("victim",), "/included/2": ("suspect",), "/included/3": ("unknown",)},
)


def view(schema: dict[str, Any] = SCHEMA) -> View:
    return View("small", "tale", schema, digest="0")


def build(value: dict[str, Any], **changes: Any) -> Any:
    return view().build(value, claims_for(value, feed="tale", persons=CLAIMS.persons, **changes), today=TODAY)


def test_a_view_holds_what_it_names_and_nothing_else() -> None:
    built = build(RECORD_VALUE)
    assert built.valid
    assert built.value == {
        "ref": PLACEHOLDER,
        "story": "He ran.",
        "on": "2026-03-29",
        "kind": "theft",
        "people": [
            {
                "ref": PLACEHOLDER,
                "roles": ["victim"],
                "names": ["Jo", "Ann"],
                "band": "0-17",
                "phone": "07700900123",
                "arrangement": CONSTANT,
                "kindOfRecord": "theft",
            },
            {
                "ref": PLACEHOLDER,
                "roles": ["unknown"],
                "names": [],
                "band": None,
                "phone": None,
                "arrangement": CONSTANT,
                "kindOfRecord": "theft",
            },
        ],
    }


def test_leaves_remember_where_they_came_from() -> None:
    leaves = [(leaf.pointer, leaf.text, leaf.tag) for leaf in build(RECORD_VALUE).leaves]
    assert leaves == [
        ("/story", "He ran.", Tag.FREE_TEXT),
        ("/included/1/names/0", "Jo", Tag.NAME),
        ("/included/1/names/2", "Ann", Tag.NAME),
    ]


def test_ids_are_left_open_for_each_partner() -> None:
    slots = build(RECORD_VALUE).slots
    assert sorted(slot.source for slot in slots if not slot.is_record) == sorted(["0" * 32, PERSON])
    assert [slot.source for slot in slots if slot.is_record] == [RECORD]


@pytest.mark.parametrize("value", [{}, {"included": None}, {"included": "x", "story": None, "kind": None}])
def test_every_property_is_present_with_one_constant(value: dict[str, Any]) -> None:
    built = build(value)
    assert built.valid
    assert built.value == {"ref": PLACEHOLDER, "story": None, "on": None, "kind": None, "people": []}


@pytest.mark.parametrize("names", [[TOKEN], ["Jo", TOKEN], [f"Jo {TOKEN}", "Ann"], ["Jo", "Mo", TOKEN], [], None])
def test_a_list_with_a_masked_name_looks_like_an_absent_one(names: list[str] | None) -> None:
    value = copy.deepcopy(RECORD_VALUE)
    value["included"][1]["names"] = names
    built = build(value)
    assert built.value["people"][0]["names"] == []
    assert [leaf.pointer for leaf in built.leaves] == ["/story"]


@pytest.mark.parametrize("text", [f"Jo {TOKEN}", TOKEN, f"{TOKEN}, Jo", ""])
@pytest.mark.parametrize("tag", ["NAME", "ADDRESS"])
def test_a_coded_leaf_with_a_mask_becomes_null(text: str, tag: str) -> None:
    schema = copy.deepcopy(SCHEMA)
    schema["properties"]["story"] = leaf("copy", "/story", tag)
    built = view(schema).build(RECORD_VALUE | {"story": text}, CLAIMS, today=TODAY)
    assert built.value["story"] is None
    assert "/story" not in [found.pointer for found in built.leaves]


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}.", f" {TOKEN} {TOKEN}", ""])
def test_held_dropped_and_empty_look_the_same(text: str) -> None:
    assert build(RECORD_VALUE | {"story": text}).value["story"] is None


def test_text_that_was_not_redacted_as_protected_does_not_leave() -> None:
    built = build(RECORD_VALUE, protected=False)
    assert built.value["story"] is None
    assert built.valid


@pytest.mark.parametrize("kind", ["arson", 3, {"a": 1}, ["theft"]])
def test_what_does_not_fit_the_view_is_not_valid_or_not_there(kind: Any) -> None:
    built = build(RECORD_VALUE | {"kind": kind})
    assert built.value["kind"] is None or not built.valid


def test_building_changes_nothing() -> None:
    before = copy.deepcopy(RECORD_VALUE)
    assert build(RECORD_VALUE).value == build(RECORD_VALUE).value
    assert before == RECORD_VALUE


def test_references_within_the_schema_are_resolved() -> None:
    schema = copy.deepcopy(SCHEMA)
    schema["$defs"] = {"day": schema["properties"]["on"]}
    schema["properties"]["on"] = {"$ref": "#/$defs/day"}
    assert view(schema).build(RECORD_VALUE, CLAIMS, today=TODAY).value["on"] == "2026-03-29"


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("kind", {"type": "string"}, "a leaf needs `x-how`"),
    ("kind", leaf("guess", "/kind"), "`x-how: guess` is not known"),
    ("kind", leaf("copy"), "has no `x-from`"),
    ("kind", leaf("coarsen:colour", "/kind"), "is not a table"),
    ("kind", leaf("copy", "/included/*/id"), "goes through an array"),
    ("kind", leaf("copy", "/nationality", "NATIONALITY"), "no view has room for `NATIONALITY`"),
    ("kind", leaf("copy", "/kind", "COLOUR"), "exactly one known tag"),
    ("kind", leaf("copy", "/kind") | {"x-why": "so"}, "`x-why` is not known"),
    ("kind", leaf("copy", "/kind") | {"enum": ["asylum_seeker", None]}, "the value `asylum_seeker` gives away"),
    ("asylumStatus", leaf("copy", "/kind"), "the name of the property gives away"),
    ("kind", leaf("copy", "/story", "FREE_TEXT"), "belong together"),
    ("kind", {"$ref": "#/$defs/none"}, "does not resolve"),
    ("people", {"type": "array", "items": leaf("copy", "/x/*")}, "an array needs"),
    ("people", SCHEMA["properties"]["people"] | {"x-roles": ["king"]}, "is not a list of roles"),
    ("people", SCHEMA["properties"]["people"] | {"x-where": {"pointer": "/kind"}}, "is not {pointer, equals}"),
    ("people", SCHEMA["properties"]["people"] | {"x-where": {"pointer": "/kind", "equals": 1}}, "look at the items"),
]


@pytest.mark.parametrize(("name", "part", "fault"), BROKEN, ids=[fault for _, _, fault in BROKEN])
def test_a_view_with_a_fault_does_not_load(name: str, part: dict[str, Any], fault: str) -> None:
    schema = copy.deepcopy(SCHEMA)
    schema["properties"][name] = part
    schema["required"] = list(schema["properties"])
    with pytest.raises(ConfigError) as caught:
        view(schema)
    assert any(fault in found for found in caught.value.faults), caught.value.faults


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"additionalProperties": True}, "`additionalProperties` is not false"),
        ({"required": ["ref"]}, "`required` and `properties` differ"),
        ({"$id": "urn:other"}, "`$id` does not begin"),
        ({"type": "array"}, "a view is an object"),
        ({"properties": {"a": leaf("record") | {"pattern": "("}}, "required": ["a"]}, ""),
    ],
)
def test_a_view_is_closed_and_named(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        view(SCHEMA | change)
    assert any(fault in found for found in caught.value.faults)


def test_every_fault_of_every_file_is_listed(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / f"view{number}"
        folder.mkdir()
        schema = copy.deepcopy(SCHEMA)
        schema["properties"]["kind"] = {"type": "string"}
        (folder / "tale.json").write_text(json.dumps(schema))
    (tmp_path / "view1" / "broken.json").write_text("{")
    with pytest.raises(ConfigError) as caught:
        load_views(tmp_path)
    faults = "\n".join(caught.value.faults)
    for part in ("`view1/tale.json`: `/kind`", "`view2/tale.json`: `$id`", "`view1/broken.json`"):
        assert part in faults


def test_no_views_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_views(tmp_path)


def test_a_missing_file_and_text_without_a_need_stop_the_start(tmp_path: Path) -> None:
    registry_file = tmp_path / "partners.yaml"
    text = (ROOT / "policies" / "partners.yaml").read_text()
    registry_file.write_text(
        text.replace("feeds: [council-asb, police-crime]", "feeds: [council-asb, marac]").replace(
            "    view: community-safety", "    view: victim-support"
        )
    )
    with pytest.raises(ConfigError) as caught:
        load_views(ROOT / "schemas" / "partners").check(load_partners(registry_file))
    faults = "\n".join(caught.value.faults)
    assert "partner `housing-gm`: no file `housing/marac.json`" in faults
    assert "partner `community-safety-gm`: `victim-support/police-crime.json` has free text without a need" in faults


# -- tables -----------------------------------------------------------------------------------------------

GIVES_AWAY = (
    "afghan1", "polish_girl", "PolishGirl", "polishgirl88", "leilasyria", "leila.syria", "SYRIA2020", "leilairaq",
    "london.asylumseeker1", "asylumseekerleeds", "nrpf.help", "p.o.l.i.s.h", "somali-lad", "kenyangirl",
    "jordan.girl", "jordangirl", "ali.jordan", "saudiarabia7", "new.zealand", "british.lad", "urdu.speaker",
    "c2hlIGlzIGFuIG92ZXJzdGF5ZXI", "100%25afghan",
)  # fmt: skip
PLAIN = (
    "jo.ann", "jordan.smith", "jordan88", "jordanlee", "paris.h", "kiran.patel", "kiranpatel", "francesca1", "frances",
    "miranda.h", "paul.england", "romanov", "m.ali", "chad.ward", "damian.pole", "brittanyj", "nigel_b", "amalia",
    "jo15han", "ken.yates", "dog.walker", "1985", "_",
)  # fmt: skip


@pytest.mark.parametrize(
    ("table", "value", "result"),
    [
        (coarsen.age_band, "2008-11-24", "18-24"),
        (coarsen.age_band, "2008-11-25", "0-17"),
        (coarsen.age_band, 0, "0-17"),
        (coarsen.age_band, 64, "55-64"),
        (coarsen.age_band, 99, "65+"),
        (coarsen.age_band, 400, None),
        (coarsen.age_band, -1, None),
        (coarsen.age_band, True, None),
        (coarsen.age_band, "2030-01-01", None),
        (coarsen.age_band, "2008-13-01", None),
        (coarsen.age_band, "about thirty", None),
        (coarsen.age_band, None, None),
        (coarsen.ward, "E05000650", "E05000650"),
        (coarsen.ward, "W05000650", None),
        (coarsen.day, "2026-02-03T21:41:00Z", "2026-02-03"),
        (coarsen.day, "2026-02-31T21:41:00Z", None),
        (coarsen.month, "2026-02-03T21:41:00Z", "2026-02"),
        (coarsen.month, 7, None),
        (coarsen.uk_phone, "07700 900123", "07700900123"),
        (coarsen.uk_phone, "+44 (0)161 496 0000", "01614960000"),
        (coarsen.uk_phone, "0044 161 496 0000", "01614960000"),
        (coarsen.uk_phone, "+48 22 123 45 67", None),
        (coarsen.uk_phone, "0048 22 123 45 67", None),
        (coarsen.uk_phone, "999", None),
        (coarsen.uk_phone, "\uff10\uff17\uff17\uff10\uff10 900123", "07700900123"),
        (coarsen.uk_phone, "\u0660\u0667\u0667\u0660\u0660 \u0669\u0660\u0660\u0661\u0662\u0663", None),
        (coarsen.uk_phone, "07700 \u0669\u0660\u0660\u0661\u0662\u0663", None),
        (coarsen.uk_phone, "\u0966\u096d\u096d\u0966\u0966 \u096f\u0966\u0966\u0967\u0968\u0969", None),
        (coarsen.uk_phone, "\u06f0\u06f7\u06f7\u06f0\u06f0\u06f9\u06f0\u06f0\u06f1\u06f2\u06f3", None),
        (coarsen.uk_phone, TOKEN, None),
        (coarsen.email_known, "Jo.Ann@gmail.com", "Jo.Ann@gmail.com"),
        (coarsen.email_known, "jo@poczta.example.pl", None),
        (coarsen.email_known, "jo@gmail.com.evil", None),
        (coarsen.email_known, TOKEN, None),
        *[(coarsen.email_known, f"{local}@gmail.com", None) for local in GIVES_AWAY],
        *[(coarsen.email_known, f"{local}@gmail.com", f"{local}@gmail.com") for local in PLAIN],
    ],
)
def test_tables(table: coarsen.Table, value: object, result: str | None) -> None:
    assert table(value, TODAY) == result
