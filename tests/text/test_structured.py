"""JSON, XML, HTML and tables inside a text: a label says what a code is, and ordinary ones stay."""

from __future__ import annotations

import pytest

from services.kernel.mask import TOKEN
from services.redactor.text.engine import TextEngine


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ('{"nationality":"POL","countryOfBirth":"PL"}', ["POL", "PL"]),
        ('{"Nationality": "LKA", "placeOfBirth": "Gampaha"}', ["LKA", "Gampaha"]),
        ('{"nationality":"pl"}', ["pl"]),
        ('{"nationality": {"code": "pk"}}', ["pk"]),
        ('{"nationalities": ["POL", "UKR"]}', ["POL", "UKR"]),
        ("{'birth_country': 'AF'}", ["AF"]),
        ('{\\"nationality\\":\\"POL\\"}', ["POL"]),
        ('{\n  "nationality": "POL",\n  "country_of_origin": "ER"\n}', ["POL", "ER"]),
        ('{"preferredLanguage":"pl"}', ["pl"]),
        ('{"immigrationStatus":"LTR"}', ["LTR"]),
        ("<Nationality>POL</Nationality><CountryOfBirth>PK</CountryOfBirth>", ["POL", "PK"]),
        ("<ns2:PlaceOfBirth>Gampaha</ns2:PlaceOfBirth>", ["Gampaha"]),
        ("&lt;Nationality&gt;POL&lt;/Nationality&gt;", ["POL"]),
        ('<person nationality="POL" cob="PL"/>', ["POL", "PL"]),
        ('<field name="nationality" value="POL"/>', ["POL"]),
        ('<field name="nationality">POL</field>', ["POL"]),
        ('<b title="she is Polish">note</b>', ["Polish"]),
        ('<b title="she is &#80;olish">note</b>', ["olish"]),
        ("<nrpf>Y</nrpf>", ["<nrpf>"]),
        ("| Nationality | POL |", ["POL"]),
        ("NATIONALITY|POL|DOB|1990", ["POL"]),
        ("nationality_code: PAK", ["PAK"]),
        ("Nationality (ISO): PAK", ["PAK"]),
        ("NationalityCode=POL&sex=F", ["POL"]),
        ("nationality PK", ["PK"]),
        ("Place of birth: PL", ["PL"]),
        ("Country of birth: PL", [": PL"]),
        ("Country: PL", ["PL"]),
    ],
)
def test_a_labelled_code_is_masked(engine: TextEngine, text: str, gone: list[str]) -> None:
    done = engine.redact(text)
    assert TOKEN in done.text
    assert [word for word in gone if word in done.text] == []
    assert engine.detect(done.text) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"name":"Anna McDonald","dob":"1990-01-01","status":"open","ref":"AB/123"}',
        '{"country":"GB","town":"Bury","postcode":"BL9 0AA","language":"en"}',
        '{"nationality":null,"sex":"F"} {"nationality":"unknown"} {"nationality":""}',
        '{"event":{"type":"theft","birthday":false,"countryside":"yes"}}',
        "<EventType>THEFT</EventType><OfficerId>12345</OfficerId><Town>Bury</Town>",
        '<p class="MsoNormal" style="font-family: Georgia">Hello <b>all</b>, '
        'see <a href="https://www.bury.gov.uk/bins">this page</a>.</p>',
        '<html lang="en"><span lang=EN-GB style="font-size:11.0pt">Dear all,</span> <strong>Bins</strong>',
        '<img src="cid:image001.png@01D9.ABCD" alt="logo" width="100" height="50">',
        "| Name | Date | Status |\n| Bins | 3 May | open |",
        "created_at: 2024-05-03, officer_id: 1234, crime_ref: AB12",
        "iPhone and YouTube: both broken. McDonald: seen. PC DeSouza: attended.",
        "Origin: CCTV, see log. Birth: April. Country: not known. Nationality unknown.",
        "id: 550e8400-e29b-41d4-a716-446655440000, https://www.example.org/a/b/c?x=1&y=2#frag",
    ],
)
def test_ordinary_structure_stays(engine: TextEngine, text: str) -> None:
    assert engine.redact(text).text == text
