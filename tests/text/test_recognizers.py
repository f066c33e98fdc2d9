"""Tables for each class: what must be found, and near misses that must stay."""

from __future__ import annotations

import pytest

from services.kernel.vocabulary import EntityClass as E
from services.redactor.text.engine import TextEngine

FOUND = [
    (E.NATIONALITY, "The caller is a Bolivian woman in her thirties.", "Bolivian"),
    (E.NATIONALITY, "Nationality - Finnish", "Finnish"),
    (E.NATIONALITY, "NAT: LVA", "LVA"),
    (E.NATIONALITY, "Two men (EST) were in the van.", "EST"),
    (E.NATIONALITY, "She is a British woman.", "British"),
    (E.NATIONALITY, "he is polish and frightened", "polish"),
    (E.NATIONALITY, "WITNESS IS CHILEAN MALE", "CHILEAN"),
    (E.NATIONALITY, "The family are Kurdish.", "Kurdish"),
    (E.NATIONALITY, "Recorded as a foreign national.", "foreign national"),
    (E.NATIONALITY, "He is a citizen of Ruritania.", "Ruritania"),
    (E.NATIONALITY, "Her profile shows \U0001f1f5\U0001f1f9 beside the name.", "\U0001f1f5\U0001f1f9"),
    (E.NATIONALITY, "She is Romannian.", "Romannian"),
    (E.COUNTRY_OF_ORIGIN, "He was born in Oldham.", "Oldham"),
    (E.COUNTRY_OF_ORIGIN, "POB: Montevideo", "Montevideo"),
    (E.COUNTRY_OF_ORIGIN, "Her parents are still in Bolivia.", "Bolivia"),
    (E.COUNTRY_OF_ORIGIN, "She is originally from Jordan.", "Jordan"),
    (E.COUNTRY_OF_ORIGIN, "they want to take her to turkey", "turkey"),
    (E.COUNTRY_OF_ORIGIN, "He told her to go back to her own country.", "her own country"),
    (E.IMMIGRATION_STATUS, "The tenant is NRPF.", "NRPF"),
    (E.IMMIGRATION_STATUS, "He has overstayed and is afraid.", "overstayed"),
    (E.IMMIGRATION_STATUS, "She is on a fiancée visa.", "visa"),
    (E.IMMIGRATION_STATUS, "He swore to have her deported by Friday.", "deported"),
    (E.IMMIGRATION_STATUS, "Her leave expired in spring.", "leave expired"),
    (E.IMMIGRATION_STATUS, "She said she is illegal.", "illegal"),
    (E.IMMIGRATION_STATUS, "They threatened to send him back.", "send him back"),
    (E.IMMIGRATION_CONTACT, "The boss will ring immigration.", "immigration"),
    (E.IMMIGRATION_CONTACT, "Rang the Home Office about the witness.", "Home Office"),
    (E.IMMIGRATION_CONTACT, "IE informed at 0900.", "IE informed"),
    (E.IMMIGRATION_CONTACT, "They sign weekly at the reporting centre.", "reporting centre"),
    (E.IMMIGRATION_DOCUMENT, "Card RT4412345 was taken.", "RT4412345"),
    (E.IMMIGRATION_DOCUMENT, "Ref 9876-5432-1098-7654 on the page.", "9876-5432-1098-7654"),
    (E.IMMIGRATION_DOCUMENT, "Passport no. 512345678 was seized.", "512345678"),
    (E.IMMIGRATION_DOCUMENT, "Appeal HU/12345/2021 was listed.", "HU/12345/2021"),
    (E.IMMIGRATION_DOCUMENT, "Share code: A1B 2C3 D4E", "A1B 2C3 D4E"),
    (E.ENTRY_ROUTE, "She arrived in the UK in 2017.", "arrived in the UK in 2017"),
    (E.ENTRY_ROUTE, "He came here by small boat.", "small boat"),
    (E.ENTRY_ROUTE, "IP has been in the UK for six years.", "in the UK for six years"),
    (E.ENTRY_ROUTE, "They have been here since 2015.", "here since 2015"),
    (E.LANGUAGE, "Mum speaks Swahili at home.", "Swahili"),
    (E.LANGUAGE, "A Tagalog interpreter is needed.", "Tagalog"),
    (E.LANGUAGE, "First language: Quenya", "Quenya"),
    (E.LANGUAGE, "She speaks Sindarin.", "Sindarin"),
    (E.PROXY, "They are in an asylum hotel.", "asylum hotel"),
    (E.PROXY, "He has no right to work.", "no right to work"),
    (E.PROXY, "The consulate rang her.", "consulate"),
    (E.PROXY, "Her mobile is a +234 number.", "+234 number"),
    (E.IDENTIFYING, "Ring 0161 496 0123 after six.", "0161 496 0123"),
    (E.IDENTIFYING, "Write to ana.example@mail.example.org please.", "ana.example@mail.example.org"),
    (E.IDENTIFYING, "NINO AB 12 34 56 C on the letter.", "AB 12 34 56 C"),
    (E.IDENTIFYING, "NHS number 943 476 5919 given.", "943 476 5919"),
    (E.IDENTIFYING, "Card 4111 1111 1111 1111 was used.", "4111 1111 1111 1111"),
    (E.IDENTIFYING, "A grey car, AB12 CDE, drove off.", "AB12 CDE"),
    (E.IDENTIFYING, "Sort code 12-34-56 was on it.", "12-34-56"),
]

