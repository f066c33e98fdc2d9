"""Whether the local part of an e-mail address gives away. Such an address is left out; its record is not withheld.

The words stand apart (`polish_girl`, `PolishGirl`) or run together (`leilasyria`). A run is read at its two ends,
where people put such a word; in the middle of a name it means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from services.router.residual import Lexicon, static_lexicon
from services.router.residual_patterns import says_who
from services.router.residual_text import encoded_parts, fold
from services.router.residual_words import Words, load_words

_JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z]+")
#: A shorter word begins or ends many a name; of countries and peoples four letters are enough.
_SHORTEST = 5
_NAMED = frozenset({"country", "place"})
_SHORT = frozenset({"country", "people"})


class ContactWords:
    """The router's own lists, as an address would hold them."""

    def __init__(self, lexicon: Lexicon, words: Words) -> None:
        self._lexicon = lexicon
        self._given, self._names = words.given, words.run_names
        joined = ((re.sub("[^a-z]", "", term.text), term) for term in lexicon.terms)
        self._ends = {
            word: term.kind
            for word, term in joined
            if len(word) >= _SHORTEST or (len(word) == _SHORTEST - 1 and term.kind in _SHORT and term.mode != "cased")
        }

    def gives_away(self, local: str) -> bool:
        """Whether `local`, the part of an address before its @, does.

        1. As words of a text, also encoded ones; a given name that is a place too (`jordan.smith`) may stand first.
        2. Each run of letters at its ends.
        """
        spaced = " ".join(_JOINT.split(local)).strip()
        folded = fold(spaced)
        runs = folded.text.split()
        for hit in self._lexicon.hits(folded):  # 1
            if hit.start or hit.never or not self._name(runs, hit.what):
                return True
        if any(self.gives_away(inner) for _, _, inner in encoded_parts(local)):
            return True
        for number, run in enumerate(runs):  # 2
            for word, kind in self._at_ends(run):
                split = [word, run[len(word) :], *runs[1:]]
                if number or not run.startswith(word) or not self._name(split, kind):
                    return True
        return False

    def _name(self, runs: list[str], kind: str) -> bool:
        """Whether the first word is a given name that is a place too, with nothing said of a person after it."""
        word = runs[0]
        return kind in _NAMED and word in self._given and not says_who(" ".join(runs), 0, len(word))

    def _at_ends(self, run: str) -> Iterator[tuple[str, str]]:
        """Words with their class with which a longer run begins or ends, unless they are part of a name there."""
        for size in range(_SHORTEST - 1, len(run)):
            head, tail = run[:size], run[-size:]
            if head in self._ends and not any(run.startswith(n) and n.startswith(head) for n in self._names):
                yield head, self._ends[head]
            if tail in self._ends and not any(run.endswith(n) and n.endswith(tail) for n in self._names):
                yield tail, self._ends[tail]


@lru_cache(maxsize=1)
def contact_words() -> ContactWords:
    """The lists, read once."""
    return ContactWords(static_lexicon(), load_words())
