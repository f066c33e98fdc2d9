"""Risk codes after redaction agree with the annotation of made-up statements in ten registers.

`statements.jsonl` is what the patterns were tuned on. `held_out.jsonl` was written after them and not tuned on: its
figures say what to expect of text that the patterns have not seen. `pytest -s` prints both tables.
"""

from __future__ import annotations

from collections import Counter

import pytest

from services.kernel.mask import TOKEN
from services.redactor.text import risk
from services.redactor.text.engine import TextEngine
from tests.risk.helpers import compare, read

STATEMENTS = read("statements")
HELD_OUT = read("held_out")
REGISTERS = {
    "999_log", "crime_report", "mg11", "marac_minutes", "nrm_form", "victim_online", "hate_report", "council_email",
    "housing_note", "intel_log",
}  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> TextEngine:
    return TextEngine.build()


def test_the_statements_are_what_they_should_be() -> None:
    assert len(STATEMENTS) >= 160
    assert sum(item["protected"] for item in STATEMENTS) * 2 >= len(STATEMENTS)
    assert sum(not item["codes"] for item in STATEMENTS) >= 40
    for items in (STATEMENTS, HELD_OUT):
        assert {item["register"] for item in items} == REGISTERS
        assert {code for item in items for code in item["codes"]} == risk.CODES
    texts = Counter(item["text"] for item in (*STATEMENTS, *HELD_OUT))
    assert max(texts.values()) == 1
    assert min(Counter(item["register"] for item in STATEMENTS).values()) >= 16


def test_codes_agree_with_the_annotation(engine: TextEngine) -> None:
    done = compare(STATEMENTS, lambda text: engine.redact(text).risk)
    print(f"\nstatements\n{done}")
    assert done.f1 >= 0.97
    assert done.exact >= 0.95


def test_codes_of_unseen_statements(engine: TextEngine) -> None:
    done = compare(HELD_OUT, lambda text: engine.redact(text).risk)
    print(f"\nheld out\n{done}")
    assert done.f1 >= 0.77
    assert done.exact >= 0.68
    assert done.both.total() / (done.both + done.extra).total() >= 0.95


@pytest.mark.parametrize("kind", ["statements", "held_out"])
def test_what_is_left_still_tells_of_the_threat(engine: TextEngine, kind: str) -> None:
    """Masks take the authority or the document away; every other threat is still read from the rest."""
    lost = kept = 0
    for item in read(kind):
        done = engine.redact(item["text"])
        assert not done.held
        assert len(done.text.replace(TOKEN, "").split()) >= 5
        before = done.risk - {"report_to_an_authority", "documents_or_money_controlled"}
        after = risk.lift(done.text.lower())
        lost += len(before - after)
        kept += len(before & after)
    assert lost / (lost + kept) <= 0.02


def test_a_masked_threat_keeps_its_frame(engine: TextEngine) -> None:
    done = engine.redact("He said he would have her deported if she rang the police.")
    assert done.risk == {"report_to_an_authority"}
    assert done.text == f"He said he would {TOKEN} if she rang the police."
