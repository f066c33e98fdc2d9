"""Gold: texts in which every span that discloses is marked, read from JSON Lines.

A line is {"id", "text", "spans": [{"s", "e", "type", "req"}]}, offsets in characters, `e` after the last one.
Other fields are passed over. A span that also holds its own "text" is checked against its offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from services.kernel.errors import ConfigError
from services.kernel.jsonio import UNREADABLE
from services.kernel.vocabulary import EntityClass

PROXIES = (EntityClass.LANGUAGE, EntityClass.PROXY)
#: The eight classes of the annotation: proxies disclose by what they imply, the direct ones by what they say.
CLASSES: tuple[EntityClass, ...] = tuple(
    entity for entity in EntityClass if entity not in (EntityClass.IDENTIFYING, EntityClass.UNREADABLE)
)
DIRECT = tuple(entity for entity in CLASSES if entity not in PROXIES)
_MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class GoldSpan:
    """One disclosure, `start:end` in characters. `required`: a reviewer would call it a leak if it were left."""

    start: int
    end: int
    entity: EntityClass
    required: bool


@dataclass(frozen=True, slots=True)
class GoldText:
    """One text with all its disclosures; without any it is neutral."""

    id: str
    text: str
    spans: tuple[GoldSpan, ...]

    @property
    def words(self) -> int:
        """Pieces between white space."""
        return len(self.text.split())


class _Span(msgspec.Struct):
    s: int
    e: int
    type: str
    req: bool
    text: str | None = None


class _Line(msgspec.Struct):
    id: str | int
    text: str
    spans: list[_Span]


def read(path: Path) -> list[GoldText]:
    """All texts of a .jsonl file, or of every .jsonl file in a directory, in order of name and line.

    Raises:
        ConfigError: nothing to read, or faults; each with file and line, never with the text.
    """
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
        missing = "the directory holds no .jsonl file"
    else:
        files = [path] if path.is_file() else []
        missing = "there is no such file or directory"
    if not files:
        raise ConfigError(f"gold `{path}`", [missing])
    faults: list[str] = []
    texts = [text for file in files for text in _texts(file, faults)]
    if faults:
        more = len(faults) - _MOST_FAULTS
        raise ConfigError(f"gold `{path}`", faults[:_MOST_FAULTS] + ([f"and {more} more"] if more > 0 else []))
    if not texts:
        raise ConfigError(f"gold `{path}`", ["there is no text in it: every line is empty"])
    return texts


def _texts(file: Path, faults: list[str]) -> Iterator[GoldText]:
    for number, raw in enumerate(file.read_bytes().split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            line = msgspec.json.decode(raw, type=_Line)
        except UNREADABLE as error:
            faults.append(f"{file.name} line {number}: {_why(error)}")
            continue
        found = [f"{file.name} line {number}: {fault}" for fault in _faults(line)]
        faults += found
        if not found:
            spans = tuple(GoldSpan(span.s, span.e, EntityClass(span.type), span.req) for span in line.spans)
            yield GoldText(str(line.id), line.text, spans)


def _why(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"not a gold line, which has id, text and spans of s, e, type and req: {error}"
    return "not a JSON object in UTF-8"


def _faults(line: _Line) -> Iterator[str]:
    for index, span in enumerate(line.spans):
        if span.type not in CLASSES:
            yield f"span {index} has the unknown class `{span.type}`; there are {', '.join(CLASSES)}"
        if not 0 <= span.s < span.e <= len(line.text):
            yield f"span {index} is {span.s} to {span.e} in a text of {len(line.text)} characters"
        elif span.text is not None and span.text != line.text[span.s : span.e]:
            yield f"span {index} holds another text than stands at {span.s} to {span.e}; offsets count characters"
