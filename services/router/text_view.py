"""Free text as partners see it: without masks, so that neither their number nor their place tells anything.

A mask that shows tells by itself: foreign victims' texts have more of them than British ones'. So masks are taken
out together with the commas, brackets and quotes around them. Of a sentence of which too little is left ("she is")
only the clauses stay that held no mask ("knife in the car").
"""

from __future__ import annotations

import re
from typing import NamedTuple

from services.kernel.mask import TOKEN

#: What is left of a sentence stays when it has more words than this: "he said he would if she rang the police".
_FEWEST = 6
_CLAUSE = re.compile(r"(?<=[,;])\s+|\s+[–-]\s+")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\s*\n\s*")
_MASK = re.compile(r"[\s,:(\[\"'&/–-]*" + re.escape(TOKEN) + r"(?:[\s,)\]\"'&/–-]|" + re.escape(TOKEN) + ")*")
_SPACE = re.compile(r"\s+(?=[.!?;,])")
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
            pieces = [_SPACE.sub("", piece).strip() for piece in _MASK.split(sentence)]
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
