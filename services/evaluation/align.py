"""Which characters of the input a redacted text hides."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.kernel.mask import TOKEN

Range = tuple[int, int]
_ARTICLE = re.compile(r"\b[Aa] \Z")


def hidden(text: str, redacted: str, found: Sequence[Range] = ()) -> list[Range]:
    """For each token in `redacted`, in order, the characters of `text` that it stands for.

    What stands between the tokens was kept as it came, but for `an`, which became `a` before a token. It is laid
    over `text` from left to right. `found` are characters of `text` known to be hidden (what the detector found
    before masks grew); they decide where kept words occur twice.

    Raises:
        ValueError: `redacted` did not come from `text`.
    """
    first, *middle = redacted.split(TOKEN)
    if not middle:
        if text != redacted:
            raise ValueError("the redacted text has no token and differs from its input")
        return []
    last = middle.pop()
    opening = _pattern(first).match(text)
    until = len(text) - len(last)
    if opening is None or not text.endswith(last):
        raise ValueError("the redacted text does not begin or end like its input")
    ranges: list[Range] = []
    at = opening.end()
    for piece in middle:
        start, end = _next(_pattern(piece), text, at + 1, until, found)
        ranges.append((at, start))
        at = end
    if at >= until:
        raise ValueError("the redacted text keeps more than its input has")
    return [*ranges, (at, until)]


def _pattern(piece: str) -> re.Pattern[str]:
    """The kept piece as it stands in the input, where a closing `a ` may be the `a` of `an `. Group 1 is all before."""
    if _ARTICLE.search(piece):
        return re.compile(f"({re.escape(piece[:-2])}){piece[-2]}(?: |(?=[nN]\\s))")
    return re.compile(f"({re.escape(piece)})")


def _next(pattern: re.Pattern[str], text: str, at: int, until: int, found: Sequence[Range]) -> Range:
    """The first place from `at` on where the kept piece stands clear of everything found."""
    while match := pattern.search(text, at, until):
        if not any(start < match.end(1) and match.start() < end for start, end in found):
            return match.span()
        at = match.start() + 1
    raise ValueError("a piece of the redacted text is not in its input")
