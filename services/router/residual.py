"""The last look at what would leave: a plain word list, written apart from the redactor's detector.

It knows no context but a few patterns that nothing explains away, and it trusts the redactor's vouchers
only where its own small check agrees. The result is a count; what was found where is sealed detail.
"""

from __future__ import annotations

import csv
import functools
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, MatchKind

from services.kernel.errors import ConfigError
from services.kernel.vocabulary import Tag
from services.router import residual_patterns as patterns
from services.router.residual_names import has_code
from services.router.residual_text import Folded, encoded_parts, fold, other_script, spaced_words
from services.router.residual_vouchers import Confirmer
from services.router.residual_words import load_words
from services.router.text_view import Shortened

_LEXICON = Path(__file__).with_name("residual_lexicon.tsv")
_MODES = frozenset({"plain", "cased", "never"})
_COLUMNS = ["term", "class", "mode", "source"]
#: Classes of which a word before "national", or after "she is", says who somebody is.
_OF_PEOPLE = frozenset({"people", "language"})
_DEPTH = 2
#: Elsewhere (contact, time, patterned codes) a run of digits is what the field is for.
_OF_WORDS = frozenset({Tag.FREE_TEXT, Tag.NAME, Tag.ADDRESS})


class Leaf(NamedTuple):
    """Words that would leave: the pointer of their source in the redacted record, the text, its tag.

    `seen` is the text as it leaves, where masks were taken out of it.
    """

    pointer: str
    text: str
    tag: Tag
    seen: Shortened = Shortened("", ())


class Hit(NamedTuple):
    """A place that gives away; `what` is a class of the lexicon or the name of a pattern."""

    start: int
    end: int
    what: str
    never: bool


class Find(NamedTuple):
    """One entry of the sealed detail: no words, only where and why."""

    pointer: str
    start: int
    end: int
    why: str


class Term(NamedTuple):
    """One line of the word list."""

    text: str
    kind: str
    mode: str
    prefix: bool


class Lexicon:
    """The compiled word list."""

    def __init__(self, terms: Sequence[Term], *, digest: str) -> None:
        self.terms = terms
        self._automaton = AhoCorasick([term.text for term in terms], matchkind=MatchKind.Standard)
        self._exact = {term.text: term for term in terms}
        self.digest = digest

    def hits(self, folded: Folded) -> list[Hit]:
        """Every hit of the list and of the patterns, offsets in the unfolded text."""
        text = folded.text
        found: list[Hit] = []
        for index, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            term = self.terms[index]
            if start and text[start - 1].isalnum():
                continue
            if not term.prefix and end < len(text) and text[end].isalnum():
                continue
            source_start, source_end = folded.span(start, end)
            if term.mode == "cased" and not folded.source[source_start].isupper():
                continue
            never = term.mode == "never" or (term.kind in _OF_PEOPLE and patterns.says_who(text, start, end))
            found.append(Hit(source_start, source_end, term.kind, never))
        for what, start, end in patterns.search(text, folded.source, folded.span):
            found.append(Hit(start, end, what, True))
        for word, start, end in spaced_words(text):
            if word in self._exact or any(len(t.text) > 4 and word.startswith(t.text) for t in self._of(word)):
                found.append(Hit(*folded.span(start, end), "spaced", True))
        return found

    def _of(self, word: str) -> Iterable[Term]:
        return (self.terms[index] for index, start, _ in self._automaton.find_matches_as_indexes(word) if start == 0)


class Vouchers:
    """A record's vouchers by the pointer of the leaf that they speak of."""

    def __init__(self, vouchers: Iterable[tuple[str, int, int, str]]) -> None:
        self._by_pointer: dict[str, list[tuple[int, int, str]]] = {}
        for pointer, start, end, reason in vouchers:
            self._by_pointer.setdefault(pointer, []).append((start, end, reason))

    def of(self, pointer: str) -> list[tuple[int, int, str]]:
        """(start, end, reason) of each voucher for the leaf at `pointer`."""
        return self._by_pointer.get(pointer, [])


