"""The words around a hit: one tokenisation, shared by every recognizer."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import yaml

from services.kernel.errors import ConfigError
from services.redactor.text.model import Kind
from services.redactor.text.normalise import Normal
from services.redactor.text.words import FOLDER, Hit

_TOKEN = re.compile(r"[^\W_]+|'[a-z]{1,2}\b|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Groups:
    """The closed word groups of `lexicon/context.yaml`."""

    streets: frozenset[str]
    titles: frozenset[str]
    given: frozenset[str]
    surnames: frozenset[str]
    things: frozenset[str]
    uk_things: frozenset[str]
    institutions: frozenset[str]
    people: frozenset[str]
    roles: frozenset[str]
    speech: frozenset[str]
    education: frozenset[str]
    cards: frozenset[str]
    nationality_labels: frozenset[str]
    english_words: frozenset[str]
    not_misspelt: frozenset[str]
    lower_ambiguous: frozenset[str]
    name_like: frozenset[str]
    polish_objects: frozenset[str]
    handles: frozenset[str]
    name_codes: frozenset[str]
    code_names: frozenset[str]

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Groups:
        """Read the groups; raises ConfigError where one is missing, empty or unknown."""
        raw = yaml.load((folder / "context.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        names = [field.name for field in fields(cls)]
        faults = [f"context group `{name}` is missing or empty" for name in names if not raw.get(name)]
        faults += [f"context group `{name}` is unknown" for name in raw if name not in names]
        if faults:
            raise ConfigError("the context words cannot be read", faults)
        return cls(**{name: frozenset(raw[name].split()) for name in names})


@dataclass
class Scan:
    """One text on its way through the recognizers."""

    normal: Normal
    kind: Kind
    hits: tuple[Hit, ...]
    words: frozenset[str]

    @cached_property
    def places(self) -> tuple[list[int], list[int]]:
        """Starts and ends of the tokens: words, possessive endings, single marks."""
        spans = [match.span() for match in _TOKEN.finditer(self.normal.text)]
        return [start for start, _ in spans], [end for _, end in spans]

    @property
    def starts(self) -> list[int]:
        """Where each token starts."""
        return self.places[0]

    @cached_property
    def lows(self) -> list[str]:
        """Each token in lower case."""
        low = self.normal.low
        return [low[start:end] for start, end in zip(*self.places, strict=True)]

    @cached_property
    def capitals(self) -> bool:
        """Whether the text is written in capitals throughout, so that case says nothing."""
        upper = sum(map(str.isupper, self.normal.text))
        letters = upper + sum(map(str.islower, self.normal.text))
        return letters > 8 and upper > 0.7 * letters

    def before(self, start: int, count: int = 4) -> list[str]:
        """Up to `count` lower-case tokens that end before `start`, nearest last."""
        index = bisect_left(self.starts, start)
        return self.lows[max(0, index - count) : index]

    def after(self, end: int, count: int = 3) -> list[str]:
        """Up to `count` lower-case tokens that start at or after `end`."""
        index = bisect_left(self.starts, end)
        return self.lows[index : index + count]

    def token_before(self, start: int) -> str:
        """The token before `start` as it is written, or nothing."""
        index = bisect_left(self.starts, start)
        return self.normal.text[self.starts[index - 1] : self.places[1][index - 1]] if index > 0 else ""

    def token_after(self, end: int) -> str:
        """The token after `end` as it is written, or nothing."""
        index = bisect_left(self.starts, end)
        return self.normal.text[self.starts[index] : self.places[1][index]] if index < len(self.starts) else ""

    def left(self, start: int, width: int = 60) -> str:
        """The lower-case text before `start`, within its sentence."""
        piece = self.normal.low[max(0, start - width) : start]
        for mark in (". ", "! ", "? ", "\n"):
            piece = piece.rpartition(mark)[2]
        return piece

    def right(self, end: int, width: int = 60) -> str:
        """The lower-case text after `end`, within its sentence."""
        piece = self.normal.low[end : end + width]
        for mark in (". ", "! ", "? ", "\n"):
            piece = piece.partition(mark)[0]
        return piece


class Around:
    """What stands around one hit, worked out once and only when asked."""

    def __init__(self, hit: Hit, scan: Scan, groups: Groups) -> None:
        self.hit, self.scan, self.groups = hit, scan, groups
        self.word, self.kinds = hit.entry.word, hit.entry.kinds
        self.flags = hit.entry.flags
        self.form = scan.normal.text[hit.start : hit.end]
        self.place = bool(self.kinds & {"country", "city"})
        self.adjective = bool(self.kinds & {"demonym", "people", "language"})

    @cached_property
    def left(self) -> str:
        """The sentence before the hit, in lower case."""
        return self.scan.left(self.hit.start)

    @cached_property
    def right(self) -> str:
        """The sentence after the hit, in lower case."""
        return self.scan.right(self.hit.end)

    @cached_property
    def after(self) -> list[str]:
        """The two tokens after the hit, in lower case; of the next line only a word for people.

        `Polish` at the end of a line and `Shop` at the start of the next are two facts; `Polish` and `man` are one.
        """
        tokens = self.scan.after(self.hit.end, 2)
        same = bisect_left(self.scan.starts, self._line_end) - bisect_left(self.scan.starts, self.hit.end)
        while same < len(tokens) and tokens[same] in self.groups.people:
            same += 1
        return tokens[:same]

    @cached_property
    def _line_end(self) -> int:
        found = self.scan.normal.text.find("\n", self.hit.end)
        return found if found >= 0 else len(self.scan.normal.text)

    @cached_property
    def following(self) -> str:
        """The word after the hit; a number or a possessive ending before it is passed over."""
        first = self.after[0] if self.after else ""
        second = self.after[1] if len(self.after) > 1 else ""
        return second if second and (first.isdigit() or (first == "'s" and second in self.groups.streets)) else first

    @cached_property
    def next_form(self) -> str:
        """The token after the hit on its line as it is written."""
        return self.scan.token_after(self.hit.end) if self.after else ""

    @cached_property
    def previous(self) -> str:
        """The word before the hit, in lower case; a point after a title is passed over."""
        before = self.scan.before(self.hit.start, 2)
        named = self.groups.titles | self.groups.education
        if not self.scan.normal.text[: self.hit.start].rpartition("\n")[2].strip() and named.intersection(before):
            return ""  # a title or a subject taught does not go over the line
        if before and before[-1] == "." and len(before) > 1:
            return before[-2]
        return before[-1] if before else ""
