"""How threats are written, what is no threat, and bounds on time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from services.kernel.errors import ConfigError
from services.redactor.text import risk
from services.redactor.text.symbols import Grammar

REPORT = "report_to_an_authority"


def codes(text: str) -> set[str]:
    return set(risk.lift(text.lower()))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("HE SAYS HE IS GOING TO STAB HER", "kill_or_harm"),
        ("he sed hes gunna kill me", "kill_or_harm"),
        ("threatned to kill her and the kids", "kill_or_harm"),
        ("He\u2019ll break your legs", "kill_or_harm"),
        ("She said, \u201cI\u2019ll kill you\u201d", "kill_or_harm"),
        ("told her that she would be shot", "kill_or_harm"),
        ("had his hands round her neck", "kill_or_harm"),
        ("He pulled a machete out and came at me shouting", "kill_or_harm"),
        ("says il never see my kids again", "children"),
        ("they will chuck us out tonight", "home"),
        ("pay up or they will come back", "money"),
        ("will send my nudes to everyone", "image"),
        ("he will tell the whole mosque", "exposure"),
        ("will grass her up to the dwp", REPORT),
        ("says he will get her deported", REPORT),
        ("not allowed out on her own", "coercive_control"),
        ("the boss keeps their passports", "documents_or_money_controlled"),
    ],
)
def test_is_found(text: str, code: str) -> None:
    assert code in codes(text)


@pytest.mark.parametrize(
    "text",
    [
        "No threats made.",
        "Suspect denied any threats to life.",
        "She was not threatened with a knife.",
        "He did not say he would kill her.",
        "They have never said they would hurt her.",
        "He denied that he would have her deported.",
        "Killing time outside the shop.",
        "Money was tight and the children were at school.",
        "An image of the suspect on CCTV.",
        "She rang the Home Office about her visa.",
        "IP said she would ring the council about the bins.",
        "He will take the kids to school.",
        "He holds a valid passport.",
        "He is not allowed to work.",
        "She speaks Polish and has no recourse to public funds.",
        "",
    ],
)
def test_is_no_risk(text: str) -> None:
    assert codes(text) == set()


def test_a_denial_covers_its_own_threat_only() -> None:
    assert codes("No threats to kill. He said he will take the kids.") == {"children"}
    assert codes("He denied theft but he told her he would kill her.") == {"kill_or_harm"}


@pytest.mark.parametrize(
    "word", ["said ", "will ", "told her he would ", "no threats to ", "he will not ", "a", "'", ". "]
)
def test_time_grows_with_length_only(word: str) -> None:
    """Four times the text takes about four times as long, whatever stands in it."""
    taken = []
    for size in (50_000, 200_000):
        text = (word * (size // len(word) + 1))[:size]
        start = time.perf_counter()
        risk.lift(text)
        taken.append(time.perf_counter() - start)
    assert taken[1] < 2.0
    assert taken[1] < 10 * taken[0] + 0.05


def test_the_file_proves_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    risk.prove()
    raw = risk._read()
    raw["codes"]["home"]["examples"] = ["calm"]
    raw["codes"]["money"]["misses"] = ["pay up or they will come back"]
    monkeypatch.setattr(risk, "_read", lambda: raw)
    with pytest.raises(ConfigError) as caught:
        risk.prove()
    assert "`home` misses its example `calm`" in str(caught.value)
    assert "`money` finds" in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("kill (her", "not closed"),
        ("kill her)", "too many"),
        ("? kill", "follows nothing"),
        ("..4 her?", "no word that must be there"),
        ("kill #", "no part of a pattern"),
        ("NOSUCH her", "NOSUCH"),
    ],
)
def test_a_faulty_pattern_is_named(pattern: str, says: str) -> None:
    raw: dict[str, Any] = {
        "words": {"CLAUSE": "and"}, "phrases": {}, "frequent": "", "common": "", "denied": "no --2",
        "codes": {"home": {"patterns": [pattern], "examples": [], "misses": []}},
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        risk.build(raw)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("KILL her", "murder her", True),
        ("KILL her", "murder. her", False),
        ("take ..2 kids", "take all the kids", True),
        ("take ..2 kids", "take all of the kids", False),
        ("take --2 kids", "take and kids", False),
        ("(the | her) kids?", "her", True),
        ("take kids !(to school)", "take kids to school", False),
        ("take kids !(to school)", "take kids to town", True),
        ("SOON kids", "will kids", True),
        ("he 'll", "he'll", True),
        ("mum head", "mum's head", True),
    ],
)
def test_the_language_of_patterns(pattern: str, text: str, found: bool) -> None:
    grammar = Grammar(
        words={"CLAUSE": "and", "KILL": "kill MURDER", "MURDER": "murder"}, phrases={"SOON": "(will | soon)"},
        frequent="the", common="her", patterns=[pattern, "to school"],
    )  # fmt: skip
    assert bool(grammar.compile(pattern).find.search(grammar.symbols.line(text))) is found
