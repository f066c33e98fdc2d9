"""A batch grows while the broker is fast and shrinks before it is too slow."""

from __future__ import annotations

import pytest

from services.kernel.kafka.pace import FEWEST, LEAST, SLOW, Pace
from services.kernel.kafka.seams import Limits
from services.kernel.record import Inbound

MIB = 1024 * 1024


def made(records: int = 500, size: int = 16 * MIB) -> Pace:
    return Pace(
        Limits(
            batch_records=records, batch_wait=0.05, batch_bytes=size, commit_deadline=30.0, answer=4.0, flood=1000,
            message_bytes=lambda _: MIB,
        )
    )  # fmt: skip


def batch(records: int, size: int = 1000) -> list[Inbound]:
    value = b"x" * size
    return [
        Inbound(topic="redacted", partition=0, offset=offset, timestamp=0, key=None, value=value, headers=())
        for offset in range(records)
    ]


def most(pace: Pace, size: int = 1000) -> int:
    """Records of `size` bytes that fill the next batch."""
    return next(count for count in range(1, 10_000) if pace.full(count, count * size))


def run(pace: Pace, *, per_record: float, batches: int, size: int = 1000) -> list[int]:
    """Sizes of full batches where each record takes `per_record` seconds."""
    sizes = []
    for _ in range(batches):
        count = most(pace, size)
        sizes.append(count)
        pace.took(count * per_record, batch(count, size))
    return sizes


def test_a_fast_broker_gets_whole_batches_after_five_small_ones() -> None:
    assert run(made(), per_record=0.001, batches=7) == [16, 32, 63, 125, 250, 500, 500]


@pytest.mark.parametrize("per_record", [0.02, 0.1, 0.18])
def test_no_batch_comes_near_the_time_out_where_the_broker_is_slow_from_the_start(per_record: float) -> None:
    sizes = run(made(), per_record=per_record, batches=50)
    assert max(sizes) * per_record < 5.0
    assert min(sizes) >= FEWEST


def test_a_broker_that_becomes_slow_gets_smaller_batches_and_one_that_recovers_larger_ones() -> None:
    pace = made()
    run(pace, per_record=0.001, batches=8)
    slow = run(pace, per_record=0.015, batches=8)
    assert slow[:2] == [500, 250]
    assert slow[-1] * 0.015 <= SLOW
    assert run(pace, per_record=0.001, batches=8)[-1] == 500


def test_large_records_are_paced_by_their_bytes() -> None:
    assert run(made(), per_record=0.01, batches=6, size=MIB) == [1, 1, 2, 4, 8, 16]


def test_a_batch_that_was_not_full_tells_nothing_of_a_larger_one() -> None:
    pace = made()
    for _ in range(20):
        pace.took(0.01, batch(FEWEST - 1))
    assert most(pace) == FEWEST


def test_transactions_that_take_long_whatever_their_size_still_carry_the_fewest() -> None:
    pace = made()
    for _ in range(20):
        pace.took(6.0, batch(most(pace)))
    assert most(pace) == FEWEST == round(500 * LEAST)


@pytest.mark.parametrize("records", [1, 3, FEWEST])
def test_a_limit_below_the_fewest_is_kept(records: int) -> None:
    pace = made(records)
    assert run(pace, per_record=0.001, batches=3) == [records] * 3


def test_a_transaction_that_fails_late_counts_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = made()
    run(pace, per_record=0.001, batches=6)
    now = iter([100.0, 100.0 + SLOW + 1])
    monkeypatch.setattr("services.kernel.kafka.pace.time.monotonic", lambda: next(now))
    with pytest.raises(TimeoutError), pace.of([]):
        raise TimeoutError
    assert most(pace) == 250
