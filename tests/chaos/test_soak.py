"""A service that runs for weeks holds no more than after its first minutes: memory, open files, records behind."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from services.kernel.settings import Settings
from tests.chaos.soak import Reading, Soak, behind, files, first, kept, last, show

#: Of the long run: records at full rate, then seconds at the steady rate.
RECORDS = int(os.environ.get("SOAK_RECORDS", "2000000"))
STEADY = float(os.environ.get("SOAK_STEADY", "900"))
#: Seconds at full rate at most, and a file for the readings.
MOST = float(os.environ.get("SOAK_MOST", math.inf))
KEPT = os.environ.get("SOAK_READINGS")

#: MB that a process may grow. Where Kafka's clients are, their queues still fill after 3,000 records: a redactor grew
#: by 4.2 MB in 8,000, of which 2.9 MB went when nothing waited any more. What the wider bound lets pass in the short
#: run, up to a kilobyte a record, is for the long one to find.
GROWTH = 5.0
CLIENTS = 8.0

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


def assert_flat(before: list[Reading], after: list[Reading], *, clients: float = GROWTH) -> None:
    for process in before[0].memory:
        grown = kept(after, process) - kept(before, process)
        assert grown <= (GROWTH if process.endswith("step") else clients), f"{process} grew by {grown:.1f} MB"
        assert files(after, process) == files(before, process), process


def test_eight_thousand_records_leave_nothing_behind() -> None:
    soak = Soak(records=11_000, warm=3_000)
    soak.run()
    show(soak)
    assert_flat(first(soak.full, 5), last(soak.full, 5), clients=CLIENTS)


@pytest.mark.long
def test_two_million_records_and_a_steady_rate_leave_nothing_behind() -> None:
    readings = Path(KEPT) if KEPT else None
    soak = Soak(records=RECORDS, warm=RECORDS // 4, steady=STEADY, most=MOST, kept=readings)
    soak.run()
    show(soak)
    for after in soak.full, soak.calm:
        assert_flat(first(soak.full, 5), last(after, 5))
    for service in soak.calm[0].behind:
        most = behind(first(soak.calm, 3), service) + Settings().batch_records
        assert behind(last(soak.calm, 3), service) <= most, f"the {service} falls behind"
