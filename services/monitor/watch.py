"""The thread that looks at groups and figures every few seconds, and says what an operator must know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from services.kernel import telemetry
from services.kernel.errors import SafeReportingError
from services.kernel.kafka.lag import Position, Positions
from services.kernel.kafka.reader import send
from services.kernel.kafka.topology_file import Topology
from services.kernel.ledger import TOPIC
from services.monitor import alerts, report
from services.monitor.alerts import Board, Condition, Event, Limits
from services.monitor.app import Ledger
from services.monitor.beside import Part
from services.monitor.lag import Lag, Lags
from services.monitor.state import Mark
from services.monitor.windows import GRACE_MS, Figures, Size, add_up

log = structlog.get_logger()

#: Topics that only transactions write to.
MARKED = ("redacted",)
#: Seconds between two looks, for one look, and after which an answer is too old to be told.
EVERY_S, ASK_S, FRESH_S = 5.0, 4.0, 20.0
#: Seconds after which what a look found to hold is too old to be told.
LOOKED_S = 60.0
#: Seconds between two questions of how old what waits is.
QUARTER_EVERY_S = 60.0
#: Seconds without a move of the table while the ledger has more: the process is not healthy.
STILL_S = 30.0
#: Seconds without figures while this instance has the ledger's partition: the same.
UNREAD_S = 180.0


class Watch:
    """Knows lags, the end of the ledger and what holds; everything it tells is None where it does not know.

    Args:
        config: librdkafka's connection settings.
        parts: what else stands on the page of figures, by name, and is alerted.
    """

    def __init__(
        self, ledger: Ledger, config: Mapping[str, str], topology: Topology, *, slot: int, limits: Limits | None = None,
        parts: Mapping[str, Part] | None = None,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._config = dict(config)
        self._slot = slot
        self._limits = limits or Limits()
        self._parts = dict(parts or {})
        groups = {
            group: [(topic.name, topic.partitions) for topic in topology.topics_of(group)] for group in topology.groups
        }
        self._positions = Positions(config, groups)
        self._memory = Lags(MARKED, dark=self._limits.dark)
        kept = {topic.name: int(topic.settings["retention.ms"]) for topic in topology.topics}
        self._quarters = {topic: kept_ms // 4 for topic, kept_ms in kept.items() if kept_ms > 0}
        self._young: dict[tuple[str, str, int], int] = {}
        self._young_asked: float | None = None
        self._found: list[Position] = []
        self._board = Board()
        self._lags: list[Lag] | None = None
        self._own: Lag | None = None  # the monitor's, whose position is in its table
        self._end: int | None = None
        self._asked = self._end_asked = time.monotonic()
        self._end_asked_ms = 0
        self._unread_since: float | None = None
        self._behind_since: float | None = None
        self._looked: float | None = None
        self._began = time.monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="watch")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()
        self._thread.join(2 * ASK_S)
        self._positions.close()

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(time.time() * 1000)

    def mark(self) -> Mark | None:
        """The table's mark; None while the table is not read or belongs to another instance."""
        return self._ledger.mark if self._ledger.ready else None

    def behind(self) -> int | None:
        """Offsets of the ledger that were not taken in; not known where a transaction holds back what comes next."""
        if not self._ledger.ready or self._end is None or not _fresh(self._end_asked):
            return None
        behind = max(0, self._end - self._ledger.reached)
        return None if not behind and self._own is not None and not self._own.known else behind

    def reach(self) -> report.Reach:
        """The time that the figures speak of: at the end of the ledger, up to when that end was asked for."""
        mark, behind = self.mark(), self.behind()
        at_end = None if behind is None else behind == 0
        return report.reach(mark or Mark(), at_end=at_end if mark else None, now=self._end_asked_ms)

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """The table."""
        return self._ledger.items()

    def lags(self) -> list[Lag] | None:
        """Lag of every partition."""
        return self._known_lags() if self._lags is not None and _fresh(self._asked) else None

    def alerts(self) -> int:
        """How many conditions hold."""
        return self._board.count()

    def conditions(self) -> Mapping[tuple[str, str], int]:
        """How many hold, by event and severity; none where the last look is too old to be told."""
        return self._board.held() if self.look_age() < LOOKED_S else {}

    def look_age(self) -> float:
        """Seconds since the last look, and before the first one since there could be one."""
        return time.monotonic() - self._looked if self._looked is not None else time.monotonic() - self._began

    def healthy(self) -> bool:
        """Whether the table moves while the ledger has more; true where that is not known, as without a broker."""
        now = time.monotonic()
        if self._unread_since is not None and now - self._unread_since > UNREAD_S:
            return False
        since = self._behind_since
        return not self.behind() or since is None or now - max(self._ledger.moved, since) < STILL_S

    def figures(self, size: Size, count: int) -> dict[str, Any]:
        """The last windows of a size, newest first, with chains, lags and what holds; null is not known."""
        at, now, mark = self.reach(), self.now(), self.mark()
        starts = report.last_starts(size, now=now, count=count)
        items = list(self.items()) if mark else []
        parts = report.cells(items, size, starts)
        lags = self.lags()
        looked = self._looked is not None and self.look_age() < LOOKED_S
        return {
            "ready": mark is not None,
            "behind": self.behind(),
            "applied": mark.applied if mark else None,
            "unreadable": mark.unreadable if mark else None,
            "windows": [report.window(start, size, at, parts) for start in starts],
            "chains": report.chains(items) if mark else None,
            "lag": None if lags is None else [lag._asdict() for lag in lags],
            "conditions": [alerts.as_json(one) for one in self._board.standing()] if looked else None,
            **{name: part.figures() for name, part in self._parts.items()},
        }

    def _known_lags(self) -> list[Lag]:
        groups = self._lags if self._lags is not None and _fresh(self._asked) else []
        own = [self._own] if self._own is not None and _fresh(self._end_asked) else []
        return [*groups, *own]

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S if self._lags is not None else 0.5):
            try:
                self._look()
            except SafeReportingError as error:
                log.warning("watch_failed", code=error.code)
            except Exception as error:  # noqa: BLE001 - the next look may do; the pages say that nothing is known
                log.error("watch_failed", code=type(error).__name__, where=telemetry.where(error))  # noqa: TRY400

    def _look(self) -> None:
        """One look.

        1. Ask where the groups are, and where the ledger ends: what one question is not told, the other may be.
        2. Say what holds; what could not be said is tried again.
        """
        unread = self._ledger.holds and not self._ledger.ready
        self._unread_since = (self._unread_since or time.monotonic()) if unread else None
        for ask in (self._ask_groups, self._ask_end):  # 1
            try:
                ask()
            except SafeReportingError as error:
                log.warning("watch_failed", code=error.code)
        conditions = alerts.of_lags(self._known_lags(), self._limits)
        if _fresh(self._asked):
            conditions += alerts.of_expiring(self._found, self._young, marked=MARKED)
        if not (_fresh(self._asked) and _fresh(self._end_asked)):
            conditions.append(Condition(Event.LAG_UNKNOWN, "warning"))
        if not _fresh(self._end_asked):
            self._behind_since = None
        conditions += self._bursts()
        conditions += [condition for part in self._parts.values() for condition in part.conditions()]
        now = time.monotonic()
        due = self._board.due(conditions, now=now)
        self._looked = now
        self._say(alerts.gathered(due))  # 2
        self._board.said(due, now=now)

    def _ask_end(self) -> None:
        """Ask where the ledger ends. Where that is before what was taken in, it is another ledger: nothing is known."""
        asked, before = self.now(), self._ledger.reached if self._ledger.ready else 0
        told, written = self._positions.end(TOPIC, seconds=ASK_S)
        end = told if told >= before else None
        now = time.monotonic()
        reached = self._ledger.reached if self._ledger.ready else None
        own = self._memory.see(Position("monitor", TOPIC, 0, reached, end, written=written), now=now)
        self._own = None if reached is None else own
        self._end, self._end_asked, self._end_asked_ms = end, now, asked
        self._behind_since = (self._behind_since or now) if self.behind() else None

    def _ask_groups(self) -> None:
        asked = self.now()
        found = self._positions.read(seconds=ASK_S)
        now = time.monotonic()
        self._lags, self._found, self._asked = [self._memory.see(at, now=now) for at in found], found, now
        if self._young_asked is None or now - self._young_asked > QUARTER_EVERY_S:
            self._young |= self._positions.expiring(self._quarters, now=asked, seconds=ASK_S)
            self._young_asked = now

    def _bursts(self) -> list[Condition]:
        """Services with a burst in a minute that is whole and may still get entries: clocks differ by minutes."""
        at, now = self.reach(), self.now()
        starts = [
            start
            for start in report.last_starts(Size.MINUTE, now=now, count=2 + GRACE_MS // Size.MINUTE.ms)
            if start + Size.MINUTE.ms >= now - GRACE_MS and report.known(start, Size.MINUTE, at) is report.Known.WHOLE
        ]
        minutes: dict[tuple[str, int], list[Figures]] = {}
        for where, figures in report.cells(self.items(), Size.MINUTE, starts).items():
            minutes.setdefault((where.service, where.start), []).append(figures)
        worst: dict[str, Condition] = {}
        for (service, _), parts in minutes.items():
            for burst in alerts.of_quarantines(service, add_up(parts), self._limits):
                worst[service] = max(burst, worst.get(service, burst), key=lambda one: one.number or 0)
        return [worst[service] for service in sorted(worst)]

    def _say(self, conditions: list[Condition]) -> None:
        if conditions:
            made = [alerts.message(condition, slot=self._slot, now_ms=self.now()) for condition in conditions]
            send(self._config, [(message, 0) for message in made], deadline=ASK_S)
            for condition in conditions:
                log.warning("alert", code=condition.event, topic=condition.topic, partition=condition.partition)


def _fresh(asked: float) -> bool:
    return time.monotonic() - asked < FRESH_S


def teller(slot: int, clock: Callable[[], float] = time.time) -> Callable[[list[Any]], list[Any]]:
    """Makes the messages of what a step found."""

    def tell(found: list[Any]) -> list[Any]:
        now = int(clock() * 1000)
        return [alerts.message(condition, slot=slot, now_ms=now) for condition in alerts.of_findings(found)]

    return tell
