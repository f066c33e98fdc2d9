"""Laws of the engine, kinds of value, masking and risk."""

from __future__ import annotations

import dataclasses

import pcre2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kernel.errors import ConfigError
from services.kernel.mask import TOKEN
from services.redactor.text import risk, rules, words
from services.redactor.text.engine import Kind, TextEngine

#: Surnames and given names that are demonyms, places or codes too.
NAMES = (
    "England", "Welsh", "FRENCH", "Jordan", "India", "Paris", "Ireland", "Holland", "Paul England", "Sarah Welsh",
    "AYA FRENCH", "Smith-French", "Jordan-Lee", "Anne-Marie French", "Ireland, Paul", "J.P. England",
    "India Paris Holland", "NG", "PAK", "Li", "AMY MA", "Pak Sung", "PJ Harvey", "DE SOUZA", "VAN DE BERG",
    "de la Paris",
)  # fmt: skip
PIECES = [
    "she",
    "is",
    "an",
    "a",
    "Iranian",
    "Polish",
    "national",
    "from",
    "Turkey",
    "born in Lima",
    "speaks",
    "Urdu",
    "visa",
    "no",
    "student visa",
    "the",
    "Home Office",
    "NRPF",
    "asylum seeker",
    ",",
    ".",
    "and",
    "(",
    ")",
    "/",
    "[removed]",
    "deported",
    "get her",
    "Poland Street",
    "French doors",
    "Mr England",
    "arrived in the UK in 2019",
    "+48 601 000 000",
    "RA1234567",
    "&amp;",
    "P\u043elish",
    "\u200b",
    "Nationality:",
    "passport no",
    "512345678",
    "interpreter for",
    "N R P F",
    "back to",
    "Visa debit",
    "settled",
    "\n",
    "he",
    "said",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.text(
    st.characters(exclude_categories=()), max_size=60
)
SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@SETTINGS
@given(text=TEXTS, kind=st.sampled_from(list(Kind)))
def test_laws(engine: TextEngine, text: str, kind: Kind) -> None:
    done = engine.redact(text, kind)
    assert engine.detect(done.text, kind) == []
    assert engine.redact(done.text, kind).text == done.text
    for mask in done.masks:
        assert done.text[mask.start : mask.end] == TOKEN
    for voucher in done.vouchers:
        assert 0 <= voucher.start < voucher.end <= len(done.text)
        assert TOKEN not in done.text[voucher.start : voucher.end]


@SETTINGS
@given(text=TEXTS)
def test_spans_lie_in_the_text(engine: TextEngine, text: str) -> None:
    for span in engine.detect(text):
        assert 0 <= span.start < span.end <= len(text)


def test_the_same_text_gives_the_same_answer(engine: TextEngine) -> None:
    text = "She is an Iranian national and speaks Farsi."
    assert engine.redact(text) == engine.redact(text)
    assert len(engine.version) == 16


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("She is an Iranian lady.", "She is a [removed] lady."),
        ("She is Irish and Brazilian.", "She is [removed]."),
        ("Mum speaks Swahili.", "Mum [removed]."),
        (
            "Her uncle swore to have her deported unless she kept quiet.",
            "Her uncle swore to [removed] unless she kept quiet.",
        ),
        ("He will ring immigration on Friday.", "He will [removed] on Friday."),
        ("She holds a student visa.", "She [removed]."),
        ("IP is an overstayer.", "IP is a [removed]."),
        ("IP is a British citizen.", "IP is a [removed]."),
        ("He speaks English.", "He [removed]."),
        ("Call her on 07700 900123.", "Call her on [removed]."),
        ("The lamp is broken.", "The lamp is broken."),
    ],
)
def test_masks_grow_merge_and_tidy(engine: TextEngine, text: str, redacted: str) -> None:
    assert engine.redact(text).text == redacted


@pytest.mark.parametrize("name", ["Jordan Welsh", "India Brooks", "Anna French", "Chad England", "Paris Holland"])
def test_names_stay(engine: TextEngine, name: str) -> None:
    done = engine.redact(name, Kind.NAME)
    assert done.text == name
    assert done.vouchers
    assert {voucher.reason for voucher in done.vouchers} == {"name_field"}


