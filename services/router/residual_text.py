"""Folding of text for the residual scan, with a way back to the offsets of the original."""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

#: Letters of other scripts that look like Latin ones, and marks that stand for ASCII ones.
_LOOKALIKE = str.maketrans(
    dict(
        zip(
            "аеорсухіјѕԁһӏкмтвнԛԝցοαερνικτυχηγωøłđð’‘ʼ`´‐‑‒–—−⁄",
            "aeopcyxijsdhlkmtbhqwgoaepviktyxnywoldd'''''------/",
            strict=True,
        )
    )
    | {"ß": "ss", "þ": "th", "æ": "ae", "œ": "oe"}
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,24});")
_ESCAPES = re.compile(r"(?:(?:\\u|%u)[0-9a-fA-F]{4})+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_SPACED = re.compile(r"(?<![a-z0-9])[a-z](?:[ ._\-*/|]{1,2}[a-z]){2,}(?![a-z0-9])")
_PERCENT = re.compile(r"\S*%[0-9A-Fa-f]{2}\S*")
#: Twelve bytes in base64: shorter ones are words.
_SHORTEST = 16
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}={0,2}")


class Folded:
    """Folded text; `span` maps its offsets to those of `source`."""

    __slots__ = ("_map", "source", "text")

    def __init__(self, source: str, text: str, mapping: list[int] | None) -> None:
        self.source = source
        self.text = text
        self._map = mapping

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the source of the folded characters from `start` to `end`."""
        if self._map is None:
            return start, end
        last = self._map[end] if end < len(self._map) else len(self.source)
        first = self._map[start]
        return first, max(last, first + 1) if last > first else first + 1


def fold(source: str) -> Folded:
    """Lower case, compatibility forms, no accents, no invisible characters, look-alikes as Latin letters.

    Where the text is plain ASCII without entities the offsets are the same and nothing is mapped.
    """
    if source.isascii() and "&" not in source:
        return Folded(source, source.lower(), None)
    letters: list[str] = []
    mapping: list[int] = []
    for start, piece in _pieces(source):
        for char in unicodedata.normalize("NFKD", piece).casefold().translate(_LOOKALIKE):
            category = unicodedata.category(char)
            if category in ("Mn", "Me", "Cf", "Cc") and char not in "\n\t\r":
                continue
            letters.append(" " if category == "Zs" else char)
            mapping.append(start)
    return Folded(source, "".join(letters), mapping)


def _pieces(source: str) -> Iterator[tuple[int, str]]:
    """Each character, or character reference as what it stands for, with its offset."""
    at = 0
    for entity in _ENTITY.finditer(source):
        yield from enumerate(source[at : entity.start()], at)
        decoded = html.unescape(entity.group())
        if decoded == entity.group():
            yield from enumerate(decoded, entity.start())
        else:
            yield entity.start(), decoded
        at = entity.end()
    yield from enumerate(source[at:], at)


def other_script(source: str) -> bool:
    """Whether a word is written in letters of which none is Latin, also as character references or escapes."""
    if source.isascii() and not any(mark in source for mark in ("&", "%", "\\u")):
        return False
    text = _ESCAPES.sub(lambda found: re.sub(r"[\\%]u(....)", lambda unit: chr(int(unit[1], 16)), found[0]), source)
    text = unicodedata.normalize("NFKC", unquote(html.unescape(text)))
    return any(not any(map(_latin, word)) for word in _WORD.findall(text))


def _latin(char: str) -> bool:
    return char < "\u0250" or unicodedata.name(char, "").startswith("LATIN")


def spaced_words(text: str) -> Iterator[tuple[str, int, int]]:
    """Words written letter by letter (n r p f, i.l.r.) joined, with their offsets in folded text."""
    for found in _SPACED.finditer(text):
        yield re.sub(r"[^a-z]", "", found.group()), found.start(), found.end()


def encoded_parts(source: str) -> Iterator[tuple[int, int, str]]:
    """What percent-encoding or base64 in `source` stands for, where it is text."""
    if "%" in source:
        for found in _PERCENT.finditer(source):
            decoded = unquote(found.group())
            if decoded != found.group():
                yield found.start(), found.end(), decoded
    if not any(len(word) >= _SHORTEST for word in source.split()):
        return
    for found in _BASE64.finditer(source):
        body = found.group().rstrip("=").replace("-", "+").replace("_", "/")
        try:
            decoded = base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            continue
        if decoded.isprintable():
            yield found.start(), found.end(), decoded
