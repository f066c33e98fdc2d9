"""What the watch knows, says and alerts, with a ledger and a broker that are made up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest

from services.kernel.errors import UnreachableError
from services.kernel.kafka.lag import Position
from services.kernel.kafka.topology_file import load_topology
from services.kernel.record import Message
from services.monitor import watch as module
from services.monitor import windows
from services.monitor.state import MARK, Mark, read_mark
from services.monitor.watch import LOOKED_S, Watch
from services.monitor.windows import Size
from tests.monitor.test_state import DELIVERIES, straight


class Ledger:
    """A table that was read as far as `reached`."""

    def __init__(self) -> None:
        self.table = straight(DELIVERIES)
        self.ready = self.holds = True
        self.reached = DELIVERIES[-1].offset + 1
        self.moved = time.monotonic()

    @property
    def mark(self) -> Mark:
        return read_mark(self.table.get)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.table.items()


class Broker:
    """Positions as they are set here; none where it is away."""

    def __init__(self, *_: Any) -> None:
        self.away = self.silent = False
        self.ends = DELIVERIES[-1].offset + 2, DELIVERIES[-1].offset + 2
        self.young: dict[tuple[str, str, int], int] = {}
        self.found = [Position("redactor", "agency.gmp.police-crime", 0, 7, 7)]

    def read(self, *, seconds: float) -> list[Position]:
        if self.away or self.silent:
            raise UnreachableError("away")
        return self.found

    def end(self, topic: str, *, seconds: float) -> tuple[int, int]:
        if self.away:
            raise UnreachableError("away")
        return self.ends

    def expiring(self, ages: dict[str, int], *, now: int, seconds: float) -> dict[tuple[str, str, int], int]:
        assert ages["agency.gmp.police-crime"] == 14 * 86_400_000 // 4
        assert "control" not in ages  # nothing of it expires
        return self.young

    def close(self) -> None:
        pass


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    heard: list[str] = []

    def send(_: Any, messages: list[tuple[Message, int]], *, deadline: float) -> None:
        heard.extend(orjson.loads(message.value or b"")["event"] for message, _ in messages)

    monkeypatch.setattr(module, "Positions", Broker)
    monkeypatch.setattr(module, "send", send)
    return heard


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def watch(said: list[str], ledger: Ledger) -> Watch:
    return Watch(ledger, {}, load_topology(), slot=0)  # type: ignore[arg-type]  # a ledger that is made up


def broker(watch: Watch) -> Broker:
    positions: Any = watch._positions
    assert isinstance(positions, Broker)
    return positions


def test_before_the_first_answer_nothing_is_known(watch: Watch, ledger: Ledger) -> None:
    assert (watch.behind(), watch.lags(), watch.reach().until) == (None, None, None)
    ledger.ready = False
    said = watch.figures(Size.DAY, 2)
    assert (said["ready"], said["applied"], said["chains"], said["lag"]) == (False, None, None, None)
    assert all(window["total"] is None for window in said["windows"])
    assert watch.healthy()


def test_at_the_end_figures_speak_up_to_the_question_and_behind_it_up_to_the_newest_entry(
    watch: Watch, ledger: Ledger
) -> None:
    before = watch.now()
    watch._look()
    assert watch.behind() == 1
    assert watch.reach().until == DELIVERIES[-1].appended
    ledger.reached += 1
    until = watch.reach().until
    assert watch.behind() == 0
    assert until is not None
    assert before <= until <= watch.now()


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let time pass."""
    now = time.monotonic() + seconds
    monkeypatch.setattr(time, "monotonic", lambda: now)


