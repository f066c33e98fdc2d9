"""A batch grows while the broker is fast and shrinks before it is too slow."""

from __future__ import annotations

import pytest

from services.kernel.kafka.pace import LEAST, SLOW, Pace
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


def test_a_fast_broker_gets_whole_batches_after_nine_small_ones() -> None:
    assert run(made(), per_record=0.001, batches=11) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500]


@pytest.mark.parametrize("per_record", [0.02, 0.1, 0.5, 3.0, 9.0])
def test_no_batch_comes_near_the_time_out_where_the_broker_is_slow_from_the_start(per_record: float) -> None:
    sizes = run(made(), per_record=per_record, batches=50)
    assert max(sizes) * per_record < 10.0


def test_a_broker_that_becomes_slow_gets_smaller_batches_and_one_that_recovers_larger_ones() -> None:
    pace = made()
    run(pace, per_record=0.001, batches=10)
    slow = run(pace, per_record=0.015, batches=8)
    assert slow[:2] == [500, 250]
    assert max(slow[1:]) * 0.015 < 2 * SLOW
    assert run(pace, per_record=0.001, batches=8)[-1] == 500


def test_large_records_are_paced_by_their_bytes_and_never_below_one() -> None:
    assert run(made(), per_record=0.01, batches=11, size=MIB)[-5:] == [3, 5, 9, 16, 16]
    assert run(made(), per_record=9.0, batches=5, size=MIB) == [1] * 5


def test_a_batch_that_was_not_full_tells_nothing_of_a_larger_one() -> None:
    pace = made()
    run(pace, per_record=0.001, batches=4)
    for _ in range(20):
        pace.took(0.01, batch(15))
    assert most(pace) == 16


def test_transactions_that_take_long_whatever_their_size_still_carry_the_least() -> None:
    pace = made()
    for _ in range(20):
        pace.took(3.9, batch(most(pace)))
    assert most(pace) == 500  # it is not the size
    for _ in range(20):
        pace.took(6.0, batch(most(pace)))
    assert most(pace) == 16 == round(500 * LEAST)


@pytest.mark.parametrize("records", [1, 3])
def test_a_small_limit_is_kept(records: int) -> None:
    assert run(made(records), per_record=0.001, batches=5)[-1] == records


def test_a_transaction_that_is_given_up_teaches_only_that_it_was_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = made()
    run(pace, per_record=0.001, batches=9)
    assert most(pace) == 500
    for seconds, then in ((SLOW - 1, 500), (SLOW + 1, 250), (0.1, 250)):
        now = iter([100.0, 100.0 + seconds])
        monkeypatch.setattr("services.kernel.kafka.pace.time.monotonic", lambda now=now: next(now))
        with pytest.raises(TimeoutError), pace.of([(record, None) for record in batch(500)]):  # type: ignore[misc]
            raise TimeoutError
        assert most(pace) == then


def test_what_is_overtaken_by_news_ends_at_one_record_and_grows_again() -> None:
    pace = made()
    run(pace, per_record=0.001, batches=9)
    sizes = []
    for _ in range(6):
        pace.overtaken()
        sizes.append(most(pace))
    assert sizes == [125, 32, 8, 2, 1, 1]
    assert run(pace, per_record=0.001, batches=10)[-1] == 500
