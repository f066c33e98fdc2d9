"""Phrases: wordings as people would write them down, compiled to one pattern over the text.

A phrase is read word by word: `sorted` is this word, `HIS` a word of the class, `..3` up to three words of the same
sentence, `(a b | c)` either, `x?` or not. Triggers are found by themselves: of each phrase the rarest word that must
stand in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_PART = re.compile(r"\s*(?:(\.\.\d{1,2})|([A-Z][A-Z_]*|[a-z0-9'£]+(?:[-/][a-z0-9]+)*)|([()|?]))")
_BETWEEN = r"[\s,;:()\"/-]{1,3}"
_WORD = r"[^\s.!?,;:]+"
#: Words of nearly every text: poor grounds to try a phrase.
_COMMON_WORDS = """
a an and as at be been but by can for from get go going got had has have he her here him his i if in is it its me my no
not of off on one or our out over says she so that the their them then there they this to told too up us was we were
what when will with would you your 'll 's im i'm back now still only ever since are
"""
_COMMON = frozenset(_COMMON_WORDS.split())

Node = tuple[str, list[frozenset[str]]]


def compile_phrases(phrases: Iterable[str], classes: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """One regular expression (PCRE2, for lower-case text) of all phrases, and the words that trigger it.

    Raises:
        ValueError: a phrase that cannot be read, or in which no rare word must stand.
        KeyError: a class that is not defined.
    """
    patterns: list[str] = []
    triggers: set[str] = set()
    for phrase in phrases:
        parts = list(_parts(phrase))
        regex, needs = _either(parts, classes)
        if parts:
            raise ValueError(f"`{phrase}` has a `)` too many")
        if not needs:
            raise ValueError(f"`{phrase}` has no word that must be there")
        triggers |= min(needs, key=lambda words: len(words) + 20 * len(words & _COMMON))
        patterns.append(regex)
    return rf"(?<![\w'])(?:{'|'.join(patterns)})(?!\w)", frozenset(triggers)


def _either(parts: list[str], classes: Mapping[str, str]) -> Node:
    branches = [_sequence(parts, classes)]
    while parts and parts[0] == "|":
        parts.pop(0)
        branches.append(_sequence(parts, classes))
    if len(branches) == 1:
        return branches[0]
    needs = [min(found, key=len) for _, found in branches if found]
    joined = [frozenset().union(*needs)] if len(needs) == len(branches) else []
    return "(?:" + "|".join(regex for regex, _ in branches) + ")", joined


def _sequence(parts: list[str], classes: Mapping[str, str]) -> Node:
    regex, needs, started = "", [], False
    while parts and parts[0] not in ("|", ")"):
        part = parts.pop(0)
        if part.startswith(".."):
            regex += f"(?:{_BETWEEN}{_WORD}){{0,{part[2:]}}}?"
            continue
        if part == "(":
            inner, found = _either(parts, classes)
            if not parts or parts.pop(0) != ")":
                raise ValueError("a `(` is not closed")
            inner = f"(?:{inner})"
        elif part in ")|?":
            raise ValueError(f"`{part}` stands where a word is wanted")
        else:
            words = frozenset(classes[part].split() if part[0].isupper() else [part])
            inner, found = f"(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})", [words]
        optional = bool(parts) and parts[0] == "?"
        if optional:
            parts.pop(0)
        if not started:
            regex += f"(?:{inner}{_BETWEEN})?" if optional else inner
            started = not optional
        else:
            regex += f"(?:{_BETWEEN}{inner})?" if optional else f"{_BETWEEN}{inner}"
        needs += [] if optional else found
    return regex, needs


def _parts(text: str) -> list[str]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        if not (match := _PART.match(text, at)):
            raise ValueError(f"`{text[at:]}` is no part of a phrase")
        at = match.end()
        found.append(match[1] or match[2] or match[3])
    return found
