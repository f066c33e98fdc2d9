"""Long texts and long days: cost in step with length, memory that does not grow with what was read."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from services.redactor.text.engine import TextEngine

_STORY = (
    "The caller said her husband hit her on Friday and took the keys. She is Polish and waits for a visa. "
    "Officers attended and found no damage at the address. "
)
_LETTERS = "abcdefghijklmnoprstuvw"


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def seconds(engine: TextEngine, text: str) -> float:
    started = time.perf_counter()
    engine.redact(text)
    return time.perf_counter() - started


def test_cost_grows_linearly_to_a_megabyte(engine: TextEngine) -> None:
    text = _STORY * (1_000_000 // len(_STORY))
    hundredth = min(seconds(engine, text[: len(text) // 100]) for _ in range(5))
    assert seconds(engine, text) < 3 * 100 * hundredth


def test_memory_stays_flat_over_two_million_distinct_words(engine: TextEngine) -> None:
    dice = random.Random(1)

    def read(words: int) -> None:
        for _ in range(words // 60):
            made = " ".join("".join(dice.choices(_LETTERS, k=dice.randint(5, 10))) for _ in range(60))
            engine.redact(f"She said the {made}. He left at nine.")

    read(200_000)
    before = resident()
    read(2_000_000)
    assert resident() - before < 16 * 2**20
