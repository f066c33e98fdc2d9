"""What partners see of a redacted text: no masks, nothing that came about where one was taken out."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.mask import TOKEN
from services.kernel.vocabulary import Tag
from services.router.residual import Leaf, Residual, Vouchers, load_residual
from services.router.text_view import shorten

CASES = [
    ("Nothing was taken out here.", "Nothing was taken out here."),
    ("He said he would [removed] if she rang the police.", "He said he would if she rang the police."),
    ("She is [removed]. The door was damaged in the night.", "The door was damaged in the night."),
    ("The door was damaged. She is a [removed].", "The door was damaged."),
    ("IP ([removed], [removed]) has a cut on her eye and a sore wrist.", "IP has a cut on her eye and a sore wrist."),
    ("[removed], the man came back at nine and kicked the door.", "the man came back at nine and kicked the door."),
    ("Knife in the car, he is [removed].", "Knife in the car."),
    ("Ring after four, he is [removed]. Bleeding badly, [removed], scared.", "Ring after four. Bleeding badly."),
    ("Line one\nNAT: [removed]\nLine three", "Line one Line three"),
    ("[removed]", ""),
]  # fmt: skip


@pytest.mark.parametrize(("redacted", "seen"), CASES)
def test_masks_are_taken_out(redacted: str, seen: str) -> None:
    assert shorten(redacted).text == seen


@pytest.mark.parametrize("run", [" ", ",", "(", "\u00a0", ", ", " -"])
def test_a_long_run_of_blanks_or_marks_takes_its_time_once(run: str) -> None:
    """By the square of its length, a record of 1 MiB would take minutes."""
    text = f"He said he would, if she rang the police,{run * 60_000}x [removed]{run * 60_000}x [removed]"
    began = time.process_time()
    shorten(text)
    assert time.process_time() - began < 2


PIECES = st.sampled_from(
    ["she", "the door", TOKEN, TOKEN, ",", "(", ")", ".", "\n", "and", "was kicked in at nine", "!"]
)


@given(st.lists(PIECES, max_size=30).map(" ".join))
def test_no_mask_is_left_and_nothing_is_added(text: str) -> None:
    seen = shorten(text)
    assert TOKEN not in seen.text
    assert shorten(seen.text).text == seen.text
    words = iter(re.findall(r"\w+", text.replace(TOKEN, " ")))
    assert all(word in words for word in re.findall(r"\w+", seen.text)), "the words that stay keep their order"
    assert all(0 <= join <= len(seen.text) for join in seen.joins)


@pytest.fixture(scope="module")
def residual() -> Residual:
    return load_residual()


def test_what_comes_about_by_taking_out_withholds(residual: Residual) -> None:
    """No word list finds `indefinite` or `leave to remain` alone on both sides of a mask, but partners would."""
    text = "She told the officer at the front desk of the leave [removed] to remain with her sister that night."
    leaf = Leaf("/text", text, Tag.FREE_TEXT, shorten(text))
    assert [find.why for find in residual.scan([leaf], Vouchers(()))] == ["joined"]
    calm = "She told the officer at the front desk of the [removed] and stayed with her sister that night."
    assert residual.scan([Leaf("/text", calm, Tag.FREE_TEXT, shorten(calm))], Vouchers(())) == []
