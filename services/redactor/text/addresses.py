"""Words inside an e-mail address, apart (`polish_girl`) or run together (`leilasyria`).

A field for contacts keeps addresses; one whose words disclose is masked whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.kernel.vocabulary import EntityClass
from services.redactor.text.context import Groups
from services.redactor.text.model import Span
from services.redactor.text.normalise import normalise
from services.redactor.text.words import Entry, Finder

_ADDRESS = re.compile(r"([^\s@<>(),;:]{1,128})@([^\s@<>(),;:]{1,253})")
_JOINT = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|[\W_]+")
_DIGIT = re.compile(r"\d")
_PLACES = frozenset({"country", "city"})
_PEOPLES = frozenset({"demonym", "people", "language"})
#: Shorter words begin or end many names.
_SHORTEST = 5


class Addresses:
    """The lexicon as an address would hold it; `groups.handles` are names that are, begin or end like a word of it."""

    def __init__(self, finder: Finder, groups: Groups) -> None:
        self._finder, self._groups = finder, groups
        told = ((entry.word.replace(" ", ""), entry) for entry in finder.entries if _tells(entry))
        self._ends = {word: entry for word, entry in told if len(word) >= _SHORTEST or _short(word, entry, groups)}

    def find(self, text: str) -> Iterator[Span]:
        """The addresses in `text` that disclose, each whole."""
        for match in _ADDRESS.finditer(text) if "@" in text else ():
            domain = match.group(2).rpartition(".")[0]
            entry = self._told(match.group(1), person=True) or self._told(domain, person=False)
            if entry is not None:
                yield Span(match.start(), match.end(), _class(entry), "address")

    def _told(self, part: str, *, person: bool) -> Entry | None:
        """The first entry in the words of `part` that discloses; in a `person`'s part a given name may stand first."""
        spaced = " ".join(filter(None, _JOINT.split(part)))
        low = _DIGIT.sub(" ", normalise(spaced, self._finder.knows).low)
        for hit in self._finder.find(low):
            named = person and hit.start == 0 and self._name(hit.entry, low[hit.end :])
            if _tells(hit.entry) and not named and hit.entry.word not in self._groups.handles:
                return hit.entry
        runs = low.split()
        for number, run in enumerate(runs):
            for size in range(_SHORTEST - 1, len(run)):
                head, tail = self._ends.get(run[:size]), self._ends.get(run[-size:])
                if head and not self._handle(run, run[:size], head=True):
                    rest = " ".join((run[size:], *runs[1:]))
                    if not (person and number == 0 and self._name(head, rest)):
                        return head
                if tail and not self._handle(run, run[-size:], head=False):
                    return tail
        return None

    def _name(self, entry: Entry, rest: str) -> bool:
        """Whether an entry at the start of an address is somebody's given name: `jordan.smith`."""
        after = rest.split()
        return (
            entry.word in self._groups.given
            and bool(entry.kinds & _PLACES)
            and not (after and after[0] in self._groups.people | self._groups.speech)
        )

    def _handle(self, run: str, word: str, *, head: bool) -> bool:
        names = self._groups.handles
        if head:
            return any(run.startswith(name) and name.startswith(word) for name in names)
        return any(run.endswith(name) and name.endswith(word) for name in names)


def _tells(entry: Entry) -> bool:
    """Whether an entry discloses by itself: a class, a people, or a place outside the United Kingdom."""
    if "misspelt" in entry.flags:
        return False
    if entry.kinds & EntityClass.__members__.keys() or entry.kinds & _PEOPLES:
        return "ambiguous" not in entry.flags
    return bool(entry.kinds & _PLACES) and "uk" not in entry.flags


def _short(word: str, entry: Entry, groups: Groups) -> bool:
    """Whether four letters are enough: a country or nationality that is no common word."""
    known = bool(entry.kinds & {"country", "demonym"}) and word not in groups.lower_ambiguous
    return known and len(word) == _SHORTEST - 1


def _class(entry: Entry) -> EntityClass:
    told = sorted(entry.kinds & EntityClass.__members__.keys())
    if told:
        return EntityClass(told[0])
    return EntityClass.NATIONALITY if entry.kinds & _PEOPLES else EntityClass.COUNTRY_OF_ORIGIN
