"""Nothing lost, nothing doubled, whatever dies: on a real broker, with the seed and the moments printed."""

from __future__ import annotations

import os

import pytest

from tests.chaos.harness import KillRun, Report, show

SEED = int(os.environ.get("KILL_SEED", "20261124"))

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


def assert_whole(report: Report) -> None:
    assert_accounted(report)
    assert report.longest_block <= 15.0


def assert_accounted(report: Report) -> None:
    assert (report.lost, report.doubled, report.unaccounted, report.gaps) == (0, 0, 0, [])
    assert report.uncommitted_without_entry == 0
    assert report.partner_records > sum(report.sent.values()) / 4


def test_ten_kills_a_stop_and_a_broker_restart_lose_and_double_nothing() -> None:
    run = KillRun(seed=SEED, records=20_000, rate=200, kills=10)
    report = run.run(stop_one=True, restart_broker=True)
    print(f"seed {SEED}")
    show(report)
    assert report.kills >= 10
    assert_whole(report)
    # no worker of a service was up: as long as a few starts take here, where one is killed while it starts
    assert report.longest_silence <= max(30.0, 4 * report.first_after)


def test_without_the_transaction_the_same_kills_double_records() -> None:
    run = KillRun(seed=SEED, records=4_000, rate=80, kills=8, module="tests.chaos.no_transactions")
    report = run.run(stop_one=False, restart_broker=False)
    show(report)
    assert report.lost + report.doubled + len(report.gaps) > 0


@pytest.mark.long
def test_sixty_kills() -> None:
    run = KillRun(seed=SEED + 1, records=100_000, rate=200, kills=60)
    report = run.run(stop_one=True, restart_broker=True)
    show(report)
    assert_whole(report)
