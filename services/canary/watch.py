"""Watch what becomes of canaries: late, leaked, or well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from services.canary.plant import Planted, Planter, look, planted_at
from services.kernel import canary
from services.kernel.alert import alert
from services.kernel.record import Inbound, Message
from services.kernel.telemetry import AtScrape

log = structlog.get_logger()

#: What becomes of a canary. Each is counted from nought, so that the first rise is seen.
WHATS = ("planted", "unsent", "arrived", "late", "leaked", "probe_seen")

#: Ids whose copies are told apart; older ones are forgotten.
_KEPT = 10_000


class Watcher(AtScrape):
    """Judges copies of canaries, and which of those that were planted have none yet.

    Args:
        slot: number of this instance.
        close: closes the gate, with the id of the canary that leaked.
        tell: sends one message to `ops.alert`.
        deadline_ms: how long a canary may take to arrive.
        clock: milliseconds since the epoch.
    """

    def __init__(
        self, planter: Planter, *, slot: int, close: Callable[[str], None], tell: Callable[[Message], None],
        deadline_ms: int, clock: Callable[[], int],
    ) -> None:  # fmt: skip
        self._planter = planter
        self._slot = slot
        self._close = close
        self._alert = tell
        self._deadline_ms = deadline_ms
        self._clock = clock
        self._waiting: dict[str, tuple[str, str]] = {}  # topic and feed of each
        self._late: dict[str, str] = {}  # the topic of each
        self._newest: dict[str, int] = {}  # when that was planted which arrived, by topic
        self._leaked: dict[str, None] = {}
        self._counts: Counter[tuple[str, str]] = Counter({(what, feed): 0 for what in WHATS for feed in planter.feeds})
        self._seconds: dict[str, float] = {}

    def planted(self, one: Planted) -> None:
        """One was sent and is waited for."""
        self._waiting[one.id] = one.message.topic, one.feed
        self._counts["planted", one.feed] += 1

    def unsent(self, one: Planted) -> Callable[[str], None]:
        """What to call with the name of the error where the broker did not take it: it stays awaited, and gets late."""

        def lost(code: str) -> None:
            self._counts["unsent", one.feed] += 1
            log.error("canary_unsent", topic=one.message.topic, code=code)

        return lost

    def judge(self, copy: Inbound) -> None:
        """One copy, or the receipt that a canary was withheld by policy.

        1. Make the canary anew from its id; what nobody here planted is told of.
        2. One of its terms shows: close the gate first, then tell.
        3. The hard term shows: count and log it; that is known to happen.
        """
        told = copy.header(canary.HEADER)
        id_ = told.decode("ascii", "replace") if told else ""
        planted = self._planter.make(id_)  # 1
        if planted is None:
            self._tell("canary_unknown", copy)
            return
        seen = look(planted, copy)
        if self._waiting.pop(id_, None) is not None:
            self._counts["arrived", planted.feed] += 1
            self._seconds[planted.feed] = max(0.0, (copy.timestamp - planted_at(id_)) / 1000)
        self._well(planted.message.topic, planted_at(id_))
        if seen.terms and id_ not in self._leaked:  # 2
            try:
                self._close(id_)
                self._remember(id_)
            finally:  # a closing that fails half way is told of all the same, and judged again after a new start
                self._counts["leaked", planted.feed] += 1
                log.error("canary_leaked", topic=planted.message.topic, count=seen.terms)
                self._tell("canary_leaked", copy, number=seen.terms)
        if seen.probe is not None:  # 3
            self._counts["probe_seen", planted.feed] += 1
            log.warning("canary_probe_seen", topic=planted.message.topic)

    def overdue(self) -> None:
        """Tell of each canary that has not come within its deadline, once."""
        now = self._clock()
        for id_, (topic, feed) in list(self._waiting.items()):
            waited = now - planted_at(id_)
            if waited > self._deadline_ms:
                del self._waiting[id_]
                self._counts["late", feed] += 1
                if planted_at(id_) > self._newest.get(topic, 0):
                    self._late[id_] = topic
                log.error("canary_late", topic=topic)
                self._tell("canary_late", None, number=waited // 1000)

    def _well(self, topic: str, at: int) -> None:
        """One that was planted at `at` arrived: so its topic flows, and those before it are lost but not awaited.

        What was set aside for good never arrives; it stays in the count of late ones and on `ops.alert`.
        """
        newest = self._newest[topic] = max(at, self._newest.get(topic, 0))
        self._late = {id_: one for id_, one in self._late.items() if one != topic or planted_at(id_) > newest}

    def _remember(self, id_: str) -> None:
        self._leaked[id_] = None
        if len(self._leaked) > _KEPT:
            del self._leaked[next(iter(self._leaked))]

    def _tell(self, event: str, copy: Inbound | None, *, number: int | None = None) -> None:
        place: dict[str, Any] = {}
        if copy is not None:
            place = {"topic": copy.topic, "partition": copy.partition, "offset": copy.offset}
        now = self._clock()
        self._alert(
            alert(event, service="canary", slot=self._slot, severity="critical", now=now, count=number, **place)
        )

    def collect(self) -> Iterator[Any]:
        """Every family."""
        text = f"Canaries by what became of them: {', '.join(WHATS)}."
        counts = CounterMetricFamily("safe_reporting_canaries", text, labels=["feed", "what"])
        for (what, feed), number in list(self._counts.items()):
            counts.add_metric([feed, what], number)
        yield counts
        text = "Canaries that have not arrived in time, nor any of their topic that was planted later."
        yield GaugeMetricFamily("safe_reporting_canaries_late", text, len(self._late))
        arrival = GaugeMetricFamily(
            "safe_reporting_canary_arrival_seconds", "From planting to arrival, the last one.", labels=["feed"]
        )
        for feed, seconds in list(self._seconds.items()):
            arrival.add_metric([feed], seconds)
        yield arrival
