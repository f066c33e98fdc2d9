"""Figures worked out by hand: Wilson's interval, the 60 % rule, what counts as a false mask."""

from __future__ import annotations

import pytest

from services.evaluation.gold import GoldSpan, GoldText
from services.evaluation.score import Answer, Figures, Mask, Share, score
from services.kernel.vocabulary import EntityClass

E = EntityClass


def text(words: str, *spans: tuple[str, EntityClass, bool], name: str = "T") -> GoldText:
    """A text whose spans are given by their words."""
    marked = [GoldSpan(words.index(part), words.index(part) + len(part), kind, req) for part, kind, req in spans]
    return GoldText(name, words, tuple(marked))


def masks(words: str, *parts: str, identifying: bool = False) -> tuple[Mask, ...]:
    return tuple(
        Mask(words.index(p), words.index(p) + len(p), E.NATIONALITY, "made_up", identifying=identifying) for p in parts
    )


def one(gold: GoldText, *hidden: str) -> Figures:
    return score([gold], [Answer(masks(gold.text, *hidden), 0.5)])


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (90, 100, 0.82563, 0.94477),  # (0.9 + 1.92073/100 ± 1.959964·sqrt(0.0009 + 0.000096036)) / 1.0384146
        (30, 30, 0.88649, 1.0),  # 30 / 33.841459
        (0, 30, 0.0, 0.11351),  # 3.841459 / 33.841459
        (0, 1000, 0.0, 0.0038268),  # 3.841459 / 1003.841459
    ],
)
def test_wilson_interval(hits: int, of: int, low: float, high: float) -> None:
    assert Share(hits, of).interval == pytest.approx((low, high), abs=1e-5)


def test_a_share_of_fewer_than_thirty_is_not_shown() -> None:
    assert not Share(29, 29).shown
    assert Share(0, 30).shown


@pytest.mark.parametrize(
    ("hidden", "is_hidden"),
    [
        ("abc def", True),  # 6 of 10 letters and digits
        ("bc def-", False),  # 5 of 10: blanks and hyphens do not count
        ("def-12 34", True),  # 7
        ("12 34", False),  # 4
    ],
)
def test_sixty_per_cent_of_letters_and_digits(hidden: str, is_hidden: bool) -> None:
    gold = text("say abc def-12 34.", ("abc def-12 34", E.IMMIGRATION_DOCUMENT, True))
    figures = one(gold, hidden)
    assert figures.recall["IMMIGRATION_DOCUMENT"] == Share(int(is_hidden), 1)
    assert figures.leaks == Share(int(not is_hidden), 1)


def test_parts_hidden_by_several_masks_add_up_and_overlaps_count_once() -> None:
    gold = text("abcdefghij", ("abcdefghij", E.PROXY, True))
    assert one(gold, "abc", "hij").recall["PROXY"].hits == 1
    assert one(gold, "abc", "bcd", "cde").recall["PROXY"].hits == 0


def test_a_flag_has_no_letters_and_is_hidden_as_a_whole() -> None:
    gold = text("ask \U0001f1f5\U0001f1f1 now", ("\U0001f1f5\U0001f1f1", E.NATIONALITY, True))
    assert one(gold, "\U0001f1f5\U0001f1f1").recall["NATIONALITY"].hits == 1
    assert one(gold, "now").recall["NATIONALITY"].hits == 0


def test_figures_of_a_small_set() -> None:
    first = text(
        "Wit is Polish, speaks Polish-ish, has a passport.",
        ("Polish", E.NATIONALITY, True), ("Polish-ish", E.LANGUAGE, True),
        ("passport", E.IMMIGRATION_DOCUMENT, False),
    )  # fmt: skip
    second = text("On a visa.", ("visa", E.IMMIGRATION_STATUS, True))
    third = text("Only a passport here.", ("passport", E.IMMIGRATION_DOCUMENT, False))
    fourth = text("Nothing at all, ring 07700 900123, twice.")
    answers = [
        Answer(masks(first.text, "Polish,", "passport", "has"), 1.0),
        Answer((), 0.5),
        Answer((), 0.25),
        Answer(masks(fourth.text, "Nothing", "twice") + masks(fourth.text, "07700 900123", identifying=True), 0.25),
    ]
    figures = score([first, second, third, fourth], answers)
    assert figures.recall["NATIONALITY"] == Share(1, 1)
    assert figures.recall["IMMIGRATION_STATUS"] == Share(0, 1)
    assert figures.recall["IMMIGRATION_DOCUMENT"] == Share(0, 0), "not required: counted neither way"
    assert figures.recall["direct classes"] == Share(1, 2)
    assert figures.recall["proxies"] == Share(0, 1)
    assert figures.recall["all classes"] == Share(1, 3)
    assert figures.leaks == Share(2, 2)
    assert figures.precision == Share(2, 5), "the passport was right to hide, the number is set apart"
    assert figures.false_masks == 2
    assert figures.neutral_words == 7
    assert figures.neutral_hit == Share(1, 1)
    assert figures.identifying == 1
    assert figures.false_per_1000 is None
    assert figures.words == 8 + 3 + 4 + 7
    assert figures.words_per_second == pytest.approx(11.0)
    slips = [(slip.missed, slip.text.text[slip.start : slip.end], slip.hidden) for slip in figures.slips]
    assert slips == [
        (True, "Polish-ish", 0.0), (False, "has", 0.0), (True, "visa", 0.0),
        (False, "Nothing", 0.0), (False, "twice", 0.0),
    ]  # fmt: skip


def test_a_number_that_lies_in_a_marked_span_is_right() -> None:
    gold = text("Her BRP is RZ1234567.", ("BRP is RZ1234567", E.IMMIGRATION_DOCUMENT, True))
    figures = score([gold], [Answer(masks(gold.text, "RZ1234567", identifying=True), 0.1)])
    assert figures.precision == Share(1, 1)
    assert figures.identifying == 0
    assert figures.recall["IMMIGRATION_DOCUMENT"].hits == 1, "9 of 14"


def test_false_masks_a_thousand_neutral_words() -> None:
    neutral = text("polish " + "word " * 1999)
    assert one(neutral, "polish").false_per_1000 == 0.5


def test_an_answer_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        score([text("a"), text("b")], [Answer((), 0.0)])
