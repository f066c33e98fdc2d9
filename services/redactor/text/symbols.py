"""A small language of word patterns, compiled to regular expressions over one symbol for each word.

A pattern is read word by word:

- `kill`, `'ll`, `£`: this word; `KILL`: a word of the class, or the pattern of that name
- `..4`: up to four words of the same sentence; `--4`: of the same clause, so no comma and no word of `CLAUSE`
- `(a b | c)`: either; `x?`: or not; `!(a b)`: what follows is not that
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat

OTHER, COMMA, END = "_", ",", "."
_FIRST_SYMBOL = 0x100
#: Sets of symbols that are asked for before a pattern is tried.
_NEEDS = 3
_FIXED = {",": COMMA, ".": END}
_TYPOGRAPHY = (
    ("\u2018", "'"), ("\u2019", "'"), ("\u201c", '"'), ("\u201d", '"'), ("\u2013", "-"), ("\u2014", "-"),
    ("\u2026", "."), ("\u200b", ""), ("\u00ad", ""), ("\u00a0", " "),
)  # fmt: skip
#: Makes words, commas and ends of sentences stand alone. In order: `'s` and quotation marks go, `'ll` is a word.
_SPACED = (
    (".", " . "), ("!", " . "), ("?", " . "), (";", " . "), ("\n\n", " . "), (",", " , "), ("\u00a3", " \u00a3 "),
    ('"', " "), ("(", " "), (")", " "), (":", " "), ("/", " "), ("-", " "), ("'s ", " "), (" '", " "), ("' ", " "),
    ("'", " '"),
)  # fmt: skip
_PART = re.compile(r"\s*(?:((?:\.\.|--)\d{1,2})|([A-Z][A-Z_]*|'?[a-z]+|£)|(!\(|[()|?]))")


class Symbols(dict[str, str]):
    """Word → symbol; words that are not in it share the symbol `OTHER`."""

    def line(self, low: str) -> str:
        """One symbol for each word, comma and end of sentence of a lower-case text."""
        if not low.isascii():
            for old, new in _TYPOGRAPHY:
                low = low.replace(old, new)
        for old, new in _SPACED:
            low = low.replace(old, new)
        return "".join(map(self.get, low.split(), repeat(OTHER)))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern, and the sets of symbols of each of which a line must have one; the rarest set first."""

    find: re.Pattern[str]
    needs: tuple[frozenset[str], ...]


@dataclass(slots=True)
class _Node:
    """Part of a pattern: its regular expression, and sets of words of each of which it needs one."""

    regex: str
    needs: list[frozenset[str]] = field(default_factory=list)


class Grammar:
    """The classes of words and the named patterns that patterns are made of."""

    def __init__(
        self, *, words: Mapping[str, str], phrases: Mapping[str, str], patterns: Iterable[str],
        frequent: str, common: str,
    ) -> None:  # fmt: skip
        """`patterns` are all that will be compiled: each word that they name gets a symbol.

        `frequent` and `common` list words that stand in nearly all and in many texts: poor grounds to try a pattern.
        """
        self._phrases = phrases
        self._weight = dict.fromkeys(common.split(), 20) | dict.fromkeys(frequent.split(), 400)
        self._classes = {name: frozenset(_members(name, words)) for name in words}
        named = {part for text in (*patterns, *phrases.values()) for part in _words(text)}
        classes_of = {word: [word] for word in named}
        for name, members in self._classes.items():
            for word in members:
                classes_of.setdefault(word, []).append(name)
        self.symbols = Symbols(_FIXED)
        groups: dict[tuple[str, ...], str] = {}
        for word in sorted(classes_of):
            if word not in _FIXED:
                self.symbols[word] = groups.setdefault(tuple(classes_of[word]), chr(_FIRST_SYMBOL + len(groups)))

    def compile(self, text: str) -> Pattern:
        """Raises ValueError for a text that is no pattern, KeyError for a class that is not defined."""
        parts = list(_parts(text))
        node = self._either(parts)
        if parts:
            raise ValueError(f"`{text}` has a `)` too many")
        if not node.needs:
            raise ValueError(f"`{text}` has no word that must be there")
        needs = sorted(node.needs, key=self._cost)[:_NEEDS]
        return Pattern(re.compile(node.regex), tuple(frozenset(map(self.symbols.__getitem__, part)) for part in needs))

    def _either(self, parts: list[str]) -> _Node:
        branches = [self._sequence(parts)]
        while parts and parts[0] == "|":
            parts.pop(0)
            branches.append(self._sequence(parts))
        if len(branches) == 1:
            return branches[0]
        regex = "(?:" + "|".join(branch.regex for branch in branches) + ")"
        best = [min(branch.needs, key=self._cost) for branch in branches if branch.needs]
        return _Node(regex, [frozenset().union(*best)] if len(best) == len(branches) else [])

    def _sequence(self, parts: list[str]) -> _Node:
        done = _Node("")
        while parts and parts[0] not in ("|", ")"):
            node = self._atom(parts)
            if parts and parts[0] == "?":
                parts.pop(0)
                node = _Node(f"(?:{node.regex})?")
            done.regex += node.regex
            done.needs += node.needs
        return done

    def _atom(self, parts: list[str]) -> _Node:
        part = parts.pop(0)
        if part[:2] in ("..", "--"):
            stops = END if part[0] == "." else END + COMMA + self._set("CLAUSE")
            return _Node(f"[^{stops}]{{0,{part[2:]}}}?")
        if part in ("(", "!("):
            node = self._either(parts)
            if not parts or parts.pop(0) != ")":
                raise ValueError("a `(` is not closed")
            return _Node(f"(?:{node.regex})", node.needs) if part == "(" else _Node(f"(?!{node.regex})")
        if part == "?":
            raise ValueError("`?` follows nothing")
        if part in self._phrases:
            node = self._either(inner := list(_parts(self._phrases[part])))
            if inner:
                raise ValueError(f"`{part}` has a `)` too many")
            return _Node(f"(?:{node.regex})", node.needs)
        members = self._classes[part] if part[0].isupper() else frozenset({part})
        return _Node(f"[{self._set(part)}]", [members])

    def _set(self, part: str) -> str:
        members = self._classes[part] if part[0].isupper() else {part}
        return "".join(sorted({self.symbols[word] for word in members}))

    def _cost(self, words: frozenset[str]) -> int:
        return sum(self._weight.get(word, 1) for word in words)


def _parts(text: str) -> Iterator[str]:
    at = 0
    text = text.strip()
    while at < len(text):
        if not (found := _PART.match(text, at)):
            raise ValueError(f"`{text[at:]}` is no part of a pattern")
        at = found.end()
        yield found[1] or found[2] or found[3]


def _words(text: str) -> Iterator[str]:
    return (part for part in _parts(text) if part[0] in "'£" or part[0].islower())


def _members(name: str, words: Mapping[str, str]) -> Iterator[str]:
    """The words of a class, those of the classes that it names included."""
    for word in words[name].split():
        if word[0].isupper():
            yield from _members(word, words)
        else:
            yield word
