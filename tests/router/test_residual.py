from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import ConfigError
from services.kernel.mask import TOKEN, VoucherReason
from services.kernel.vocabulary import Tag
from services.router import residual_patterns
from services.router.residual import Find, Leaf, Residual, Vouchers, load_residual
from services.router.residual_text import fold
from services.router.residual_words import load_words

RESIDUAL = load_residual()
Voucher = tuple[str, int, int, str]


def scan(text: str, *vouchers: tuple[str, str], tag: Tag = Tag.FREE_TEXT, residual: Residual = RESIDUAL) -> list[Find]:
    """Scan `text` with vouchers given as (words, reason)."""
    held = [("/t", text.index(words), text.index(words) + len(words), reason) for words, reason in vouchers]
    return residual.scan([Leaf("/t", text, tag)], Vouchers(held))


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        ("Offender ran down Poland Street.", "Poland", "street_name"),
        ("Damage to cars on Malta Close overnight.", "Malta", "street_name"),
        ("Witness is Mrs Janet French.", "French", "surname"),
        ("PC Ireland attended at nine.", "Ireland", "surname"),
        ("Statement of Paul Ireland, security guard.", "Ireland", "surname"),
        ("Jordan said he heard glass.", "Jordan", "given_name"),
        ("Kenya and her cousin hid upstairs.", "Kenya", "given_name"),
        ("Fire at a Turkish barbers in Leigh.", "Turkish", "thing_modified"),
        ("They forced the French doors at the rear.", "French", "thing_modified"),
        ("A parcel was sent from China last week.", "China", "thing_modified"),
        ("A pot of nail polish was thrown.", "polish", "thing_modified"),
        ("He went out to polish the car.", "polish", "verb"),
        ("Visa debit card stolen from the purse.", "Visa", "brand"),
        ("Works for British Gas.", "British", "brand"),
        ("Meeting at the Pakistani Community Centre.", "Pakistani", "institution"),
        ("She banks with the Bank of Ireland.", "Ireland", "institution"),
        ("They were on holiday in Spain all week.", "Spain", "holiday"),
        ("Rumour spread like Chinese whispers.", "Chinese", "phrase"),
        ("Works from a home office upstairs.", "home office", "phrase"),
        ("A turkey was stolen from the freezer.", "turkey", "phrase"),
        ("She teaches French at a school.", "French", "phrase"),
        ("Lives near Denmark Hill.", "Denmark", "uk_place"),
        ("Travelled across England for work.", "England", "uk_place"),
    ],
)
def test_a_voucher_that_holds_explains_its_hit(text: str, words: str, reason: str) -> None:
    assert reason in set(VoucherReason)
    assert scan(text, (words, reason)) == []


@pytest.mark.parametrize("text", ["Cyprus", "Jordan"])
def test_a_name_field_explains_only_a_name(text: str) -> None:
    assert scan(text, (text, "name_field"), tag=Tag.NAME) == []
    assert scan(text, (text, "name_field"), tag=Tag.FREE_TEXT)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Paul Ireland", "Ireland"),
        ("Ireland, Paul", "Ireland"),
        ("Smith-French", "French"),
        ("Jordan-Lee", "Jordan"),
        ("J. French", "French"),
        ("O'Brien Holland", "Holland"),
    ],
)
def test_a_name_field_explains_a_name_among_names(text: str, word: str) -> None:
    assert scan(text, (word, "name_field"), tag=Tag.NAME) == []


@pytest.mark.parametrize(
    "text",
    [
        "Ali - Syria", "Ali -Syria", "Ali- Syria", "Ali, Syria", "Ali/Syria", "Ali (Syria", "Ali: Syria", "Ali_Syria",
        "Ali \u2014 Syria", "Syria / Ali", "Syria - Ali", "(Syria) Ali", "Syria: Ali", "Ali Syria, born there",
        "Ali \u201cSyria\u201d", "Syria PK",
    ],
)  # fmt: skip
def test_a_name_field_explains_nothing_behind_a_mark(text: str) -> None:
    assert scan(text, ("Syria", "name_field"), tag=Tag.NAME)


