"""What a name field holds beside the name: a word behind a mark, a code of a country in capitals."""

from __future__ import annotations

import re
import unicodedata

from services.router.residual_words import Words

_BEFORE = re.compile(r"[^\w\s.'’-]\s*\Z|(?:\A|\s)[-–—]\s*\Z|[-–—]\s+\Z|_\s*\Z")
_AFTER = re.compile(r"\s*[^\w\s.,'’-]|\s*[-–—](?:\s|\Z)|\s+[-–—]|\s*_")
_COMMA_AFTER = re.compile(r"\s*,")
_TOKEN = re.compile(r"(?<![^\W\d_])[^\W\d_]+")


def set_apart(text: str, start: int, end: int) -> bool:
    """Whether the words at `start:end` are divided from the name by more than a space or a hyphen within it.

    The comma after a surname that stands first (`Ireland, Paul`) divides nothing.
    """
    first = not text[:start].strip()
    if _BEFORE.search(text[:start]) or _AFTER.match(text, end):
        return True
    return not first and _COMMA_AFTER.match(text, end) is not None


def has_code(text: str, words: Words) -> bool:
    """Whether a code of a country stands beside a name: at its end, set apart, or three letters in capitals.

    In a text of capitals one counts at the end only, unless it is a name itself (`AMY MA`).
    """
    plain = unicodedata.normalize("NFKC", text)
    found = list(_TOKEN.finditer(plain))
    if len(found) < 2:
        return False
    shouted = plain == plain.upper()
    for token in found:
        code = token.group()
        if code != code.upper() or code.lower() not in words.codes:
            continue
        if set_apart(plain, *token.span()):
            return True
        if shouted:
            if token is found[-1] and code.lower() not in words.code_names:
                return True
        elif token is found[-1] or len(code) == 3:
            return True
    return False
