"""Nationality stays, the person goes: closed words, and fewer of them where few people share them."""

from __future__ import annotations

from typing import Any

import msgspec
import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.notification import (
    FEWEST,
    Notification,
    age_band,
    coarsened,
    identifying,
    quarter,
)
from services.kernel.proposal import Proposal, people, propose
from services.kernel.sealing import Sealer, open_sealed, unlock
from tests.locks import LOCK, LOCK_IDENTITY

NOTHING = Notification(None, None, None, None, None, "2026-Q3")
FULL = Notification("Brazilian", ("labour",), "male", "18-24", "North West", "2026-Q3")


def changed(**fields: Any) -> Notification:
    return msgspec.structs.replace(FULL, **fields)


def test_enough_people_share_everything() -> None:
    assert coarsened(FULL, [FULL] * FEWEST) == FULL


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([changed(age_band="25-34")] * 4, changed(age_band=None)),
        ([changed(sex="female", age_band="25-34")] * 4, changed(age_band=None, sex=None)),
        ([changed(exploitation=("sexual",), sex="female")] * 4, changed(age_band=None, sex=None, exploitation=None)),
        ([changed(nationality="Polish")] * 4, NOTHING),
        ([changed(quarter="2026-Q2")] * 9, NOTHING),
        ([], NOTHING),
    ],
)
def test_a_small_cell_drops_further_fields(others: list[Notification], left: Notification) -> None:
    assert coarsened(FULL, [FULL, *others]) == left


def proposed(subject: str, **fields: Any) -> Proposal:
    return Proposal.of(changed(**fields), id_=f"{len(fields)}", subject=subject)


def test_a_form_that_is_sent_again_is_no_further_person() -> None:
    wanted = proposed("ab")
    assert coarsened(FULL, people(wanted, [proposed("ab")] * FEWEST)) == NOTHING
    others = [proposed(f"{number}") for number in range(FEWEST - 1)]
    assert coarsened(FULL, people(wanted, others)) == FULL
    assert coarsened(FULL, people(wanted, [*others, proposed("ab", sex="female")])) == FULL
    assert coarsened(FULL, people(wanted, [proposed("0", quarter="2026-Q2"), *others])) == FULL


def test_all_forms_without_an_id_of_the_person_count_as_one() -> None:
    wanted = proposed("")
    assert coarsened(FULL, people(wanted, [proposed("")] * 9)) == NOTHING
    assert coarsened(FULL, people(wanted, [proposed(f"{number}") for number in range(FEWEST - 1)])) == FULL


def test_what_was_sealed_before_it_named_a_person_keeps_its_hash() -> None:
    assert b"subject" not in msgspec.msgpack.encode(proposed(""))
    assert proposed("ab").sha256 != msgspec.structs.replace(proposed("ab"), subject="").sha256


notifications = st.builds(
    Notification,
    nationality=st.sampled_from(["Brazilian", "Polish", "Somali", None]),
    exploitation=st.sampled_from([("labour",), ("sexual",), None]),
    sex=st.sampled_from(["male", "female", None]),
    age_band=st.sampled_from(["18-24", "65+", None]),
    region=st.sampled_from(["North West", None]),
    quarter=st.sampled_from(["2026-Q3", "2026-Q4"]),
)


@given(st.lists(notifications, min_size=1, max_size=40))
def test_what_leaves_with_a_field_is_shared_by_five(period: list[Notification]) -> None:
    """G3: whatever field is left, at least five of the quarter have all that is left in common."""
    done = coarsened(period[0], period)
    left = {name for name, value in msgspec.to_builtins(done).items() if value is not None}
    alike = [
        one for one in period if all(getattr(one, name) == getattr(done, name) for name in left)
    ]  # fmt: skip
    assert left == {"quarter"} or len(alike) >= FEWEST
    assert done.quarter == period[0].quarter


@pytest.mark.parametrize(
    ("age", "band"), [(17, None), (18, "18-24"), (24, "18-24"), (64, "55-64"), (90, "65+"), (140, None)]
)
def test_bands_begin_with_adults(age: int, band: str | None) -> None:
    assert age_band(age) == band


def test_quarters() -> None:
    assert [quarter(f"2026-{month:02}-01T00:00:00Z") for month in (1, 3, 4, 12)] == [
        "2026-Q1", "2026-Q1", "2026-Q2", "2026-Q4",
    ]  # fmt: skip


@pytest.mark.parametrize("known", ["brazilian", "Male", "LABOUR", "West", "2026-Q3"])
def test_the_inverted_scan_finds_what_the_record_calls_somebody(known: str) -> None:
    assert identifying(FULL, ["Jo", known]) == [known]


def test_the_inverted_scan_lets_closed_words_pass() -> None:
    assert identifying(FULL, ["Silva", "07700 900123", "M1 1AA", "1999-01-01", ""]) == []


def test_a_proposal_is_sealed_and_its_hash_is_salted() -> None:
    identity = pyrage.x25519.Identity.generate()
    sealer = Sealer(str(identity.to_public()), key_id="test", lock=LOCK)
    made = [propose(FULL, id_="ab" * 16, now=0, sealer=sealer) for _ in range(2)]
    opened = [
        msgspec.msgpack.decode(open_sealed(unlock(m.value or b"", LOCK_IDENTITY), str(identity)), type=Proposal)
        for m in made
    ]
    hashes = [dict(message.headers)["sr-sha256"].decode() for message in made]
    assert [proposal.notification() for proposal in opened] == [FULL, FULL]
    assert hashes == [proposal.sha256 for proposal in opened]
    assert hashes[0] != hashes[1]
    assert b"Brazilian" not in b"".join(value for message in made for _, value in message.headers)
