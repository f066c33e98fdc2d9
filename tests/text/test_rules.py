"""Rules cost little on any text, and hidden writing is read in every class."""

from __future__ import annotations

import re
import time

import pytest

from services.redactor.text import rules
from services.redactor.text.engine import TextEngine

#: Seconds for one rule over a piece of 4,000 characters, far above what a linear pattern needs.
BOUND = 0.2
LENGTH = 4000

WORDS = {
    "She is {} and tired today.": ["Polish", "Nigerian", "Kurdish", "foreign national", "overstayer", "asylum seeker"],
    "She is from {} and tired today.": ["Eritrea", "Sri Lanka"],
    "She has {} and waits at home.": ["leave to remain", "residence permit"],
    "He will ring {} about her tomorrow.": ["immigration", "Border Force"],
    "She speaks {} at home with us.": ["Tigrinya", "Romanian"],
    "She lives in an {} in the town.": ["asylum hotel"],
}
HIDDEN = {
    "cyrillic": lambda word: word.translate(str.maketrans("aeocpxi", "аеосрхі")),
    "greek": lambda word: word.translate(str.maketrans("ova", "ονα")),
    "zero width": lambda word: word[:2] + "\u200b" + word[2:],
    "bidi": lambda word: f"\u202e{word}\u202c",
    "full width": lambda word: "".join(chr(ord(char) + 0xFEE0) if char != " " else char for char in word),
    "digits": lambda word: word.replace("i", "1").replace("e", "3"),
    "spaced": lambda word: "  ".join(" ".join(part) for part in word.split()),
    "dotted": lambda word: " ".join(".".join(part) for part in word.split()),
    "line end": lambda word: f"{word[:3]}-\n{word[3:]}",
    "entities": lambda word: "".join(f"&#{ord(char)};" for char in word),
    "percent": lambda word: "".join(f"%{ord(char):02X}" for char in word),
    "escapes": lambda word: "".join(f"\\u{ord(char):04x}" for char in word),
    "bold": lambda word: f"**{word}**",
    "bold inside": lambda word: f"{word[:3]}**{word[3:]}**",
    "comment inside": lambda word: f"{word[:3]}<!-- x -->{word[3:]}",
    "tag inside": lambda word: f"{word[:2]}<i>{word[2:]}</i>",
    "run together": lambda word: word.replace(" ", ""),
    "capitals": str.upper,
}


@pytest.mark.parametrize("rule", rules.read(), ids=lambda rule: rule.name)
def test_a_rule_does_not_backtrack_badly(rule: rules.Rule) -> None:
    literals = re.findall(r"[a-z]{2,}", re.sub(r"\\[a-zA-Z]", " ", rule.pattern.pattern))[:60]
    texts = [(literal + " ") * LENGTH for literal in literals] + ["a " * LENGTH, "1 " * LENGTH, " " * LENGTH]
    texts += [(rule.example + " ") * LENGTH, " ".join(literals) * LENGTH]
    for text in texts:
        before = time.perf_counter()
        list(rule.pattern.finditer(text[:LENGTH]))
        assert time.perf_counter() - before < BOUND, text[:40]


@pytest.mark.parametrize("way", HIDDEN)
def test_hidden_writing_is_read_in_every_class(engine: TextEngine, way: str) -> None:
    missed = []
    for frame, words in WORDS.items():
        for word in words:
            hidden = HIDDEN[way](word)
            text = frame.format(hidden)
            start = text.index(hidden)
            if not any(span.start < start + len(hidden) and start < span.end for span in engine.detect(text)):
                missed.append(hidden)
    assert not missed


@pytest.mark.parametrize(
    "word", ["Niger ian", "Pakis tani", "Roma\nnian", "Viet.namese", "overs tayer", "imm igration"]
)
def test_words_broken_in_two_are_read(engine: TextEngine, word: str) -> None:
    assert engine.detect(f"The woman is {word} they say.")
