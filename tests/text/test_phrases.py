"""The language of phrases: word by word, with classes, gaps, choices and options."""

from __future__ import annotations

import re

import pytest

from services.redactor.text.phrases import compile_phrases

CLASSES = {"HIS": "her his my", "HE": "he she"}


def found(phrase: str, text: str) -> str | None:
    match = re.search(compile_phrases([phrase], CLASSES)[0], text)
    return match.group() if match else None


@pytest.mark.parametrize(
    ("phrase", "text", "span"),
    [
        ("stamp ran out", "her stamp ran out in may", "stamp ran out"),
        ("stamp ran out", "her stamp, ran (out) in may", "stamp, ran (out"),
        ("HIS stamp", "in my stamp album", "my stamp"),
        ("stamp ..2 spring", "the stamp ended in spring.", "stamp ended in spring"),
        ("stamp ..2 spring", "the stamp ended. it was spring", None),
        ("stamp ..1 spring", "the stamp ended in spring", None),
        ("(stamp | red book) gone", "her red book gone", "red book gone"),
        ("HIS? stamp gone", "stamp gone", "stamp gone"),
        ("stamp (has)? gone", "stamp has gone", "stamp has gone"),
        ("stamp", "stamped", None),
        ("stamp", "restamp", None),
        ("he's stamped", "he's stamped", "he's stamped"),
        ("say-so", "on his say-so", "say-so"),
    ],
)
def test_a_phrase_finds_its_words(phrase: str, text: str, span: str | None) -> None:
    assert found(phrase, text) == span


def test_the_trigger_is_the_rarest_word_that_must_be_there() -> None:
    assert compile_phrases(["HE has ..2 (visa | permit) (gone)?"], CLASSES)[1] == {"visa", "permit"}
    assert compile_phrases(["here on HIS ticket", "never sorted"], CLASSES)[1] == {"ticket", "never"}


@pytest.mark.parametrize(
    ("phrase", "error"),
    [
        ("(stamp", "not closed"),
        ("stamp)", "too many"),
        ("? stamp", "stands where"),
        ("..3", "no word"),
        ("st@mp", "no part"),
    ],
)
def test_what_is_no_phrase_is_said(phrase: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        compile_phrases([phrase], CLASSES)


def test_an_unknown_class_is_said() -> None:
    with pytest.raises(KeyError, match="HERS"):
        compile_phrases(["HERS stamp"], CLASSES)
