"""A training corpus out of the project's own tables: rows recombined, words of one kind swapped, slips put in.

Nothing of `tests/gold` is read. `python -m training.generate OUT --texts N --seed S` writes a spaCy DocBin whose
tokens carry the tag `DISCLOSES` or `O`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from services.redactor.text import words
from tests.frame.corpus import FILLERS, INCIDENTS

TABLES = Path(__file__).parents[1] / "tests" / "text" / "tables"
STATEMENTS = Path(__file__).parents[1] / "tests" / "risk" / "statements.jsonl"
DISCLOSES, OTHER = "DISCLOSES", "O"
#: Kinds of lexicon words that may stand for one another.
_KINDS = ("demonym", "country", "language", "city")
_MARK = re.compile(r"\[(.+?)\]")
#: What every report is full of.
_ORDINARY = """
Officers attended and took a first account.|No injuries seen.|CCTV has been requested from the shop.|He left on foot.
She will be seen again on Friday.|The door was forced with a bar.|Victim support offered and accepted.|Two males in dark
clothing.|The landlord has changed the locks.|Her phone was taken.|He pushed her against the sink.|Neighbours heard it.
The children were upstairs.|Suspect known to police.|No further action at this time.|The meeting is at ten in room four.
The boiler is still broken.|She is frightened to go out alone.|Ambulance cancelled.|He owes them four hundred pounds.
"""


class Row:
    """One line of a table: its pieces, each with whether it discloses."""

    def __init__(self, line: str) -> None:
        self.pieces: list[tuple[str, bool]] = []
        at = 0
        for mark in _MARK.finditer(line):
            self.pieces += [(line[at : mark.start()], False), (mark.group(1), True)]
            at = mark.end()
        self.pieces.append((line[at:], False))


def rows() -> tuple[list[Row], list[Row]]:
    """Rows that disclose, and rows that do not."""
    disclosing, neutral = [], [Row(part) for part in _ORDINARY.replace("\n", " ").split("|")]
    for path in sorted(TABLES.glob("*.txt")):
        lines = [line for line in path.read_text("utf-8").splitlines() if line and line[0] != "#"]
        if path.stem == "near_misses":
            neutral += [Row(line) for line in lines]
        elif path.stem != "broken_formats":
            disclosing += [Row(line) for line in lines]
    return disclosing, neutral + [Row(text) for text in _others()]


def _others() -> Iterator[str]:
    """Texts of the other tests that disclose nothing: statements of risk, incidents, and what reports are full of."""
    for line in STATEMENTS.read_text("utf-8").splitlines():
        told = json.loads(line)
        if not told["protected"]:
            yield told["text"]
    for sentence in (*INCIDENTS, *FILLERS):
        yield sentence.replace("{V}{x}", "Victim")


def swaps() -> dict[str, tuple[str, ...]]:
    """For each lexicon word of one kind alone, the words that may stand in its place."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for entry in words.read():
        kinds = [kind for kind in _KINDS if kind in entry.kinds]
        if len(kinds) == 1 and entry.word.isascii():
            by_kind[kinds[0]].append(entry.word)
    return {word: tuple(held) for held in by_kind.values() for word in held}


def documents(seed: int, count: int) -> Iterator[Doc]:
    """`count` documents, the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - a corpus, not a key
    nlp = spacy.blank("en")
    disclosing, neutral = rows()
    stand_ins = swaps()
    for _ in range(count):
        chosen = [dice.choice(disclosing) for _ in range(dice.choice((0, 1, 1, 1, 2)))]
        chosen += [dice.choice(neutral) for _ in range(dice.choice((0, 1, 1, 2)))]
        dice.shuffle(chosen)
        pieces = [piece for row in chosen or [dice.choice(neutral)] for piece in (*row.pieces, (" ", False))]
        yield _document(nlp, _noisy([(_swapped(p, stand_ins, dice), d) for p, d in pieces], dice))


def _swapped(piece: str, stand_ins: dict[str, tuple[str, ...]], dice: random.Random) -> str:
    def swap(match: re.Match[str]) -> str:
        word = match.group()
        others = stand_ins.get(word.lower())
        if others is None or not word[0].isupper() or dice.random() < 0.3:
            return word
        other = dice.choice(others)
        return other.upper() if word.isupper() else other.title()

    return re.sub(r"[A-Za-z]+", swap, piece)


def _noisy(pieces: list[tuple[str, bool]], dice: random.Random) -> list[tuple[str, bool]]:
    style = dice.random()
    made = []
    for piece, discloses in pieces:
        if style < 0.2:
            piece = piece.lower()
        elif style < 0.3:
            piece = piece.upper()
        if dice.random() < 0.15:
            piece = re.sub(r"[.,;](?=\s|$)", "", piece)
        if dice.random() < 0.08 and len(piece) > 6:
            at = dice.randrange(1, len(piece) - 2)
            piece = piece[:at] + piece[at + 1] + piece[at] + piece[at + 2 :]
        made.append((piece, discloses))
    return made


def _document(nlp: Language, pieces: list[tuple[str, bool]]) -> Doc:
    text, places = "", []
    for piece, discloses in pieces:
        if discloses:
            places.append((len(text), len(text) + len(piece)))
        text += piece
    doc = nlp.make_doc(text)
    tags = [DISCLOSES if any(s < t.idx + len(t) and t.idx < e for s, e in places) else OTHER for t in doc]
    return Doc(nlp.vocab, words=[t.text for t in doc], spaces=[bool(t.whitespace_) for t in doc], tags=tags)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    DocBin(docs=documents(given.seed, given.texts)).to_disk(given.out)
    print(f"{given.texts} texts in {given.out}")
