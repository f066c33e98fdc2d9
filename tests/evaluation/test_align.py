"""From a redacted text back to the characters of the input that it hides."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.evaluation.align import hidden
from services.kernel.mask import TOKEN
from services.redactor.text.engine import TextEngine

PIECES = [
    "she", "is", "an", "a", "Iranian", "Polish", "national", "from", "Turkey", "born in Lima", "speaks", "Urdu",
    "in", "a visa", "the", "NRPF", ",", ".", "(", ")", "/", "\n", TOKEN, "an interpreter", "arrived in the UK in 2019",
    "+48 601 000 000", "French doors", "P\u043elish", "N R P F", "\U0001f1f5\U0001f1f1", "Она", "interpreter for",
    "back to", "and",
]  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> TextEngine:
    return TextEngine.build()


@pytest.mark.parametrize(
    ("text", "redacted", "parts"),
    [
        ("calm", "calm", []),
        ("Polish", "[removed]", ["Polish"]),
        ("IP is Polish.", "IP is [removed].", ["Polish"]),
        ("an Irish man, a Dane", "a [removed], a [removed]", ["n Irish man", "Dane"]),
        ("An Irish man", "A [removed]", ["n Irish man"]),
        ("ban Irish", "ban [removed]", ["Irish"]),
        ("she, Polish, and he, Irish.", "she, [removed], and he, [removed].", ["Polish", "Irish"]),
        ("was [removed] here, Polish", "was [removed] here, [removed]", ["[removed]", "Polish"]),
    ],
)
def test_tokens_stand_for(text: str, redacted: str, parts: list[str]) -> None:
    assert [text[start:end] for start, end in hidden(text, redacted)] == parts


def test_what_was_found_decides_where_kept_words_occur_twice() -> None:
    text, redacted = "came in a van in May in fear of Rome", "[removed] in [removed]"
    first = text.index("van in May")
    assert hidden(text, redacted) == [(0, 4), (8, len(text))]
    assert hidden(text, redacted, [(0, first + 10)]) == [(0, first + 10), (first + 14, len(text))]


def test_the_a_of_an_article_that_was_found_stays() -> None:
    text = "He, Polish, was an interpreter."
    assert hidden(text, "He, [removed], was a [removed].", [(4, 10), (16, 30)]) == [(4, 10), (17, 30)]


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("a b c", "a b d"),
        ("a b c", "x [removed]"),
        ("a b c", "[removed] x"),
        ("a b c", "a [removed] x [removed] c"),
        ("a b", "a b[removed]"),
    ],
)
def test_a_text_that_came_from_elsewhere_is_an_error(text: str, redacted: str) -> None:
    with pytest.raises(ValueError, match="redacted text"):
        hidden(text, redacted)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sampled_from([" ", "  ", ""]))
def test_putting_tokens_in_gives_what_the_engine_gave(engine: TextEngine, pieces: list[str], glue: str) -> None:
    text = glue.join(pieces)
    redacted = engine.redact(text).text
    found = [(span.start, span.end) for span in engine.detect(text)]
    made, at = "", 0
    ranges = hidden(text, redacted, found)
    for start, end in ranges:
        assert at <= start < end
        made += text[at:start] + TOKEN
        at = end
    made += text[at:]
    tidy = re.compile(r"\b([Aa])" + re.escape(TOKEN))
    assert tidy.sub(rf"\1 {TOKEN}", made) == tidy.sub(rf"\1 {TOKEN}", redacted)
    # the `a` of an `an` that was found stays
    assert all(any(start - 1 <= s and e <= end for start, end in ranges) for s, e in found)