class Residual:
    """Scans the leaves of the views of one record."""

    def __init__(self, lexicon: Lexicon, confirmer: Confirmer) -> None:
        self._lexicon = lexicon
        self._words = confirmer.words
        self._confirm = confirmer.confirm
        self.digest = hashlib.sha256(f"{lexicon.digest}/{confirmer.digest}".encode()).hexdigest()[:16]

    def scan(self, leaves: Iterable[Leaf], vouchers: Vouchers) -> list[Find]:
        """What would give away, over all `leaves`; empty is the only answer with which anything may leave.

        1. A hit that no voucher covers.
        2. A voucher whose reason this file's own check does not confirm.
        3. A hit that no voucher may explain.
        4. A hit that came about where something was taken out.
        """
        finds: list[Find] = []
        for leaf in leaves:
            finds += self._joined(leaf)  # 4
            given = vouchers.of(leaf.pointer)
            hits = self._hits(leaf)
            if not hits and not given:
                continue
            held = [v for v in given if self._confirm(leaf.text, v[0], v[1], v[2], leaf.tag)]
            finds += [Find(leaf.pointer, v[0], v[1], "voucher") for v in given if v not in held]  # 2
            for hit in hits:
                if hit.never:  # 3
                    finds.append(Find(leaf.pointer, hit.start, hit.end, f"never:{hit.what}"))
                elif not any(start <= hit.start and hit.end <= end for start, end, _ in held):  # 1
                    finds.append(Find(leaf.pointer, hit.start, hit.end, hit.what))
        return finds

    def _joined(self, leaf: Leaf) -> Iterable[Find]:
        """Hits over a place at which something was taken out: `leave [removed] to remain`."""
        text, joins = leaf.seen
        if joins:
            for hit in self._lexicon.hits(fold(text)):
                if any(hit.start < join < hit.end for join in joins):
                    yield Find(leaf.pointer, hit.start, hit.end, "joined")

    def _hits(self, leaf: Leaf, depth: int = _DEPTH) -> list[Hit]:
        """Hits of a leaf, also inside what is percent- or base64-encoded in it."""
        text = leaf.text
        hits = self._lexicon.hits(fold(text))
        if leaf.tag not in _OF_WORDS:
            hits = [hit for hit in hits if not hit.what.startswith("reference")]
        if leaf.tag is Tag.NAME and has_code(text, self._words):
            hits.append(Hit(0, len(text), "code", True))
        if leaf.tag in _OF_WORDS and other_script(text):
            hits.append(Hit(0, len(text), "script", True))
        if depth:
            for start, end, inner in encoded_parts(text):
                if self._hits(Leaf(leaf.pointer, inner, leaf.tag), depth - 1):
                    hits.append(Hit(start, end, "encoded", True))
        return hits


def gives_away(words: str) -> bool:
    """Whether fixed words of a schema (a property name, a code) are in the list. For the start only."""
    return bool(static_lexicon().hits(fold(words)))


def load_residual(path: Path = _LEXICON) -> Residual:
    """Read the word list and prove it on its own examples.

    Raises:
        ConfigError: listing every line that is wrong and every example that is missed.
    """
    lexicon = _load(path)
    residual = Residual(lexicon, Confirmer(load_words()))
    none = Vouchers(())
    faults = [
        f"example {number} of the residual scan is missed"
        for number, text in enumerate(patterns.EXAMPLES, 1)
        if not residual.scan([Leaf("/example", text, Tag.FREE_TEXT)], none)
    ]
    faults += [
        f"neutral example {number} of the residual scan is hit"
        for number, text in enumerate(patterns.NEUTRAL, 1)
        if residual.scan([Leaf("/example", text, Tag.FREE_TEXT)], none)
    ]
    if faults:
        raise ConfigError("residual scan", faults)
    return residual


def _load(path: Path) -> Lexicon:
    try:
        data = path.read_bytes()
        lines = [line for line in data.decode("utf-8").splitlines() if not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"lexicon `{path.name}`", [str(error)]) from error
    rows = list(csv.reader(lines, delimiter="\t"))
    faults = [] if rows and rows[0] == _COLUMNS else [f"the columns are not `{' '.join(_COLUMNS)}`"]
    terms: list[Term] = []
    seen: set[str] = set()
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(_COLUMNS) or row[2] not in _MODES or not row[0].rstrip("*") or row[0] in seen:
            faults.append(f"row {number} has other columns, no term, an unknown mode, or is given twice")
            continue
        seen.add(row[0])
        term = row[0].rstrip("*")
        if fold(term).text != term:
            faults.append(f"row {number}: `{term}` is not in folded form")
        terms.append(Term(term, row[1], row[2], row[0].endswith("*")))
    if faults:
        raise ConfigError(f"lexicon `{path.name}`", faults)
    return Lexicon(terms, digest=hashlib.sha256(data).hexdigest()[:16])


@functools.cache
def static_lexicon() -> Lexicon:
    """The word list itself, read once.

    Raises:
        ConfigError: listing every line that is wrong.
    """
    return _load(_LEXICON)
