"""What the watch knows, says and alerts, with a ledger and a broker that are made up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from services.kernel.errors import UnreachableError
from services.kernel.kafka.lag import END, Position
from services.kernel.kafka.topology_file import load_topology
from services.kernel.record import Message
from services.monitor import watch as module
from services.monitor.state import Mark, read_mark
from services.monitor.watch import Watch
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
        self.away = False
        self.young: dict[tuple[str, str, int], int] = {}
        self.found = [Position("redactor", "agency.gmp.police-crime", 0, 7, 7)]

    def read(self, *, seconds: float) -> list[Position]:
        if self.away:
            raise UnreachableError("away")
        return self.found

    def end(self, topic: str, *, seconds: float) -> int:
        return DELIVERIES[-1].offset + 2

    def expiring(self, ages: dict[str, int], *, now: int, seconds: float) -> dict[tuple[str, str, int], int]:
        assert ages["agency.gmp.police-crime"] == 14 * 86_400_000 // 4
        assert "control" not in ages  # nothing of it expires
        return self.young

    def close(self) -> None:
        pass


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    heard: list[str] = []

    def send(_: Any, messages: list[tuple[Message, int]]) -> None:
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


def test_a_table_that_stands_still_is_unhealthy_only_while_there_is_more(watch: Watch, ledger: Ledger) -> None:
    watch._look()
    assert watch.healthy()
    ledger.moved -= module.STILL_S + 1
    assert not watch.healthy()
    ledger.reached += 1
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
    with pytest.raises(UnreachableError):
        watch._look()
    assert watch.lags() is not None
    monkeypatch.setattr(module, "FRESH_S", -1.0)
    watch._look()
    assert said == ["lag_unknown"]
    assert (watch.lags(), watch.behind(), watch.reach().until) == (None, None, None)


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


def test_what_waits_for_a_quarter_of_its_retention_is_alerted_before_it_is_lost(watch: Watch, said: list[str]) -> None:
    place = "redactor", "agency.gmp.police-crime", 0
    broker(watch).found = [Position(*place, 5, 100)]
    broker(watch).young = {place: 6}
    watch._look()
    assert said == []  # one, which may be the mark of a transaction
    watch._young = {place: END}
    watch._look()
    assert said == ["retention_quarter"]
    assert watch.conditions() == {("retention_quarter", "critical"): 1}
    broker(watch).found = [Position(*place, 100, 100)]
    watch._look()
    assert watch.conditions() == {}
