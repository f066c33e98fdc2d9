"""Holds: what they say, what grade they carry, and that no data makes one fail."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel import safety
from services.kernel.record import Inbound, Outcome
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import CoarseReason, Reason, Risk
from tests.redactor.helpers import BATCH, inbound, make_step, samples

SOURCE = ("agency.gmp.police-crime", 1, 7)
LEAF = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.recursive(LEAF, lambda part: st.lists(part) | st.dictionaries(st.text(), part))


def heard(value: bytes | None) -> Inbound:
    return Inbound(safety.TOPIC, 2, 9, 1_770_000_000_000, None, None if value is None else SensitiveBytes(value))


def made(**changes: Any) -> bytes:
    message = safety.hold(SOURCE, 0, Reason.RESIDUAL, agency="gmp", feed="police-crime", risk=Risk.MEDIUM)
    return orjson.dumps({**orjson.loads(message.value or b""), **changes})


def test_a_hold_is_read_as_it_was_written() -> None:
    hold = safety.read_hold(heard(made()))
    assert hold.is_readable
    assert (hold.agency, hold.feed, hold.risk, hold.reason) == ("gmp", "police-crime", Risk.MEDIUM, CoarseReason.POLICY)
    assert hold.id == orjson.loads(made())["id"] == safety.hold_id(SOURCE)


def test_an_id_is_that_of_the_position_whoever_says_it_and_why() -> None:
    again = safety.hold(SOURCE, 5, Reason.CRASHED, agency=None, feed=None, risk=Risk.UNKNOWN)
    assert orjson.loads(again.value or b"")["id"] == safety.hold_id(SOURCE)
    assert len({safety.hold_id((topic, 1, n)) for topic in ("redacted", SOURCE[0]) for n in range(1000)}) == 2000


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"\xff\xfe", b"[]", b"{", made(v=2), made(risk="severe"), made(source={"topic": "Äx"}),
        made(agency="<b>gmp"), made(source={"topic": "redacted", "partition": -1, "offset": 0}),
    ],
)  # fmt: skip
def test_what_is_no_hold_stands_for_one_of_its_own(value: bytes | None) -> None:
    hold = safety.read_hold(heard(value))
    assert not hold.is_readable
    assert (hold.agency, hold.feed, hold.risk) == (None, None, Risk.UNKNOWN)
    assert hold.id == safety.hold_id((safety.TOPIC, 2, 9))


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_make_reading_fail(value: bytes) -> None:
    safety.read_hold(heard(value))
    assert safety.read_acknowledgement(heard(value)) is None


@settings(deadline=None)
@given(st.sampled_from([*safety.GRADES, "nrm", None]), JSON)
def test_no_value_makes_grading_fail(feed: str | None, value: object) -> None:
    assert safety.grade(feed, value) in Risk
    assert safety.grade(feed, {"referral": value}) in Risk
    assert safety.grade(feed, {"referral": {"riskLevel": value}}) in Risk


@pytest.mark.parametrize("level", ["HIGH", "very high", "<script>", "", 3, None, True, ["high"], {"high": 1}])
def test_free_text_is_no_grade(level: object) -> None:
    assert safety.grade("marac", {"referral": {"riskLevel": level}}) is Risk.UNKNOWN


def risk_of(outcome: Outcome) -> str:
    (alert,) = [message for message in outcome.messages if message.topic == safety.TOPIC]
    return str(orjson.loads(alert.value or b"")["risk"])


def broken(level: object) -> Inbound:
    """A referral that was parsed and is not of its schema."""
    sample = copy.deepcopy(next(one for one in samples().values() if one["topic"].endswith(".marac")))
    sample["value"]["referral"] |= {"riskLevel": level, "referrer": 5}
    return inbound(sample)


@pytest.mark.parametrize(("level", "risk"), [("high", "high"), ("standard", "standard"), ("worst", "unknown")])
def test_the_redactor_says_the_grade_of_a_referral_that_it_could_parse(level: str, risk: str) -> None:
    outcome = make_step()(broken(level), BATCH)
    assert outcome.reason is Reason.SCHEMA_INVALID
    assert risk_of(outcome) == risk


def test_what_was_not_parsed_is_not_looked_at() -> None:
    record = broken("standard")
    assert risk_of(make_step().quarantine(record, Reason.CRASHED)) == "unknown"
    assert risk_of(make_step().quarantine(record, Reason.TIMEOUT)) == "unknown"
    cut = msgspec.structs.replace(record, value=SensitiveBytes((record.value or SensitiveBytes(b"")).reveal()[:-1]))
    assert risk_of(make_step()(cut, BATCH)) == "unknown"
    assert risk_of(make_step().quarantine(cut, Reason.SCHEMA_INVALID)) == "unknown"
