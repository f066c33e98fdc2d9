"""Times that a sender may set to anything."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ledger import rfc3339


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