@pytest.mark.parametrize(
    "text", ["Ali PAK", "Ali PK", "PAK Ali", "ALI PAK", "Ali (PK)", "PK / Ali", "Ali GB", "Ali \uff30\uff2b"]
)
def test_a_code_of_a_country_beside_a_name_is_found(text: str) -> None:
    assert [find.why for find in scan(text, tag=Tag.NAME)] == ["never:code"]


@pytest.mark.parametrize("text", ["NG", "PAK", "Pak Sung", "AMY MA", "PJ Harvey", "DE SOUZA", "Ali Pk", "Peter", ""])
def test_a_name_that_looks_like_a_code_is_none(text: str) -> None:
    assert scan(text, tag=Tag.NAME) == []


@pytest.mark.parametrize("reason", sorted(VoucherReason))
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("IP is Polish and lives alone.", "Polish"),
        ("She speaks Urdu with her mother.", "Urdu"),
        ("IP moved here from Nigeria.", "Nigeria"),
        ("A Somali national lives next door.", "Somali"),
        ("A Romanian lives at number nine.", "Romanian"),
        ("Her family is in Albania.", "Albania"),
        ("A ticket is booked and she will be in Islamabad by May.", "Islamabad"),
        ("She was born in Lahore.", "Lahore"),
    ],
)
def test_no_reason_explains_a_leak(text: str, words: str, reason: str) -> None:
    assert scan(text, (words, reason))


@pytest.mark.parametrize("reason", sorted(VoucherReason))
@pytest.mark.parametrize(
    "words",
    ["NRPF", "overstayer", "undocumented", "asylum", "deported", "refugee", "leave to remain", "spousal visa", "BRP"],
)
def test_what_is_never_explained(words: str, reason: str) -> None:
    assert scan(f"Noted: {words} and so on.", (words, reason))


@pytest.mark.parametrize(
    "text",
    [
        "Ref 1234-5678-1234-5678 seen.",
        "Permit RA1234567 held.",
        "GWF012345678 on the letter.",
        "Letter L1234567/2 from them.",
        "Appeal HU/12345/2019 pending.",
        "Number 123456789 was given.",
        "PNC 2001/123456H on the sheet.",
    ],
)
def test_reference_formats(text: str) -> None:
    assert [find.why for find in scan(text) if find.why.startswith("never:reference")]


def test_references_with_a_label_of_something_else_and_phones_are_none() -> None:
    assert scan("Tenancy ref M2290417 transferred to her.") == []
    assert scan("Call 07700 900123 after six.") == []
    assert scan("123456789", tag=Tag.CONTACT) == []


@pytest.mark.parametrize(
    "text",
    [
        "N R P F",
        "N.R.P.F.",
        "n-r-p-f",
        "P o l i s h",
        "Pol\u00adish",
        "\u202ePolish",
        "\uff30\uff4f\uff4c\uff49\uff53\uff48",
        "Р\u043elish",
        "P&#111;lish",
        "&#x50;olish",
        "P\u00f3lish",
        "Lao%20and%20Vietnamese",
        "overstayed%20the%20visa",
        base64.b64encode(b"she is an overstayer").decode(),
        "POLISH",
        "Viet\u00a0Nam",
    ],
)
def test_disguises(text: str) -> None:
    assert scan(f"Note: {text} was written.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        TOKEN,
        f"He said he would {TOKEN} if she rang the police.",
        "Two males ran towards the estate; one wore a dark jacket.",
        "Visited the doctor on 2026-03-02 at 14:30; reference to follow.",
        "Male overstayed his welcome at the party.",
        "Baby was born in March at home.",
    ],
)
def test_plain_words_are_no_hits(text: str) -> None:
    assert scan(text) == []


# -- mutations ---------------------------------------------------------------------------------------------

KEPT = "Turkish barbers on Poland Street. PC French attended."
HELD: tuple[Voucher, ...] = (
    ("/t", 0, 7, "thing_modified"),
    ("/t", 19, 25, "street_name"),
    ("/t", 37, 43, "surname"),
)


