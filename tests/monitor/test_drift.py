"""A rate that leaves its past is seen, its rhythm is not; what is not known is not told as nought."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from random import Random
from typing import Any

import jsonschema_rs
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from services.cli.bench_drift import World, delay, false_alarms
from services.kernel import tally
from services.kernel.errors import ConfigError, UnreachableError
from services.kernel.paths import ROOT
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes
from services.monitor.alerts import Event
from services.monitor.drift import LEARNED_MS, Chart, Reading, State
from services.monitor.tallies import FRESH_S, Board, Drift, Tallies, accepted

HOUR = 3_600_000
MONDAY = 1_789_948_800_000
GMP, NRM = ("gmp", "police-crime"), ("first-responder", "nrm")
SCHEMA = jsonschema_rs.validator_for(json.loads((ROOT / "schemas" / "messages" / "ops-tally.json").read_text()))


class _Board(Board):
    """One producer that fell, and one that is new."""

    def drifts(self) -> list[Drift]:
        quiet, new, fallen = chart(days=20), chart(days=2), chart(days=20)
        for hour in range(48):
            fallen.take(MONDAY + 20 * 24 * HOUR + hour * HOUR, 50, 0)
        return [Drift(*GMP, fallen.read(), quiet.read()), Drift(*NRM, new.read(), new.read())]


def drifting() -> Tallies:
    """Tallies that were read, and show both."""
    made = Tallies({}, _Board([GMP, NRM]), source=lambda *_: iter(()))
    made.look()
    return made


def chart(*, days: int, rate: float = 0.4, **options: Any) -> Chart:
    """A chart after so many days of 50 records an hour."""
    made = Chart(**options)
    for hour in range(days * 24):
        made.take(MONDAY + hour * HOUR, 50, round(50 * rate))
    return made


def record(value: bytes | None, offset: int, at: int = MONDAY) -> Inbound:
    return Inbound(tally.TOPIC, 0, offset, at, None, None if value is None else SensitiveBytes(value))


def told(id_: int, *, masked: int = 20, records: int = 50, producer: tuple[str, str] = GMP) -> bytes:
    one = tally.Tally(f"{id_:016x}", *producer, records, masked, 0)
    return tally.message(one, now=MONDAY).value or b""


def test_a_steady_rate_is_steady_and_one_without_past_is_not_judged() -> None:
    assert chart(days=20).read().state is State.STEADY
    fresh = chart(days=6)
    for hour in range(12):
        fresh.take(MONDAY + 6 * 24 * HOUR + hour * HOUR, 50, 0)
    assert fresh.read().state is State.LEARNING
    assert Chart().read() == Reading(State.LEARNING, None, None, 0.0, 0.0, None, 0)


@pytest.mark.parametrize(("hits", "state"), [(0, State.FALLEN), (50, State.RISEN)])
def test_a_sudden_change_is_seen_within_three_hundred_records(hits: int, state: State) -> None:
    made, start = chart(days=20), MONDAY + 20 * 24 * HOUR
    for hour in range(6):
        made.take(start + hour * HOUR, 50, hits)
    reading = made.read()
    assert reading.state is state
    assert 300 <= reading.records <= 350  # with what came before on the same day in London
    assert reading.since is not None
    assert start - HOUR <= reading.since <= start
    assert reading.past == pytest.approx(0.4, abs=0.01)


def test_what_is_drifting_does_not_become_the_past_and_ends_when_it_is_repaired() -> None:
    made, hour = chart(days=20), 20 * 24
    for _ in range(40 * 24):
        made.take(MONDAY + hour * HOUR, 50, 0)
        hour += 1
    assert made.read().state is State.FALLEN
    assert made.read().past == pytest.approx(0.4, abs=0.02)
    for _ in range(5 * 24):
        made.take(MONDAY + hour * HOUR, 50, 20)
        hour += 1
    assert made.read().state is State.STEADY


def test_a_rare_event_is_told_of_when_it_comes_to_stay_and_not_for_one_record() -> None:
    made, start = chart(days=20, rate=0.0, falls=False), MONDAY + 20 * 24 * HOUR
    made.take(start, 50, 1)
    assert made.read().state is State.STEADY
    made.take(start + HOUR, 50, 50)
    assert made.read().state is State.RISEN


def test_simulated_producers_raise_no_alarm_in_a_year_and_a_dead_detector_is_seen_in_a_day() -> None:
    busy = World(a_day=1000, rate=0.5)
    assert false_alarms(busy, 365, Random(11)) == 0
    dead, halved = delay(busy, 0.0, Random(12)), delay(busy, 0.5, Random(12))
    assert dead is not None
    assert dead[0] < 24 * HOUR
    assert halved is not None
    assert dead[0] < halved[0] < 10 * 24 * HOUR


def test_tallies_are_of_many_records_in_tens_and_add_up() -> None:
    counter, chance = tally.Counter(), Random(3)
    made, masked = [], 0
    for number in range(5_000):
        hit = chance.random() < 0.37
        masked += hit
        message = counter.count(
            ("agency.gmp.police-crime", 0, number), GMP, masked=hit, unknown_field=number % 7 == 0,
            now=MONDAY + number * 1000,
        )  # fmt: skip
        if message is not None:
            assert message.partition == 0
            assert SCHEMA.is_valid(json.loads(message.value or b""))
            made.append(tally.read(message.value or b""))
    tallies = [one for one in made if one is not None]
    assert len(tallies) == len(made) > 50
    assert all(one.records >= tally.LEAST and one.masked % tally.STEP == 0 for one in tallies)
    assert abs(sum(one.masked for one in tallies) - masked) < 2 * tally.STEP + tally.LEAST + 10
    assert len({one.id for one in tallies}) == len(tallies)


@pytest.mark.parametrize(
    "changed",
    [
        {"masked": -10},
        {"unknown_fields": -1},
        {"records": 0},
        {"masked": 110},
        {"unknown_fields": 101},
        {"masked": 1.5},
    ],
)
def test_a_tally_that_cannot_be_is_none(changed: dict[str, float]) -> None:
    good = {"v": 1, "id": "0" * 16, "agency": "gmp", "feed": "marac", "records": 100, "masked": 10, "unknown_fields": 0}
    assert tally.read(json.dumps(good).encode()) is not None
    assert tally.read(json.dumps(good | changed).encode()) is None


def test_a_record_that_is_handled_again_counts_once() -> None:
    counter = tally.Counter()
    for number in [*range(49), *range(49)]:
        assert counter.count(("t", 0, number), GMP, masked=True, unknown_field=False, now=MONDAY + 90_000) is None
    made = counter.count(("t", 1, 0), GMP, masked=True, unknown_field=False, now=MONDAY + 180_000)
    assert made is not None
    assert json.loads(made.value or b"")["records"] == 50


def test_nothing_is_told_within_a_minute_however_many_records() -> None:
    counter = tally.Counter()
    assert all(
        counter.count(("t", 0, number), GMP, masked=True, unknown_field=True, now=MONDAY + number) is None
        for number in range(5_000)
    )


def test_doubles_strangers_and_rubbish_change_no_chart() -> None:
    board = Board([GMP])
    board.take(record(told(1), 0))
    before = board.drifts()
    board.take(record(told(1), 1))
    for value in (None, b"{", b"[]", told(2, producer=NRM), told(3, masked=60), told(4, records=-5, masked=-6)):
        board.take(record(value, 2))
    assert board.drifts() == before
    assert board.unreadable == 6


def test_the_past_begins_anew_where_a_change_was_accepted() -> None:
    since = accepted("gmp/police-crime@2026-09-25T00:00:00+01:00", [GMP])
    board = Board([GMP], since)
    for number, (before, at) in enumerate(pairwise(range(0, 20 * 24))):
        masked = 20 if MONDAY + at * HOUR < since[GMP] else 50
        board.take(record(told(number, masked=masked), before, MONDAY + at * HOUR))
    (drift,) = board.drifts()
    assert drift.masked.state is State.STEADY
    assert drift.masked.past == 1.0
    assert since[GMP] - MONDAY < LEARNED_MS


@pytest.mark.parametrize("text", ["gmp/police-crime", "gmp/police-crime@2026-09-25T00:00:00", "x/y@2026-09-25T00:00Z"])
def test_a_setting_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="SR_DRIFT_ACCEPTED"):
        accepted(text, [GMP])


def test_drift_is_not_known_until_the_topic_was_read_and_a_reading_goes_on_where_the_last_ended() -> None:
    starts, away = [], [False]

    def source(_: Any, start: int) -> Any:
        starts.append(start)
        if away[0]:
            raise UnreachableError("away")
        yield from (record(told(start + number), start + number) for number in range(3))

    tallies = Tallies({}, Board([GMP]), source=source)
    assert tallies.drifts() is None
    away[0] = True
    with pytest.raises(UnreachableError):
        tallies.look()
    assert tallies.drifts() is None
    away[0] = False
    tallies.look()
    tallies.look()
    assert starts == [0, 0, 3]
    assert tallies.drifts() is not None
    unread = metrics(Tallies({}, Board([GMP])))
    assert "safe_reporting_drift_score{" not in unread
    assert "\nsafe_reporting_tallies_unreadable_total" not in unread
    assert "\nsafe_reporting_tallies_unreadable_total 0.0" in metrics(tallies)


def metrics(tallies: Tallies) -> str:
    registry = CollectorRegistry()
    registry.register(tallies)
    return generate_latest(registry).decode()


def test_a_fall_is_an_alert_and_a_metric_and_what_is_learning_has_no_score() -> None:
    tallies = drifting()
    (condition,) = tallies.conditions()
    assert condition.event is Event.MASKS_FALLEN
    assert condition.severity == "critical"
    assert condition.topic == "agency.gmp.police-crime"
    text = metrics(tallies)
    assert 'safe_reporting_drift_learning{agency="first-responder",feed="nrm"} 1.0' in text
    assert 'safe_reporting_drift_score{agency="gmp",feed="police-crime",kind="masks_fallen"} 1.5' in text
    alarm = 'safe_reporting_drift_alarm{agency="gmp",feed="police-crime",kind="'
    told = {kind: f'{alarm}{kind}"}} 1.0' in text for kind in ("masks_fallen", "masks_risen", "unknown_fields")}
    assert told == {"masks_fallen": True, "masks_risen": False, "unknown_fields": False}
    assert 'drift_score{agency="first-responder",feed="nrm"' not in text
    page = (tallies.figures() or {})["producers"][0]
    assert page["masked"]["state"] == "fallen"
    assert page["masked"]["since"].endswith("Z")


def test_the_alarm_that_is_exported_stands_as_long_as_the_monitors_own() -> None:
    made, hour = chart(days=20), 20 * 24
    scores = []
    for hits in [0] * 48 + [20] * 24 * 5:
        made.take(MONDAY + hour * HOUR, 50, hits)
        hour += 1
        board = Board([GMP])
        board._masked[GMP] = made
        tallies = Tallies({}, board, source=lambda *_: iter(()))
        tallies.look()
        stands = any(one.event is Event.MASKS_FALLEN for one in tallies.conditions())
        exported = metrics(tallies)
        assert ('kind="masks_fallen"} 1.0' in exported.partition("drift_alarm{")[2].splitlines()[0]) is stands
        scores.append((stands, made.read().fall))
    assert any(stands and fall < 1 for stands, fall in scores)
    assert not scores[-1][0]


def test_what_cannot_be_read_for_three_minutes_is_an_alert_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tallies = Tallies({}, Board([GMP]))
    assert tallies.conditions() == []
    assert tallies.figures() is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + FRESH_S + 1)
    assert [condition.event for condition in tallies.conditions()] == [Event.DRIFT_UNKNOWN]