@pytest.mark.parametrize("name", ["asylum seeker", "Polish male", "Unknown (Romanian)", "Romanian", "Ana NRPF"])
def test_descriptions_in_a_name_field_go(engine: TextEngine, name: str) -> None:
    assert TOKEN in engine.redact(name, Kind.NAME).text


def test_address_and_contact(engine: TextEngine) -> None:
    street = engine.redact("Flat 2, 9 Norway Street, Salford", Kind.ADDRESS)
    assert street.text == "Flat 2, 9 Norway Street, Salford"
    assert [voucher.reason for voucher in street.vouchers] == ["street_name"]
    assert TOKEN in engine.redact("c/o Serco asylum hotel, Salford", Kind.ADDRESS).text
    assert TOKEN in engine.redact("Rua Nova 3, Lisbon, Portugal", Kind.ADDRESS).text
    assert engine.redact("07700 900123", Kind.CONTACT).text == "07700 900123"
    assert TOKEN in engine.redact("ask for the Polish interpreter", Kind.CONTACT).text


@pytest.mark.parametrize(
    "address",
    [
        "afghan1@gmail.com", "polish_girl@gmail.com", "PolishGirl@gmail.com", "leilasyria@gmail.com",
        "SYRIA2020@gmail.com", "leilairaq@gmail.com", "london.asylumseeker1@gmail.com", "asylumseekerleeds@gmail.com",
        "nrpf.help@gmail.com",
        "jordangirl@gmail.com", "jordan.girl@gmail.com", "ali.jordan@gmail.com", "saudiarabia7@gmail.com",
        "british.lad@gmail.com", "p0lish_lad@gmail.com", "jo@polishshop.co.uk", "jo@afghan-help.example.org",
    ],
)  # fmt: skip
def test_an_address_whose_words_disclose_is_masked_whole(engine: TextEngine, address: str) -> None:
    assert engine.redact(address, Kind.CONTACT).text == TOKEN
    assert engine.redact(f"07700 900123 / {address}", Kind.CONTACT).text == f"07700 900123 / {TOKEN}"


@pytest.mark.parametrize(
    "local",
    [
        "jo.ann", "jordan.smith", "jordan88", "jordanlee", "paris.h", "kiranpatel", "francesca1", "miranda.h",
        "paul.england", "romanov", "m.ali", "chad.ward", "scott.finn", "damian.pole", "brittanyj", "amalia", "jo15han",
    ],
)  # fmt: skip
def test_an_address_that_is_a_name_stays(engine: TextEngine, local: str) -> None:
    assert engine.redact(f"{local}@outlook.com", Kind.CONTACT).text == f"{local}@outlook.com"


def test_an_unprotected_text_keeps_nationality_only(engine: TextEngine) -> None:
    done = engine.redact("The man is Chilean and an overstayer.", protected=False)
    assert "Chilean" in done.text
    assert "overstayer" not in done.text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("He said he will kill her.", "kill_or_harm"),
        ("He said he would take the kids.", "children"),
        ("She says he will kick her out.", "home"),
        ("He will stop her money.", "money"),
        ("He will post intimate photos of her.", "image"),
        ("He will tell her father.", "exposure"),
        ("He will ring immigration.", "report_to_an_authority"),
        ("He will ring social services.", "report_to_an_authority"),
        ("She is not allowed out alone.", "coercive_control"),
        ("He holds her passport.", "documents_or_money_controlled"),
    ],
)
def test_risk_is_lifted_before_masking(engine: TextEngine, text: str, code: str) -> None:
    assert code in engine.redact(text).risk
    assert code in risk.CODES


def test_calm_text_has_no_risk(engine: TextEngine) -> None:
    assert engine.redact("The neighbour heard music on Sunday.").risk == frozenset()


