"""What the monitor says: unknown is never zero, labels are closed, alerts fit their schema and are said once."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import generate_latest

from services.kernel.kafka.lag import Position
from services.kernel.kafka.topology_file import load_topology
from services.kernel.paths import ROOT
from services.kernel.web import answer as served
from services.monitor import alerts, buckets, report, web
from services.monitor.alerts import Board, Condition, Event, Limits
from services.monitor.chain import KEPT, Finding, Verdict
from services.monitor.entry import Delivery
from services.monitor.lag import Lag, Lags
from services.monitor.metrics import Metrics
from services.monitor.report import Known, Reach
from services.monitor.state import Found, Mark, advance, read_mark
from services.monitor.windows import Figures, Size
from tests.ledger.helpers import NOW, entries
from tests.monitor.test_state import DELIVERIES, straight

MINUTE = 60_000
SCHEMA = jsonschema_rs.validator_for(json.loads((ROOT / "schemas" / "messages" / "ops-alert.json").read_text()))


class View:
    """A monitor that has read `table`; `known` False as if it had not yet."""

    def __init__(self, table: dict[bytes, bytes], *, known: bool = True, lags: list[Lag] | None = None) -> None:
        self.table, self.is_known, self.held = table, known, lags

    def now(self) -> int:
        return NOW + 125_000

    def reach(self) -> Reach:
        return report.reach(read_mark(self.table.get), at_end=True if self.is_known else None, now=self.now())

    def mark(self) -> Mark | None:
        return read_mark(self.table.get) if self.is_known else None

    def behind(self) -> int | None:
        return 0 if self.is_known else None

    def items(self) -> Any:
        return self.table.items() if self.is_known else ()

    def lags(self) -> list[Lag] | None:
        return self.held

    def conditions(self) -> dict[tuple[str, str], int]:
        return {(Event.NO_PROGRESS, "critical"): 2}

    def look_age(self) -> float:
        return 2.5

    def healthy(self) -> bool:
        return self.is_known

    def figures(self, size: Size, count: int) -> dict[str, Any]:
        return {"window": size, "count": count}


def test_the_monitor_exports_its_own_clock_for_another_to_compare() -> None:
    registry = CollectorRegistry()
    registry.register(Metrics(View({}, known=False), load_topology()))
    clock = registry.get_sample_value("safe_reporting_clock_timestamp_seconds", {"service": "monitor"})
    assert clock == (NOW + 125_000) / 1000
    assert registry.get_sample_value("safe_reporting_monitor_look_age_seconds") == 2.5


@pytest.mark.parametrize(
    ("start", "until", "is_known"),
    [
        (NOW - 2 * MINUTE, NOW + 5 * MINUTE, Known.UNKNOWN),
        (NOW - 1, NOW + 5 * MINUTE, Known.PARTIAL),
        (NOW, NOW + 5 * MINUTE, Known.WHOLE),
        (NOW, NOW + MINUTE - 1, Known.SO_FAR),
        (NOW + 6 * MINUTE, NOW + 5 * MINUTE, Known.UNKNOWN),
        (NOW, None, Known.UNKNOWN),
    ],
)
def test_what_is_known_of_a_window(start: int, until: int | None, is_known: Known) -> None:
    assert report.known(start, Size.MINUTE, Reach(NOW, until)) is is_known
    said = report.window(start, Size.MINUTE, Reach(NOW, until), {})
    assert (said["total"] is None) is (is_known is Known.UNKNOWN)


def test_quantiles_are_bounds_or_unknown() -> None:
    counts = buckets.empty()
    assert buckets.quantile(counts, 0.99) == (None, False)
    for taken in (3, 5, 6, 40, 99):
        buckets.add(counts, taken)
    assert buckets.quantile(counts, 0.5) == (10, True)
    assert buckets.quantile(counts, 0.99) == (100, True)
    buckets.add(counts, 10**9)
    assert buckets.quantile(counts, 0.99) == (buckets.BOUNDS_MS[-1], False)
    said = report.times(counts, 2)
    assert (said["known"], said["unknown"], said["p99"]) == (6, 2, "longer")
    assert report.times(buckets.empty(), 0)["p50"] is None


def test_lag_says_records_age_and_standing_still() -> None:
    lags = Lags(["redacted"], dark=20.0)

    def see(committed: int | None, end: int, now: float, topic: str = "agency.a.b") -> Lag:
        return lags.see(Position("redactor", topic, 0, committed, end, written=end), now=now)

    assert see(None, 5, 0.0).records is None
    assert see(5, 5, 1.0) == Lag("redactor", "agency.a.b", 0, 0, 0.0, 0.0, 0.0)
    behind = see(5, 9, 11.0)
    assert (behind.records, behind.age, behind.still) == (4, 10.0, 0.0)
    assert see(5, 9, 31.0).still == 20.0
    assert see(7, 9, 32.0).still == 0.0
    assert see(1, 2, 1.0, "redacted").records == 0  # the mark of a transaction is no record


def test_a_partition_of_which_nothing_is_told_has_no_lag_and_the_others_have() -> None:
    lags = Lags(["redacted"], dark=20.0)

    def unknown(now: float) -> Lag:
        return lags.see(Position("router", "redacted", 1, None, None), now=now)

    assert unknown(0.0) == Lag("router", "redacted", 1, None, None, 0.0, 0.0, known=False)
    other = lags.see(Position("router", "redacted", 2, 5, 9), now=0.0)
    assert alerts.of_lags([unknown(19.0), other], Limits()) == []  # leaders move for some seconds
    long = [unknown(25.0), unknown(25.0)._replace(partition=3), other]
    assert alerts.of_lags(long, Limits()) == [
        Condition(Event.LAG_UNKNOWN, "warning", "redacted", number=2, about="router")
    ]  # fmt: skip
    assert lags.see(Position("router", "redacted", 1, 5, 6), now=26.0).known
    assert unknown(27.0).still == 0.0


def test_what_a_transaction_holds_back_for_longer_than_one_lives_is_not_known() -> None:
    lags = Lags(["redacted"], dark=20.0)

    def see(committed: int, end: int, written: int, now: float) -> Lag:
        return lags.see(Position("router", "redacted", 0, committed, end, written=written), now=now)

    assert see(5, 5, 9, 0.0).records == 0
    assert see(5, 5, 9, 19.0).records == 0
    assert see(5, 5, 12, 20.0) == Lag("router", "redacted", 0, None, None, 0.0, 20.0, known=False)
    assert see(5, 8, 12, 21.0).records == 3  # the end has moved
    assert see(5, 8, 12, 45.0).records == 3  # what can be read waits, whatever comes behind it
    assert not see(8, 8, 12, 46.0).known
    assert see(8, 8, 8, 47.0).records == 0


def test_the_newest_end_is_remembered_however_many_came_before() -> None:
    lags = Lags([], dark=20.0)
    for number in range(1200):
        lag = lags.see(Position("router", "redacted", 0, number, number + 1), now=float(number))
        assert lag.records == 1


def test_a_topic_that_is_missing_is_said_at_once_by_its_name() -> None:
    here = Position("redactor", "agency.gmp.police-crime", 0, None, None, missing=True)
    lag = Lags([], dark=20.0).see(here, now=0.0)
    assert alerts.of_lags([lag], Limits()) == [
        Condition(Event.LAG_UNKNOWN, "critical", "agency.gmp.police-crime", number=1, about="redactor")
    ]  # fmt: skip


def test_conditions_of_lag_and_quarantines() -> None:
    lag = Lag("redactor", "agency.a.b", 1, 20_000, 700.0, 650.0, 90.0)
    found = alerts.of_lags(
        [lag, lag._replace(records=None), lag._replace(records=0, age_at_least=0, still=0)], Limits()
    )
    assert [one.event for one in found] == [
        Event.NO_PROGRESS, Event.LAG_RECORDS, Event.LAG_AGE, Event.NO_POSITION,
    ]  # fmt: skip
    quiet = Figures(entries=1000, outcomes={"quarantined/format": 19})
    burst = Figures(entries=100, outcomes={"quarantined/format": 15, "quarantined/system": 15})
    assert alerts.of_quarantines("redactor", quiet, Limits()) == []
    assert [one.number for one in alerts.of_quarantines("redactor", burst, Limits())] == [30]


def test_every_alert_fits_the_published_schema() -> None:
    finding = Found("router", "redacted", 2, Finding(Verdict.GAP, 4, 9, 100))
    conditions = [*alerts.of_findings([finding]), *(Condition(event, "warning", number=3) for event in Event)]
    for condition in conditions:
        SCHEMA.validate(json.loads(alerts.message(condition, slot=0, now_ms=NOW).value or b""))
    assert conditions[0].number == 6


def test_a_storm_of_gaps_is_one_alert_that_says_how_many_or_that_it_does_not_know() -> None:
    def found(count: int, verdict: Verdict = Verdict.GAP) -> list[Found]:
        return [Found("router", "redacted", 2, Finding(verdict, 10 * n, 10 * n + 1, n)) for n in range(count)]

    assert len(alerts.of_findings(found(alerts.STORM))) == alerts.STORM
    (storm,) = alerts.of_findings(found(alerts.STORM + 1))
    assert (storm.event, storm.offset, storm.number) == (Event.CHAIN_GAP, 0, 2 * (alerts.STORM + 1))
    mixed = alerts.of_findings(found(KEPT - 10) + found(10, Verdict.DOUBLE))
    assert [(one.event, one.offset, one.number) for one in mixed] == [
        (Event.CHAIN_GAP, None, None), (Event.CHAIN_DOUBLE, None, None),
    ]  # fmt: skip


def test_a_condition_is_said_when_it_begins_and_now_and_then() -> None:
    board, one = Board(), Condition(Event.LAG_AGE, "warning", "t", 0)
    assert board.due([one], now=0.0) == [one]
    assert board.due([one], now=5.0) == [one]  # it could not be said
    assert board.count() == 1
    board.said([one], now=5.0)
    assert board.due([one], now=10.0) == []
    assert board.due([one], now=5.0 + alerts.REPEAT_S) == [one]
    board.said([one], now=5.0 + alerts.REPEAT_S)
    assert board.due([], now=alerts.REPEAT_S + 6) == []
    assert board.count() == 0
    assert board.due([one], now=alerts.REPEAT_S + 7) == [one]


def metrics(view: View) -> str:
    registry = CollectorRegistry()
    registry.register(Metrics(view, load_topology()))
    return generate_latest(registry).decode()


def test_metrics_have_closed_labels_and_nothing_where_nothing_is_known() -> None:
    table = straight(DELIVERIES)
    strange = next(entries(1, 60, feed="agency.x.marac")).replace(b'"agency":"gmp"', b'"agency":"secret-name"')
    for key, value in advance(table.get, [Delivery(5000, NOW + 60_100, strange)], keys=list(table)).writes:
        table[key] = value or b""
    said = metrics(View(table, lags=[Lag("redactor", "redacted", 0, None, None, 0.0, 0.0)]))
    assert "secret-name" not in said
    assert 'agency="other"' in said
    assert "safe_reporting_monitor" in said
    unknown = metrics(View(table, known=False))
    samples = [line for line in unknown.splitlines() if line and not line.startswith("#")]
    assert not [line for line in samples if "entries" in line and line.endswith(" 0.0")]


def answer(path: str, view: Any, registry: CollectorRegistry = REGISTRY) -> tuple[int, str, bytes]:
    return served(path, web.pages(view), registry)


def test_pages_say_not_ready_and_not_healthy_by_their_status() -> None:
    ready, waiting = View(straight(DELIVERIES)), View({}, known=False)
    assert answer("/readyz", ready, CollectorRegistry())[0] == 200
    assert answer("/readyz", waiting, CollectorRegistry())[0] == 503
    assert answer("/healthz", waiting, CollectorRegistry())[0] == 503
    assert json.loads(answer("/figures?window=15m&count=9999", ready)[2]) == {"window": "15m", "count": 192}
    assert answer("/figures?window=2h", ready)[0] == 400
    assert answer("/elsewhere", ready)[0] == 404