STAYS = [
    ("Please polish the table before Monday.", "verb"),
    ("She bought bread in the Polish deli.", "thing_modified"),
    ("He lives on Poland Street.", "street_name"),
    ("The French doors were forced.", "thing_modified"),
    ("A German Shepherd was loose in the yard.", "thing_modified"),
    ("DC England took the statement.", "surname"),
    ("The caller gave the name Jordan Welsh.", "given_name"),
    ("India Brooks lives next door.", "given_name"),
    ("She paid with her Visa debit card.", "brand"),
    ("He had built a home office upstairs in the loft.", "phrase"),
    ("We ate at the Chinese takeaway.", "thing_modified"),
    ("They had a holiday in Turkey last May.", "holiday"),
    ("The Pakistani Community Centre was shut.", "institution"),
    ("He enjoys Spanish and likes his teacher.", "phrase"),
    ("The parcel came late from an order from Japan.", "thing_modified"),
    ("She works across England and Wales.", "uk_place"),
    ("They overstayed their welcome by hours.", "phrase"),
]

NOT_FOUND = [
    "He is on annual leave until Tuesday.",
    "She was asked to leave the flat.",
    "They settled the argument in the yard.",
    "Taken at a third-party reporting centre in town.",
    "A removal van blocked the road.",
    "ICE contact in her phone is her aunt.",
    "The ambulance arrived at ten.",
    "A BSL interpreter was booked.",
    "He was removed from the choir.",
    "It is illegal to park there.",
    "The case is with the insurer.",
    "Marital status: single",
    "He came over to me and shouted.",
    "He flew into a rage.",
    "Phones were smuggled into prison.",
    "The card number was 1234 5678 9012 3456 on the toy.",
    "He cannot work because of his back.",
]


@pytest.mark.parametrize(("entity", "text", "core"), FOUND, ids=[core for _, _, core in FOUND])
def test_found(engine: TextEngine, entity: E, text: str, core: str) -> None:
    start = text.index(core)
    spans = engine.detect(text)
    assert any(s.entity is entity and s.start < start + len(core) and start < s.end for s in spans), spans
    assert core not in engine.redact(text).text


@pytest.mark.parametrize(("text", "reason"), STAYS, ids=[text for text, _ in STAYS])
def test_lookalike_stays_with_a_voucher(engine: TextEngine, text: str, reason: str) -> None:
    done = engine.redact(text)
    assert done.text == text
    assert reason in {voucher.reason for voucher in done.vouchers}


@pytest.mark.parametrize("text", NOT_FOUND)
def test_ordinary_words_stay(engine: TextEngine, text: str) -> None:
    assert engine.detect(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "An asylum seeker",
        "undocumented",
        "deported",
        "an overstayer",
        "student visa",
        "leave to remain",
        "GWF012345678",
        "a refugee",
        "immigration",
        "Polish national",
    ],
)
def test_nothing_spares_the_never_list(engine: TextEngine, text: str) -> None:
    assert engine.detect(f"At {text} Street he asked to leave.")