def scanned(text: str, vouchers: tuple[Voucher, ...], pointer: str = "/t") -> list[Find]:
    return RESIDUAL.scan([Leaf(pointer, text, Tag.FREE_TEXT)], Vouchers(vouchers))


def test_the_record_before_the_mutation_is_clean() -> None:
    assert scanned(KEPT, HELD) == []


@pytest.mark.parametrize("left_out", range(3))
def test_one_recognizer_off(left_out: int) -> None:
    assert scanned(KEPT, HELD[:left_out] + HELD[left_out + 1 :])


def test_everything_is_called_a_look_alike() -> None:
    text = "IP is Polish, came on a boat. Her visa ran out."
    for reason in VoucherReason:
        assert scanned(text, (("/t", 0, len(text), reason),))
        words = [(at, at + len(word)) for word in text.split() for at in [text.index(word)]]
        assert scanned(text, tuple(("/t", start, end, str(reason)) for start, end in words))


def test_a_look_alike_is_swapped_for_a_leak() -> None:
    assert scanned(KEPT.replace("barbers", "wife   "), HELD)
    assert scanned(KEPT.replace("Poland Street", "Poland before"), HELD)
    assert scanned(KEPT.replace("PC French", "is French"), HELD)


@pytest.mark.parametrize("by", [-3, -1, 1, 4])
def test_a_voucher_is_moved(by: int) -> None:
    moved = tuple((pointer, max(0, start + by), end + by, reason) for pointer, start, end, reason in HELD[1:])
    assert scanned(KEPT, (HELD[0], *moved))


def test_a_voucher_is_replayed_for_another_leaf_or_text() -> None:
    assert scanned(KEPT, HELD, pointer="/other")
    assert scanned("Turkish, she said, on the phone", HELD)


def test_a_voucher_for_a_place_that_needs_none_is_a_find() -> None:
    assert [find.why for find in scanned("Two men ran.", (("/t", 0, 3, "surname"),))] == ["voucher"]


@pytest.mark.parametrize(
    "voucher",
    [
        ("/t", -1, 7, "surname"),
        ("/t", 7, 7, "surname"),
        ("/t", 0, 999, "surname"),
        ("/t", 0, 7, "because"),
        ("/t", 0, 5, "brand"),
    ],
)
def test_a_voucher_that_points_nowhere_is_not_held(voucher: Voucher) -> None:
    assert scanned("Turkish barbers", (voucher,))


# -- offsets and files ---------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_folding_leads_back_to_the_source(text: str) -> None:
    folded = fold(text)
    for start in range(len(folded.text)):
        first, last = folded.span(start, start + 1)
        assert 0 <= first < last <= len(text)
    assert fold(folded.text).text == folded.text


@settings(max_examples=100, deadline=None)
@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_surrounding_hides_a_leak(before: str, after: str) -> None:
    assert scan(f"{before} she is an overstayer {after}")


def test_finds_are_places_in_the_source() -> None:
    text = "Seen: &#80;olish, \u200bPolish"
    assert [text[find.start : find.end] for find in scan(text)] == ["&#80;olish", "Polish"]


def test_every_example_is_found_and_no_neutral_one() -> None:
    assert all(scan(text) for text in residual_patterns.EXAMPLES)
    assert not any(scan(text) for text in residual_patterns.NEUTRAL)


def test_every_fault_of_the_word_list_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text(
        "term\tclass\tmode\tsource\npolish\tpeople\tplain\tx\npolish\tpeople\tplain\tx\nPole\tp\tplain\tx\nx\ty\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_residual(path)
    assert len(caught.value.faults) == 3


def test_a_word_list_that_misses_an_example_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text("term\tclass\tmode\tsource\npolish\tpeople\tplain\tx\n")
    with pytest.raises(ConfigError) as caught:
        load_residual(path)
    assert any("is missed" in fault for fault in caught.value.faults)


@pytest.mark.parametrize("text", ["", "streets: Road", "colour: red", "- a"])
def test_broken_word_lists_stop_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_words(path)
