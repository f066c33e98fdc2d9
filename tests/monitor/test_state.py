"""Figures of the ledger: a double, a replay, a break at any write changes none of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel import ledger
from services.kernel.kafka.client import PositionError
from services.monitor import state, windows
from services.monitor.chain import Chain, Verdict, join
from services.monitor.entry import Delivery, read
from services.monitor.state import MARK, advance, chain_of, read_chain, read_figures, read_mark
from services.monitor.windows import Figures, Place, Size, add_up, place
from tests.ledger.helpers import NOW, entries

MINUTE = 60_000
BODIES = list(entries(120))
DELIVERIES = [Delivery(number * 2, NOW + number * 1000 + 40, body) for number, body in enumerate(BODIES)]

Table = dict[bytes, bytes]


def apply(table: Table, writes: Sequence[tuple[bytes, bytes | None]]) -> None:
    for key, value in writes:
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def straight(deliveries: Sequence[Delivery]) -> Table:
    table: Table = {}
    for delivery in deliveries:
        apply(table, advance(table.get, [delivery], keys=list(table)).writes)
    return table


def cells(table: Table) -> dict[Place, Figures]:
    return {where: read_figures(value) for key, value in table.items() if (where := Place.of(key)) is not None}


def test_what_is_counted_is_what_the_entries_say() -> None:
    found = cells(straight(DELIVERIES))
    day = add_up(figures for where, figures in found.items() if where.size is Size.DAY)
    minutes = add_up(figures for where, figures in found.items() if where.size is Size.MINUTE)
    assert day.entries == minutes.entries == len(BODIES)
    assert day.outcomes == {"redacted": 60, "forwarded": 54, "withheld/policy": 6}
    assert day.partners["idva-service"] == (54, 0)
    assert day.partners["immigration-enforcement"] == (0, 54)
    assert sum(day.processing) + day.processing_unknown == len(BODIES)
    assert sum(day.end_to_end) + day.end_to_end_unknown == len(BODIES)
    assert len({where.start for where in found if where.size is Size.MINUTE}) in (2, 3)


STEPS = st.lists(st.tuples(st.integers(1, 40), st.one_of(st.none(), st.floats(0, 1)), st.integers(0, 30)), max_size=12)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_a_crash_at_any_write_and_a_replay_from_anywhere_change_nothing(
    steps: list[tuple[int, float | None, int]],
) -> None:
    """Batches of any size; of some only a part of the writes is held, and reading begins earlier than it ended."""
    table: Table = {}
    at = 0
    for size, held, back in steps:
        writes = advance(table.get, DELIVERIES[at : at + size], keys=list(table)).writes
        apply(table, writes if held is None else writes[: int(held * (len(writes) - 1))])
        at = max(0, at + (size if held is None else 0) - back)
    apply(table, advance(table.get, DELIVERIES, keys=list(table)).writes)
    assert table == straight(DELIVERIES)


def test_an_entry_that_stands_twice_in_the_ledger_changes_no_figure_and_is_told_of() -> None:
    again = [*DELIVERIES, Delivery(1000, NOW + 130_000, BODIES[10])]
    table: Table = straight(DELIVERIES)
    step = advance(table.get, again, keys=list(table))
    apply(table, step.writes)
    assert [(one.finding.verdict, one.topic) for one in step.found] == [(Verdict.DOUBLE, "agency.gmp.police-crime")]
    day = add_up(figures for where, figures in cells(table).items() if where.size is Size.DAY)
    assert day.entries == len(BODIES)


def test_an_entry_by_hand_that_stands_twice_is_counted_once_also_after_a_break() -> None:
    made = ledger.held("case", by="A1", placed=True, now=NOW).value or b""
    lifted = ledger.held("case", by="A1", placed=False, now=NOW + 1000).value or b""
    sent = [Delivery(offset, NOW + offset, body) for offset, body in enumerate((made, BODIES[0], made, lifted, made))]
    whole = straight(sent)
    for writes_held in range(8):
        table: Table = {}
        apply(table, advance(table.get, sent[:2], keys=()).writes)
        apply(table, advance(table.get, sent, keys=list(table)).writes[:writes_held])  # and the monitor is killed
        apply(table, advance(table.get, sent, keys=list(table)).writes)
        assert table == whole
    day = add_up(figures for where, figures in cells(whole).items() if where.size is Size.DAY)
    assert day.entries == 3


def test_no_more_ids_of_entries_by_hand_are_kept_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "KEPT", 3)
    bodies = [ledger.held(f"case-{n}", by="A1", placed=True, now=NOW).value or b"" for n in range(5)]
    table = straight([Delivery(offset, NOW + offset, body) for offset, body in enumerate(bodies)])
    assert msgspec.msgpack.decode(table[state.BY_HAND])[1] == [orjson.loads(body)["id"] for body in bodies[2:]]


def test_a_missing_entry_is_a_gap_and_the_one_that_comes_late_fills_it() -> None:
    late = DELIVERIES[16]
    table = straight([one for one in DELIVERIES if one is not late])
    chains = {chain_of(key): read_chain(value) for key, value in table.items() if chain_of(key) is not None}
    (gap,) = [(place, chain) for place, chain in chains.items() if chain.gaps]
    assert gap[1].missing == [(2, 2)]
    apply(table, advance(table.get, [Delivery(900, NOW + 130_000, late.value)], keys=list(table)).writes)
    place_of = gap[0]
    assert place_of is not None
    healed = read_chain(table[f"c/{place_of[0]}/{place_of[1]}/{place_of[2]}".encode()])
    assert (healed.missing, healed.doubles) == ([], 0)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"time": "yesterday"}'])
def test_what_is_no_entry_is_counted_as_unreadable_and_nothing_else(value: bytes | None) -> None:
    table: Table = {}
    apply(table, advance(table.get, [Delivery(3, NOW, value)]).writes)
    mark = read_mark(table.get)
    assert (mark.unreadable, mark.applied, set(table)) == (1, 3, {MARK})


@pytest.mark.parametrize(
    "changed",
    [
        {"agency": "gmp/x"}, {"feed": "police/crime"}, {"service": "redactor/1"}, {"service": "redactor\n"},
        {"time": "2026-11-20T10:00:00"}, {"received": "0001-01-01T00:00:00"}, {"source": {"topic": "agency/gmp.marac"}},
        {"source": {"offset": 2**64}}, {"source": {"partition": -1}}, {"source": {"until": 2**63}},
    ],
    ids=str,
)  # fmt: skip
def test_an_entry_that_no_key_or_value_of_the_table_can_hold_is_unreadable_and_the_next_is_counted(
    changed: dict[str, Any],
) -> None:
    good = orjson.loads(BODIES[0])
    bad = good | changed | {"source": good["source"] | changed.get("source", {})}
    deliveries = [
        Delivery(0, NOW + 40, json.dumps(bad).encode()),
        *(Delivery(number * 100, NOW + number * MINUTE, BODIES[number]) for number in range(1, 4)),
    ]
    table = straight(deliveries)
    assert (read_mark(table.get).unreadable, len(cells(table)) > 0) == (1, True)


def test_a_key_that_an_earlier_version_made_of_a_malformed_entry_is_passed_over() -> None:
    table: Table = {b"w/1m/0/redactor/g/m/p/marac": b"", b"c/redactor/agency/gmp/0": b""}
    for number in range(3):
        apply(
            table,
            advance(table.get, [Delivery(number, NOW + number * MINUTE, BODIES[number])], keys=list(table)).writes,
        )
    assert read_mark(table.get).applied == 2
    assert [Place.of(key) or chain_of(key) for key in list(table)[:2]] == [None, None]


@pytest.mark.parametrize(
    ("appended", "late"),
    [
        (NOW + 100, None),
        (NOW + MINUTE + windows.GRACE_MS - 61_000, None),
        (NOW + 2 * MINUTE + windows.GRACE_MS, True),
        (NOW - windows.GRACE_MS - 1, False),
    ],
)
def test_late_and_early_entries_are_told_in_the_window_of_their_arrival(appended: int, late: bool | None) -> None:
    entry = read(BODIES[0])
    assert entry is not None
    where, found = place(entry, Size.MINUTE, appended)
    assert found is late
    begins = NOW if late is None else appended
    assert where.start == begins - begins % MINUTE


def test_an_entry_that_is_newer_than_all_and_stands_before_them_is_of_another_ledger() -> None:
    table = straight(DELIVERIES)
    with pytest.raises(PositionError):
        advance(table.get, [Delivery(3, DELIVERIES[-1].appended + 1, DELIVERIES[0].value)])
    assert table == straight(DELIVERIES)
    advance(table.get, DELIVERIES)  # read again from anywhere: nothing


def test_windows_that_are_over_for_long_are_dropped() -> None:
    table = straight(DELIVERIES)
    much_later = orjson.loads(BODIES[0]) | {"time": "2026-12-30T00:00:00Z", "id": "0" * 32}
    at = NOW + 42 * 86_400_000
    for number in range(2):
        delivery = Delivery(5000 + number, at + number * MINUTE, orjson.dumps(much_later))
        apply(table, advance(table.get, [delivery], keys=list(table)).writes)
    assert all(where.start > NOW + 86_400_000 for where in cells(table) if where.size is not Size.DAY)


@pytest.mark.parametrize(
    ("links", "verdicts", "missing"),
    [
        ([(0, -1), (1, 0), (4, 1)], ["first", "joined", "joined"], []),
        ([(0, -1), (3, 2)], ["first", "gap"], [(1, 2)]),
        ([(0, -1), (5, 4), (2, 0)], ["first", "gap", "filled"], [(1, 1), (3, 4)]),
        ([(0, -1), (0, -1)], ["first", "double"], []),
        ([(0, -1), (1, None), (2, 1)], ["first", "unlinked", "joined"], []),
        ([(9, 8), (10, 9)], ["first", "joined"], []),
    ],
)
def test_how_entries_join_their_chain(
    links: list[tuple[int, int | None]], verdicts: list[str], missing: list[tuple[int, int]]
) -> None:
    chain = Chain()
    found = [join(chain, at=at, first=one, last=one, previous=before) for at, (one, before) in enumerate(links)]
    assert found == verdicts
    assert chain.missing == missing
