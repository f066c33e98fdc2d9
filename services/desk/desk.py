"""The desk: what was heard, what is open now, and what must be said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from services.desk.closed import NAME, ClosedGate
from services.desk.register import LEVELS, Item, Pace, Register
from services.desk.said import SEVERITIES, Escalation, Event, Said
from services.kernel import alert, gate, safety
from services.kernel.ledger import rfc3339
from services.kernel.record import Inbound
from services.kernel.vocabulary import Risk

#: Holds that the page shows one by one; `safety list` has all.
SHOWN = 100


class View(NamedTuple):
    """What is open, made by the desk's own thread for that of its pages. Times are milliseconds since the epoch."""

    open: tuple[Item, ...]
    gate_since: int | None
    gate_waiting: int | None


class Desk:
    """Hears the topics, and says what is open and what is due.

    Args:
        clock: milliseconds since the epoch.
        took: told of each hold that came after the first reading: the seconds that it took to get here.

    Attributes:
        ready: all was read to its end once; before, nothing that it knows is whole.
    """

    def __init__(
        self, register: Register, closed: ClosedGate, pace: Pace, *, clock: Callable[[], int],
        took: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._register = register
        self._gate = closed
        self._pace = pace
        self._clock = clock
        self._took = took
        self._changed = True
        self._items: tuple[Item, ...] = ()
        self._view = View((), None, None)
        self.said = Said()
        self.counts: Counter[str] = Counter(holds=0, acknowledgements=0)
        self.ready = False

    def told(self, record: Inbound) -> None:
        """Take in a message of one of the topics. Data never raises."""
        if record.topic == safety.TOPIC:
            item = self._register.hear_hold(record)
            if item is not None and self.ready:
                self.counts["holds"] += 1
                self._took(max(0, self._clock() - item.raised) / 1000)
        elif record.topic == safety.ACKNOWLEDGED:
            if self._register.hear_acknowledgement(record) and self.ready:
                self.counts["acknowledgements"] += 1
        elif record.topic == alert.TOPIC:
            self.said.hear(record)
            return
        elif record.topic == gate.TOPIC:
            self._gate.hear(record)
        self._changed = True

    def show(self) -> None:
        """Let the pages have what is open now."""
        if self._changed:
            self._register.forget(self._clock())
            self._items = tuple(self._register.open())
            self._changed = False
        self._view = View(self._items, self._gate.since, self._gate.waiting)

    def due(self) -> list[Escalation]:
        """What must be said now."""
        now = self._clock()
        return self.said.due(self._escalations(now), now=now)

    def _escalations(self, now: int) -> list[Escalation]:
        """Every event that holds at a level."""
        latest: dict[int, list[int]] = {level: [] for level in SEVERITIES}
        for hold, raised in self._view.open:
            if level := self._pace.level(raised, hold.risk, now):
                latest[level].append(self._pace.steps(raised, hold.risk)[level - 1])
        found = [Escalation(Event.UNACKNOWLEDGED, level, len(at), max(at)) for level, at in latest.items() if at]
        since, records = self._view.gate_since, self._view.gate_waiting
        if since is not None and (level := self._pace.level(since, Risk.UNKNOWN, now)):
            at = self._pace.steps(since, Risk.UNKNOWN)[level - 1]
            found.append(Escalation(Event.GATE_CLOSED, level, records, at))
        return found

    def unreadable(self) -> int:
        """Messages of the two topics that are neither holds nor acknowledgements."""
        return self._register.unreadable

    def levels(self) -> Counter[tuple[str | None, str | None, int]]:
        """Open holds by agency, feed and level."""
        now = self._clock()
        return Counter(
            (hold.agency, hold.feed, self._pace.level(raised, hold.risk, now)) for hold, raised in self._view.open
        )

    def oldest(self) -> float:
        """Seconds since the oldest open hold was raised; 0 where none is open."""
        return max(0, self._clock() - self._view.open[0].raised) / 1000 if self._view.open else 0.0

    def gate(self) -> tuple[float, int, int | None] | None:
        """Seconds for which the gate is closed, its level, and the records that wait; None where it is open."""
        since = self._view.gate_since
        if since is None:
            return None
        now = self._clock()
        return max(0, now - since) / 1000, self._pace.level(since, Risk.UNKNOWN, now), self._view.gate_waiting

    def page(self, *, known: bool = True) -> tuple[int, dict[str, Any]]:
        """The page `/holds`: 503 until all was read once, and where what was read is old."""
        if not (self.ready and known):
            return 503, {"ready": False}
        now, items = self._clock(), self._view.open
        levels = Counter(level for (_, _, level), number in self.levels().items() for _ in range(number))
        return 200, {
            "ready": True,
            "open": {str(level): levels[level] for level in LEVELS},
            "oldest_seconds": round(self.oldest(), 1),
            "unreadable": self.unreadable(),
            "gate": gate_row(self._view.gate_since, self._view.gate_waiting, self._pace, now=now),
            "holds": [row(item, self._pace, now=now) for item in items[:SHOWN]],
        }


def row(item: Item, pace: Pace, *, now: int) -> dict[str, Any]:
    """A hold for people and programs; `now` is milliseconds since the epoch."""
    hold, raised = item
    return {
        "id": hold.id,
        "raised": rfc3339(raised),
        "age_seconds": max(0, now - raised) // 1000,
        "agency": hold.agency,
        "feed": hold.feed,
        "topic": hold.source.topic,
        "partition": hold.source.partition,
        "offset": hold.source.offset,
        "risk": hold.risk.value,
        "reason": hold.reason.value,
        "level": pace.level(raised, hold.risk, now),
    }


def gate_row(since: int | None, waiting: int | None, pace: Pace, *, now: int) -> dict[str, Any] | None:
    """The closed gate for people and programs; `records` is null where it is not known. None where it is open."""
    if since is None:
        return None
    return {
        "id": NAME,
        "raised": rfc3339(since),
        "age_seconds": max(0, now - since) // 1000,
        "records": waiting,
        "level": pace.level(since, Risk.UNKNOWN, now),
    }
