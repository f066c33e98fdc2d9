"""A name field that holds more than a name: `Ali - Syria`, `Ali PAK`."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"[^\W\d_]+")
_MARKS = '()[]{}<>|/\\;:=*+~_"&@'
_DASHES = "-\N{EN DASH}\N{EM DASH}"


def set_apart(text: str, start: int, end: int) -> bool:
    """Whether a mark stands between the words at `start:end` and the name beside them.

    A hyphen within a name (`Smith-French`) and the comma after a surname that comes first do not count.
    """
    before, after = text[:start].rstrip(), text[end:].lstrip()
    left, right = before[-1:], after[:1]
    if (left and left in _MARKS) or (right and right in _MARKS) or left == "," or (right == "," and before):
        return True
    spaced_left = before != text[:start] or before[-2:-1].isspace() or len(before) == 1
    spaced_right = after != text[end:] or after[1:2].isspace() or len(after) == 1
    return (left != "" and left in _DASHES and spaced_left) or (right != "" and right in _DASHES and spaced_right)


def codes(text: str, known: frozenset[str], names: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Places of `known` codes of countries in capitals beside a name.

    One of three letters anywhere, one of two at the end, either set apart. Where all is in capitals, only at the
    end, and not where the code is in `names`.
    """
    words = list(_WORD.finditer(text))
    capitals = text.isupper()
    for number, word in enumerate(words):
        code = word.group().lower()
        if len(words) < 2 or code not in known or not word.group().isupper():
            continue
        last = number == len(words) - 1
        beside = last and code not in names if capitals else last or len(code) == 3
        if beside or set_apart(text, *word.span()):
            yield word.span()
