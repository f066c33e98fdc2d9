"""Reading gold: what a line may hold, and what is said of broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.gold import CLASSES, DIRECT, PROXIES, GoldSpan, read
from services.kernel.errors import ConfigError
from services.kernel.vocabulary import EntityClass

SPAN = {"s": 4, "e": 10, "type": "NATIONALITY", "req": True}
LINE: dict[str, Any] = {"id": "A-1", "text": "She Polish, Qzv", "spans": [SPAN]}


def write(path: Path, *lines: object) -> Path:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(raw))
    return path


def test_a_file_and_a_directory_of_files_in_order_of_name(tmp_path: Path) -> None:
    extra = {"register": "note", "role": "victim"}
    overlap = [SPAN | {"subject": "suspect", "text": "Polish"}, SPAN | {"s": 0, "type": "PROXY", "req": False}]
    second = write(tmp_path / "b.jsonl", LINE | extra | {"spans": overlap}, b"", b"  ")
    write(tmp_path / "a.jsonl", LINE | {"id": 7, "spans": [], "text": "one  two\n"})
    write(tmp_path / "notes.txt", b"not gold")
    [text] = read(second)
    assert text.spans == (
        GoldSpan(4, 10, EntityClass.NATIONALITY, required=True),
        GoldSpan(0, 10, EntityClass.PROXY, required=False),
    )
    assert [(text.id, text.words) for text in read(tmp_path)] == [("7", 2), ("A-1", 3)]


def test_classes_are_the_eight_of_the_annotation() -> None:
    assert len(CLASSES) == 8
    assert {*DIRECT, *PROXIES} == {*CLASSES}
    assert len(DIRECT) == 6


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{not json", "not a JSON object in UTF-8"),
        (b"\xff\xfe", "not a JSON object in UTF-8"),
        (b"[]", "Expected `object`, got `array`"),
        ({"id": "A-1", "text": "Qzv"}, "missing required field `spans`"),
        (LINE | {"spans": [{"s": 4, "e": 10, "type": "NATIONALITY"}]}, "missing required field `req`"),
        (LINE | {"spans": [SPAN | {"e": "10"}]}, "Expected `int`, got `str`"),
        (LINE | {"spans": [SPAN | {"e": 99}]}, "span 0 is 4 to 99 in a text of 15 characters"),
        (LINE | {"spans": [SPAN | {"s": -1}]}, "span 0 is -1 to 10"),
        (LINE | {"spans": [SPAN | {"e": 4}]}, "span 0 is 4 to 4"),
        (LINE | {"spans": [SPAN, SPAN | {"type": "NATION"}]}, "span 1 has the unknown class `NATION`"),
        (LINE | {"spans": [SPAN | {"type": "IDENTIFYING"}]}, "there are NATIONALITY, COUNTRY_OF_ORIGIN"),
        (LINE | {"spans": [SPAN | {"text": "olish,"}]}, "offsets count characters"),
    ],
)
def test_a_broken_line_is_named_and_its_text_is_not(tmp_path: Path, line: object, says: str) -> None:
    file = write(tmp_path / "gold.jsonl", LINE, b"", line)
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert len(caught.value.faults) == 1
    assert "gold.jsonl line 3" in str(caught.value)
    assert says in str(caught.value)
    assert "Qzv" not in str(caught.value)


def test_all_faults_are_listed_up_to_twenty(tmp_path: Path) -> None:
    file = write(tmp_path / "gold.jsonl", *[b"{"] * 25)
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert len(caught.value.faults) == 21
    assert caught.value.faults[-1] == "and 5 more"


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no \.jsonl file"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="no such file or directory"):
        read(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="every line is empty"):
        read(write(tmp_path / "empty.jsonl", b"\n\n"))