def test_a_table_that_stands_still_is_unhealthy_only_while_there_is_more(
    watch: Watch, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch._look()
    assert watch.healthy()
    later(monkeypatch, module.STILL_S + 1)
    watch._look()
    assert not watch.healthy()
    ledger.reached += 1
    assert watch.healthy()


def test_after_an_idle_night_the_first_entry_makes_nothing_unhealthy(
    watch: Watch, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.reached += 1
    watch._look()
    later(monkeypatch, 8 * 3600.0)
    ledger.reached -= 1
    watch._look()
    assert watch.behind() == 1
    assert watch.healthy()


def test_without_a_broker_nothing_is_unhealthy(watch: Watch, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    watch._look()
    broker(watch).away = True
    later(monkeypatch, module.STILL_S + 1)
    watch._look()
    assert watch.behind() is None
    assert watch.healthy()
    broker(watch).away = False
    watch._look()
    assert watch.healthy()


def test_a_table_that_is_never_read_is_unhealthy(watch: Watch, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.ready = False
    watch._look()
    assert watch.healthy()
    monkeypatch.setattr(module, "UNREAD_S", -1.0)
    assert not watch.healthy()
    ledger.holds = False  # another instance has the ledger
    watch._look()
    assert watch.healthy()


def test_a_broker_that_does_not_answer_is_said_to_be_unknown(
    watch: Watch, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch._look()
    broker(watch).away = True
    watch._look()
    assert watch.lags() is not None
    assert said == []
    monkeypatch.setattr(module, "FRESH_S", -1.0)
    watch._look()
    assert said == ["lag_unknown"]
    assert (watch.lags(), watch.behind(), watch.reach().until) == (None, None, None)


def test_groups_that_are_not_told_leave_the_end_of_the_ledger_known(
    watch: Watch, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch._look()
    broker(watch).silent = True
    later(monkeypatch, module.FRESH_S + 1)
    watch._look()
    assert said == ["lag_unknown"]
    assert watch.lags() is None
    assert (watch.behind(), watch.reach().until) == (1, DELIVERIES[-1].appended)


def test_behind_a_transaction_that_does_not_end_nothing_is_known(
    watch: Watch, ledger: Ledger, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = ledger.reached
    broker(watch).ends = end, end + 5
    broker(watch).found = [Position("router", "redacted", 0, 7, 7, written=9)]
    watch._look()
    assert (watch.behind(), [lag.records for lag in watch.lags() or []]) == (0, [0, 0])  # it may be a live one
    later(monkeypatch, watch._limits.dark)
    watch._look()
    assert (watch.behind(), watch.reach().until) == (None, None)
    assert [(lag.known, lag.records) for lag in watch.lags() or []] == [(False, None)] * 2
    assert said == ["lag_unknown", "lag_unknown"]
    broker(watch).ends = end + 6, end + 6
    watch._look()
    assert watch.behind() == 6
    assert [one.topic for one in watch._board.standing()] == ["redacted"]


def test_a_ledger_that_ends_before_what_was_taken_in_is_not_known(
    watch: Watch, ledger: Ledger, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker(watch).ends = (ledger.reached, ledger.reached)
    watch._look()
    assert watch.behind() == 0
    broker(watch).ends = (3, 3)  # deleted and made anew: Kafka counts from zero, and all of it would be left out
    watch._look()
    assert (watch.behind(), watch.reach().until) == (None, None)
    later(monkeypatch, 30)
    watch._look()
    assert "lag_unknown" in said


def test_an_alert_that_could_not_be_sent_is_said_at_the_next_look(
    watch: Watch, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    send = module.send

    def away(*_: Any, **__: Any) -> None:
        raise UnreachableError("away")

    monkeypatch.setattr(module, "send", away)
    broker(watch).found = [Position("router", "redacted", 2, None, 5)]
    with pytest.raises(UnreachableError):
        watch._look()
    assert watch.alerts() == 1
    monkeypatch.setattr(module, "send", send)
    watch._look()
    watch._look()
    assert said == ["no_position"]


@pytest.mark.parametrize(("seconds_ago", "is_said"), [(75, True), (400, True), (windows.GRACE_MS // 1000 + 200, False)])
def test_a_burst_is_seen_in_every_minute_that_may_still_get_entries_and_is_one(
    watch: Watch, ledger: Ledger, said: list[str], seconds_ago: int, is_said: bool
) -> None:
    now = watch.now()
    minute = 60_000
    for start in {then - then % minute for then in (now - seconds_ago * 1000, now - (seconds_ago + 60) * 1000)}:
        where = windows.Place(Size.MINUTE, start, "redactor", "gmp", "marac")
        held = windows.Figures(entries=40, outcomes={"quarantined/format": 30})
        ledger.table[where.key] = msgspec.msgpack.encode(held)
    mark = watch.mark()
    assert mark is not None
    mark.known_from, mark.newest = now - 3_600_000, now - now % minute - 1  # the minute before is not over for it
    ledger.table[MARK] = msgspec.msgpack.encode(mark)
    watch._look()
    watch._look()
    assert said == ["quarantine_burst"] * is_said


def test_a_group_without_a_position_is_alerted_once(watch: Watch, said: list[str]) -> None:
    broker(watch).found = [Position("router", "redacted", 2, None, 5)]
    watch._look()
    watch._look()
    assert said == ["no_position"]
    assert watch.alerts() == 1
    broker(watch).found = []
    watch._look()
    assert watch.alerts() == 0


def test_a_partition_without_a_leader_is_not_known_and_the_others_are(watch: Watch, said: list[str]) -> None:
    places = [Position("router", "redacted", 0, 3, None), Position("router", "redacted", 1, 3, 9)]
    broker(watch).found = places
    watch._look()
    dark, led = (watch.lags() or [])[:2]
    assert (dark.known, dark.records, dark.age) == (False, None, None)
    assert (led.known, led.records) == (True, 6)
    assert said == []
    watch._limits = watch._limits._replace(dark=0.0)
    watch._look()
    assert said == ["lag_unknown"]
    assert watch.conditions() == {("lag_unknown", "warning"): 1}
    broker(watch).found = [places[0]._replace(end=3), places[1]._replace(end=3)]
    watch._look()
    assert watch.conditions() == {}


def test_what_held_when_nobody_looks_any_more_is_not_told_as_what_holds(watch: Watch) -> None:
    broker(watch).found = [Position("router", "redacted", 2, None, 5)]
    watch._look()
    assert watch.conditions() == {("no_position", "critical"): 1}
    assert watch.look_age() < LOOKED_S
    assert watch._looked is not None
    watch._looked -= LOOKED_S
    assert watch.conditions() == {}
    assert watch.figures(Size.MINUTE, 1)["conditions"] is None
    assert watch.look_age() >= LOOKED_S
    watch._looked = None
    watch._began -= 2 * LOOKED_S
    assert watch.look_age() >= 2 * LOOKED_S  # it never came to a look


def test_a_storm_of_partitions_that_stand_still_is_one_alert_and_counted_in_full(watch: Watch, said: list[str]) -> None:
    places = [Position("redactor", f"agency.a{n}.marac", p, None, 5) for n in range(10) for p in range(4)]
    broker(watch).found = [*places, Position("router", "redacted", 0, None, 5)]
    watch._look()
    assert said == ["no_position"] * 2  # one for each group
    assert watch.conditions() == {("no_position", "critical"): 41}
    watch._look()
    assert len(said) == 2


def test_a_lone_mark_in_a_topic_of_transactions_waits_for_nothing(watch: Watch, said: list[str]) -> None:
    place = "router", "redacted", 0
    broker(watch).found = [Position(*place, 5, 6)]
    broker(watch).young = {place: 6}
    watch._look()
    assert (said, watch.conditions()) == ([], {})


def test_what_waits_for_a_quarter_of_its_retention_is_alerted_before_it_is_lost(watch: Watch, said: list[str]) -> None:
    place = "redactor", "agency.gmp.police-crime", 0
    broker(watch).found = [Position(*place, 5, 100)]
    broker(watch).young = {place: 6}
    watch._look()
    assert watch.conditions() == {("retention_quarter", "warning"): 1}  # one, which may be the mark of a transaction
    watch._young = {place: 100}
    watch._look()
    assert said == ["retention_quarter"] * 2
    assert watch.conditions() == {("retention_quarter", "critical"): 1}
    broker(watch).found = [Position(*place, 100, 100)]
    watch._look()
    assert watch.conditions() == {}
