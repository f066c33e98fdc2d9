"""The lexicon: data files beside the code, found in a text in one pass."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ahocorasick_rs

from services.kernel.errors import ConfigError

FOLDER = Path(__file__).parent / "lexicon"
FILES = ("countries", "demonyms", "peoples", "languages", "cities", "codes", "terms")
_SPELT = {"country", "demonym", "city", "people", "language"}
_SPACES = re.compile("  +")


class _Separators(dict[int, str]):
    """What is neither letter nor digit, in any script, stands between words: marks, symbols, emoji, lost characters."""

    def __missing__(self, code: int) -> str:
        self[code] = found = chr(code) if chr(code).isalnum() else " "
        return found


_TABLE = _Separators()


@dataclass(frozen=True, slots=True)
class Entry:
    """A word or phrase (lower-case, single spaces) with all it can be, over all files."""

    word: str
    kinds: frozenset[str]
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry at `start:end` of the scanned text."""

    start: int
    end: int
    entry: Entry


def read(folder: Path = FOLDER) -> list[Entry]:
    """Read the lexicon files; raises ConfigError listing every faulty line."""
    kinds: dict[str, set[str]] = {}
    flags: dict[str, set[str]] = {}
    faults: list[str] = []
    for name in FILES:
        path = folder / f"{name}.tsv"
        if not path.is_file():
            faults.append(f"lexicon file `{name}.tsv` is missing")
            continue
        rows = [line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
        for number, row in enumerate(rows[1:], start=2):
            cells = row.split("\t")
            if len(cells) != 3 or not cells[0] or not re.fullmatch(r"[a-z0-9]+(?: [a-z0-9]+)*", cells[0]):
                faults.append(f"lexicon file `{name}.tsv`, row {number}: want `word<TAB>kind<TAB>flags`")
                continue
            kinds.setdefault(cells[0], set()).add(cells[1])
            flags.setdefault(cells[0], set()).update(flag for flag in cells[2].split(",") if flag)
    if faults:
        raise ConfigError("the lexicon cannot be read", faults)
    return [Entry(word, frozenset(kinds[word]), frozenset(flags[word])) for word in sorted(kinds)]


def misspelt(entries: Iterable[Entry], spared: frozenset[str], shortest: int = 7) -> list[Entry]:
    """Slips of the pen in names of places, nationalities and languages, after the first letter.

    A letter lost, doubled or swapped with the next, or a vowel taken for another. Nationalities are short: from five
    letters on two may be swapped, from six on a vowel lost, which makes no other word.

    `spared` holds names and words that such a slip would make.
    """
    real = list(entries)
    taken = {entry.word for entry in real} | spared
    made: dict[str, Entry] = {}
    for entry in real:
        word = entry.word
        if " " in word or not entry.kinds & _SPELT or entry.flags & {"uk", "weak"}:
            continue
        swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(1, len(word) - 1)}
        if len(word) < shortest:
            if "demonym" not in entry.kinds or len(word) < 5:
                continue
            lost = {word[:i] + word[i + 1 :] for i in range(1, len(word) - 1) if len(word) > 5 and word[i] in "aeiou"}
            for form in (swapped | lost) - taken:
                made.setdefault(form, Entry(form, entry.kinds, entry.flags | {"misspelt"}))
            continue
        forms = {word[:i] + word[i + 1 :] for i in range(1, len(word) - 1)}
        forms |= {word[:i] + word[i] + word[i:] for i in range(1, len(word))}
        forms |= swapped
        forms |= {
            word[:i] + vowel + word[i + 1 :] for i in range(1, len(word)) if word[i] in "aeiou" for vowel in "aeiouy"
        }
        for form in forms - taken:
            made.setdefault(form, Entry(form, entry.kinds, entry.flags | {"misspelt"}))
    return list(made.values())


def broken(entries: Iterable[Entry], spared: frozenset[str], shortest: int = 6) -> list[Entry]:
    """Words broken in two (`Niger ian`, over a line end too) and phrases run together (`leavetoremain`).

    `spared` holds breaks that make two ordinary words, written `man_ila`.
    """
    real = list(entries)
    taken = {entry.word for entry in real}
    made: dict[str, Entry] = {}
    for entry in real:
        word = entry.word
        if entry.kinds == {"code"} or entry.flags & {"uk", "weak", "word"} or "misspelt" in entry.flags:
            continue
        if " " in word:
            forms = {word.replace(" ", "")} if len(word) > 7 else set()
        elif len(word) >= shortest:
            forms = {f"{word[:i]} {word[i:]}" for i in range(2, len(word) - 1)}
        else:
            continue
        for form in forms - taken:
            if form.replace(" ", "_") not in spared:
                made.setdefault(form, Entry(form, entry.kinds, entry.flags | {"misspelt"}))
    return list(made.values())


class Finder:
    """Finds entries at word boundaries; separators of any sort and number count as one space."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)
        singles = {entry.word for entry in self.entries if " " not in entry.word}
        parts = {part for entry in self.entries if "misspelt" not in entry.flags for part in entry.word.split()}
        self.singles = frozenset(singles | {part for part in parts if len(part) > 3})
        self._automaton = ahocorasick_rs.AhoCorasick([f" {entry.word} " for entry in self.entries])

    def knows(self, word: str) -> bool:
        """Whether `word` is an entry, or one of the words of a longer entry."""
        return word in self.singles

    def find(self, low: str) -> Iterator[Hit]:
        """All entries in `low` (lower-case), overlapping ones too, in order of their end."""
        canon = f" {low.translate(_TABLE)} "
        cuts: list[int] = []
        lost: list[int] = []
        if "  " in canon:
            pieces: list[str] = []
            at = gone = 0
            for run in _SPACES.finditer(canon):
                pieces.append(canon[at : run.start() + 1])
                at = run.end()
                gone += run.end() - run.start() - 1
                cuts.append(run.end() - gone)
                lost.append(gone)
            pieces.append(canon[at:])
            canon = "".join(pieces)
        for index, start, end in self._automaton.find_matches_as_indexes(canon, overlapping=True):
            first, last = start + 1, end - 2
            if cuts:
                head, tail = bisect_right(cuts, first), bisect_right(cuts, last)
                first += lost[head - 1] if head else 0
                last += lost[tail - 1] if tail else 0
            yield Hit(first - 1, last, self.entries[index])
