"""Free text as partners see it: without masks, so that neither their number nor their place tells anything.

A mask that shows tells by itself: foreign victims' texts have more of them than British ones'. So masks are taken
out together with the commas, brackets and quotes around them. Of a sentence of which too little is left ("she is")
only the clauses stay that held no mask ("knife in the car").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from services.kernel.mask import TOKEN

#: What is left of a sentence stays when it has more words than this: "he said he would if she rang the police".
_FEWEST = 6
#: A run of blanks is looked at from its beginning alone: from each of them, a long run would take time by its square.
_CLAUSE = re.compile(r"(?<=[,;])\s+|(?<!\s)\s+[–-]\s+")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(?<!\s)\s*\n\s*")
_SPACE = re.compile(r"(?<!\s)\s+(?=[.!?;,])")
#: Taken out with a mask, beside blanks: what stands before it, and what behind.
_BEFORE, _BEHIND = frozenset(",:([\"'&/–-"), frozenset(",)]\"'&/–-")
_WORD = re.compile(r"\w+")


class Shortened(NamedTuple):
    """A text without masks, and the places in it at which something was taken out."""

    text: str
    joins: tuple[int, ...]


def shorten(text: str) -> Shortened:
    """Take every mask out of a redacted text.

    1. Cut the text into sentences and lines; those without a mask stay as they are.
    2. From the others take each mask with the marks around it; where six words or fewer are left, keep whole clauses.
    3. Put a space between sentences and remember where something is missing.
    """
    if TOKEN not in text:
        return Shortened(text, ())
    parts: list[str] = []
    joins: list[int] = []
    length, missing = 0, False
    for sentence in _SENTENCE.split(text):  # 1
        pieces = [sentence] if sentence else []
        if TOKEN in sentence:  # 2
            pieces = [_SPACE.sub("", piece).strip() for piece in _between_masks(sentence)]
            pieces = [piece for piece in pieces if piece]
            if sum(len(_WORD.findall(piece)) for piece in pieces) <= _FEWEST:
                clauses = [clause.rstrip(",;.!?") for clause in _CLAUSE.split(sentence) if TOKEN not in clause]
                pieces = [f"{clause}." for clause in clauses if len(_WORD.findall(clause)) > 1]
                missing = True
            missing = missing or sentence.startswith(TOKEN)
        for number, piece in enumerate(pieces):  # 3
            stop = piece[0] in ".!?;"
            if number or missing:
                joins.append(length)
            if parts and not stop:
                parts.append(" ")
                length += 1
            parts.append(piece)
            length += len(piece)
            missing = False
        missing = missing or sentence.endswith(TOKEN)
    return Shortened("".join(parts), tuple(joins))


def _between_masks(sentence: str) -> Iterator[str]:
    """What stands before, between and behind the masks, without the marks around them."""
    pieces = sentence.split(TOKEN)
    for number, piece in enumerate(pieces):
        begins, ends = 0, len(piece)
        while number and begins < ends and (piece[begins].isspace() or piece[begins] in _BEHIND):
            begins += 1
        while number < len(pieces) - 1 and begins < ends and (piece[ends - 1].isspace() or piece[ends - 1] in _BEFORE):
            ends -= 1
        yield piece[begins:ends]