def test_a_rule_that_misses_its_example_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [
        dataclasses.replace(found, example="calm", misses=("a visa holder",))
        for found in rules.read()
        if found.name == "visa_holder"
    ]
    monkeypatch.setattr(rules, "read", lambda: broken)
    with pytest.raises(ConfigError) as caught:
        TextEngine.build()
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("alone", "beside"),
    [
        ("He asked about her papers.", "She is Polish. He asked about her papers."),
        ("Her stay was short.", "He is from Lagos. Her stay was short."),
        ("Her identity card fell out.", "IP is NRPF. Her identity card fell out."),
        ("The letter has the reference M1449270 on it.", "A Kurd. The letter has the reference M1449270 on it."),
        ("Her solicitor at Harding Lane rang.", "She is Somali. Her solicitor at Harding Lane rang."),
        ("Her decision came on Monday.", "An asylum seeker. Her decision came on Monday."),
        ("White, from Burnley.", "White, from Burnley. The other is Polish."),
    ],
)
def test_words_of_two_meanings_disclose_beside_a_disclosure(engine: TextEngine, alone: str, beside: str) -> None:
    assert engine.redact(alone).text == alone
    assert alone not in engine.redact(beside).text
    assert len(engine.redact(beside).masks) == 2


def test_a_pattern_that_gives_up_masks_the_whole_piece(engine: TextEngine) -> None:
    """Backtracking ends at PCRE2's match limit, within a fraction of a second, and fails closed."""
    (rule,) = [rule for rule in rules.read() if rule.name == "here_since"]
    greedy = dataclasses.replace(rule, pattern=pcre2.compile("(a+)+$", jit=True))
    text = "a" * 60 + " since"
    (span,) = greedy.find(engine._prepare(text, Kind.NARRATIVE))
    assert (span.start, span.end, span.entity) == (0, len(text), rule.entity)


def test_a_faulty_lexicon_lists_all_faults(tmp_path: object) -> None:
    with pytest.raises(ConfigError) as caught:
        words.read(tmp_path)  # type: ignore[arg-type]
    assert len(caught.value.faults) == len(words.FILES)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Ali PAK", "Ali [removed]"),
        ("Ali PK", "Ali [removed]"),
        ("PAK Ali", "[removed] Ali"),
        ("ALI PAK", "ALI [removed]"),
        ("Ali(PAK)", "Ali([removed])"),
        ("Ali - pak/PK", "Ali - pak/[removed]"),
        ("Ali GBR", "Ali [removed]"),
        ("Li (CN)", "Li ([removed])"),
        ("\uff21li \uff30\uff21\uff2b", "\uff21li [removed]"),
        ("Ali - Syria", "Ali - [removed]"),
        ("Ali -Syria", "Ali -[removed]"),
        ("Ali, Syria", "Ali, [removed]"),
        ("Ali/Syria", "Ali/[removed]"),
        ("Ali: Jordan", "Ali: [removed]"),
        ("Ali \u2014 Jordan", "Ali \u2014 [removed]"),
        ("Ali [Jordan]", "Ali [[removed]]"),
        ("Paul - England", "Paul - [removed]"),
    ],
)
def test_what_stands_beside_a_name_is_masked(engine: TextEngine, text: str, left: str) -> None:
    assert engine.redact(text, Kind.NAME).text == left
    assert engine.redact(left, Kind.NAME).text == left


@pytest.mark.parametrize("text", NAMES)
def test_names_that_look_like_origins_stay_in_a_name_field(engine: TextEngine, text: str) -> None:
    assert engine.redact(text, Kind.NAME).text == text


def test_a_token_of_the_input_is_nobodys_mask(engine: TextEngine) -> None:
    """It takes no class from the masks that are made, whatever stands before or after it."""
    text = "[removed] said she is Polish. She rang 07700 900123 and [removed] came. He was born in Lagos."
    done = engine.redact(text)
    found = [(done.text[: mask.start].count("[removed]"), mask.entity) for mask in done.masks]
    assert [entity for _, entity in found] == ["NATIONALITY", "IDENTIFYING", "COUNTRY_OF_ORIGIN"]
    assert [place for place, _ in found] == [1, 2, 4]
    assert engine.redact(done.text).masks == ()
