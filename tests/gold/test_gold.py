"""The corpus holds what it promises: well-formed records, and enough of each kind to measure by."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.gold.mark import CLASSES, SUBJECTS, parse, records, render

REGISTERS = 10
TEXTS = 600
TEXTS_PER_REGISTER = 50
REQUIRED_PER_CLASS = 150
NEUTRAL = 0.40
LONGEST = 400  # words

FILES = sorted(Path(__file__).parent.glob("*.jsonl"))
CORPUS: dict[str, list[dict[str, Any]]] = {
    file.stem: [json.loads(line) for line in file.read_text("utf-8").splitlines()] for file in FILES
}
RECORDS = [record for held in CORPUS.values() for record in held]


@pytest.mark.parametrize("register", CORPUS)
def test_records_are_well_formed(register: str) -> None:
    for record in CORPUS[register]:
        assert set(record) == {"id", "register", "text", "spans"}, record["id"]
        assert record["register"] == register, record["id"]
        assert record["text"].strip(), record["id"]
        assert len(record["text"].split()) <= LONGEST, record["id"]
        for span in record["spans"]:
            assert set(span) == {"s", "e", "type", "req", "subject"}, record["id"]
            assert span["type"] in CLASSES, record["id"]
            assert span["subject"] in SUBJECTS, record["id"]
            assert isinstance(span["req"], bool), record["id"]


@pytest.mark.parametrize("register", CORPUS)
def test_spans_lie_in_the_text_in_order_and_do_not_overlap(register: str) -> None:
    for record in CORPUS[register]:
        end = 0
        for span in record["spans"]:
            assert end <= span["s"] < span["e"] <= len(record["text"]), record["id"]
            words = record["text"][span["s"] : span["e"]]
            assert words == words.strip(), record["id"]
            end = span["e"]


def test_ids_and_texts_are_unique() -> None:
    assert [key for key, n in Counter(record["id"] for record in RECORDS).items() if n > 1] == []
    assert [text for text, n in Counter(record["text"] for record in RECORDS).items() if n > 1] == []


def test_there_are_enough_texts_in_enough_registers() -> None:
    assert len(CORPUS) >= REGISTERS
    assert len(RECORDS) >= TEXTS
    assert {register: len(held) for register, held in CORPUS.items() if len(held) < TEXTS_PER_REGISTER} == {}


def test_every_class_has_enough_required_spans() -> None:
    counts = Counter(span["type"] for record in RECORDS for span in record["spans"] if span["req"])
    assert {kind: counts[kind] for kind in CLASSES if counts[kind] < REQUIRED_PER_CLASS} == {}


def test_enough_texts_are_neutral() -> None:
    assert sum(not record["spans"] for record in RECORDS) >= NEUTRAL * len(RECORDS)


@pytest.mark.parametrize("register", CORPUS)
def test_marks_come_back_as_they_were(register: str) -> None:
    for record in CORPUS[register]:
        assert parse(render(record["text"], record["spans"])) == (record["text"], record["spans"]), record["id"]


def test_a_line_of_marks_becomes_a_record() -> None:
    line = "X-1\tnote\tIP [[NATIONALITY|Polish]],\\nsusp [[COUNTRY_OF_ORIGIN?@suspect|Kosovo]].\n"
    assert list(records([line, "\n"])) == [
        {
            "id": "X-1",
            "register": "note",
            "text": "IP Polish,\nsusp Kosovo.",
            "spans": [
                {"s": 3, "e": 9, "type": "NATIONALITY", "req": True, "subject": "protected"},
                {"s": 16, "e": 22, "type": "COUNTRY_OF_ORIGIN", "req": False, "subject": "suspect"},
            ],
        }
    ]


@pytest.mark.parametrize("marked", ["[[NATION|Polish]]", "[[NATIONALITY|Polish ]]", "a [[NATIONALITY|Polish]", "]]"])
def test_a_broken_mark_is_refused(marked: str) -> None:
    with pytest.raises(ValueError, match=r"mark|white space"):
        parse(marked)
