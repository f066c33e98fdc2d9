"""Times that a sender may set to anything, and ids that a person may type in any way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.kernel import ledger
from services.kernel.errors import ConfigError
from services.kernel.ledger import rfc3339
from services.kernel.paths import ROOT
from services.kernel.record import Message

PLACE, NOW = ("redacted", 0, 7), 1_770_000_000_000
ENTRY = jsonschema_rs.validator_for(json.loads((ROOT / "schemas" / "messages" / "ledger-entry.json").read_text()))
#: Every entry that is made by hand: (by, second person, reference).
BY_HAND: list[Callable[[str, str, str], Message]] = [
    lambda by, second, _: ledger.opened(PLACE, by=by, why="audit", second=second, now=NOW),
    lambda by, _, reference: ledger.looked(PLACE, agency=None, feed=None, by=by, reference=reference, now=NOW),
    lambda by, *_: ledger.tallied("2026-11-24", by=by, why="audit", now=NOW),
    lambda by, second, reference: ledger.release(
        kind="msa-s52", topic=None, source=PLACE, proposal="ab" * 16, by=(by, second), reference=reference, basis="",
        now=NOW,
    ),
    lambda by, second, _: ledger.destroyed(PLACE, by=by, why="audit", second=second, now=NOW),
    lambda by, second, reference: ledger.destroyed(
        None, by=by, why="expiry", second=second, reference=reference, now=NOW
    ),
    lambda by, _, reference: ledger.erased(reference, by=by, now=NOW),
    lambda by, _, name: ledger.held(name, by=by, placed=True, now=NOW),
    lambda by, second, reference: ledger.gate("opened", by=by, second=second, reference=reference, now=NOW),
    lambda by, _, reference: ledger.recall("ab" * 16, [], source=PLACE, reference=reference, by=by, now=NOW),
    lambda by, _, reference: ledger.receipt("housing-gm", reference=reference, by=by, now=NOW),
    lambda by, _, reference: ledger.consent(
        subject="ab" * 16, recipient="housing-gm", purpose="housing", scope="record", given=False, recall=True, by=by,
        reference=reference, now=NOW,
    ),
]  # fmt: skip


@given(make=st.sampled_from(BY_HAND), by=st.text(), second=st.text(), reference=st.text())
@example(make=BY_HAND[0], by="A1\n", second="A2", reference="C-1")
@example(make=BY_HAND[7], by="A1", second="A2", reference="my hold")
def test_what_a_person_types_is_refused_or_makes_an_entry(
    make: Callable[[str, str, str], Message], by: str, second: str, reference: str
) -> None:
    try:
        made = make(by, second, reference)
    except ConfigError:
        return
    assert ENTRY.is_valid(json.loads(made.value or b""))


@pytest.mark.parametrize("make", BY_HAND)
def test_an_id_of_its_form_is_taken_and_one_with_a_space_is_not(make: Callable[[str, str, str], Message]) -> None:
    assert ENTRY.is_valid(json.loads(make("A.1@x", "A-2", "C/7.a_b").value or b""))
    with pytest.raises(ConfigError, match="no spaces"):
        make("Jane Smith", "A-2", "C/7")
    with pytest.raises(ConfigError, match="1 to 64"):
        make("", "A-2", "C/7")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
        (1_770_000_000_123, "2026-02-02T02:40:00.123Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
        (-(2**63), "1970-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_utc_to_the_millisecond_and_of_four_digit_years(milliseconds: int, text: str) -> None:
    assert rfc3339(milliseconds) == text


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_time_of_kafka_can_be_written(milliseconds: int) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rfc3339(milliseconds))
