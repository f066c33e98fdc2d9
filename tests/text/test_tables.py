"""Tables of made-up lines, one file for each class: what must be masked, near misses, broken formats."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.kernel.vocabulary import EntityClass
from services.redactor.text.engine import TextEngine

TABLES = Path(__file__).parent / "tables"
CLASSES = sorted(path.stem for path in TABLES.glob("*.txt") if path.stem not in ("near_misses", "broken_formats"))
#: Share of the letters and digits of a disclosure that must be found.
COVERED = 0.6


def lines(name: str) -> list[str]:
    """The lines of a table without its comments."""
    text = (TABLES / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and line[0] != "#"]


def unmark(line: str) -> tuple[str, list[tuple[int, int]]]:
    """A line without its brackets, and the places that they marked."""
    text, places, at = "", [], 0
    for match in re.finditer(r"\[(.+?)\]", line):
        text += line[at : match.start()]
        places.append((len(text), len(text) + len(match.group(1))))
        text += match.group(1)
        at = match.end()
    return text + line[at:], places


def covered(text: str, place: tuple[int, int], engine: TextEngine) -> float:
    """Share of the letters and digits of `place` within what the engine detects."""
    spans = [(span.start, span.end) for span in engine.detect(text)]
    wanted = [index for index in range(*place) if text[index].isalnum()]
    return sum(any(start <= index < end for start, end in spans) for index in wanted) / len(wanted)


@pytest.mark.parametrize("name", CLASSES)
def test_each_table_is_named_after_a_class(name: str) -> None:
    assert name.upper() in EntityClass.__members__
    assert len(lines(name)) >= 15


@pytest.mark.parametrize("line", [line for name in CLASSES for line in lines(name)])
def test_disclosures_are_found(engine: TextEngine, line: str) -> None:
    text, places = unmark(line)
    assert places
    for place in places:
        assert covered(text, place, engine) >= COVERED, text[slice(*place)]


@pytest.mark.parametrize("line", lines("near_misses") + lines("broken_formats"))
def test_near_misses_stay(engine: TextEngine, line: str) -> None:
    found = [span for span in engine.detect(line) if span.entity is not EntityClass.IDENTIFYING]
    assert found == [], [line[span.start : span.end] for span in found]
