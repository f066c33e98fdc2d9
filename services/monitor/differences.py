"""Is the broker as the topology file says? What differs is counted by what it is about, never named here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from prometheus_client.core import GaugeMetricFamily

from services.kernel.kafka.topology import Change, ChangeKind
from services.kernel.ledger import rfc3339
from services.kernel.telemetry import AtScrape
from services.monitor.alerts import Condition, Event
from services.monitor.beside import Beside

#: Seconds for one comparison.
COMPARE_S = 30.0


class About(StrEnum):
    """What a difference is about."""

    TOPICS = "topics"
    PERMISSIONS = "permissions"
    POSITIONS = "positions"
    ACCOUNTS = "accounts"


_ABOUT = {
    ChangeKind.GRANT: About.PERMISSIONS,
    ChangeKind.REVOKE: About.PERMISSIONS,
    ChangeKind.FIRST_OFFSET: About.POSITIONS,
    ChangeKind.MISSING_ACCOUNT: About.ACCOUNTS,
    ChangeKind.FOREIGN_ACCOUNT: About.ACCOUNTS,
}
#: The broker lets somebody in or through, loses a topic, or keeps records otherwise than the file says.
_SERIOUS = {
    ChangeKind.CREATE_TOPIC,
    ChangeKind.ALTER_TOPIC,
    ChangeKind.REFUSED,
    ChangeKind.REVOKE,
    ChangeKind.FOREIGN_ACCOUNT,
}


class Found(NamedTuple):
    """One comparison. `counts` lacks what the broker did not tell; `at` is milliseconds since the epoch."""

    at: int
    counts: dict[About, int]
    serious: frozenset[About]


def found(changes: Sequence[Change], *, at: int) -> Found:
    """Count the differences by what they are about."""
    told = [change for change in changes if change.kind is not ChangeKind.NOT_KNOWN]
    counts = Counter(_ABOUT.get(change.kind, About.TOPICS) for change in told)
    known = [about for about in About if about is not About.ACCOUNTS or len(told) == len(changes)]
    serious = frozenset(_ABOUT.get(change.kind, About.TOPICS) for change in told if change.kind in _SERIOUS)
    return Found(at, {about: counts[about] for about in known}, serious)


class Differences(AtScrape):
    """Compares now and then; without an answer it says that nothing is known.

    Args:
        compare: every difference between broker and file; raises SafeReportingError where the broker does not tell.
        every: seconds between two comparisons.
    """

    def __init__(self, compare: Callable[[], Sequence[Change]], *, every: float) -> None:
        self._compare = compare
        self._every = every
        self._last: Found | None = None
        self._looked: float | None = None
        self._began = time.monotonic()
        self._beside = Beside("topology", self._look, every=every, failed=self._lost)
        self.start, self.close = self._beside.start, self._beside.close

    def _look(self) -> None:
        self._last = found(self._compare(), at=int(time.time() * 1000))
        self._looked = time.monotonic()

    def _lost(self) -> None:
        self._last, self._looked = None, time.monotonic()

    def last(self) -> Found | None:
        """The last comparison; None where there is none, or where it is too old to be told."""
        return None if self._overdue() else self._last

    def _overdue(self) -> bool:
        return time.monotonic() - (self._looked or self._began) > 2 * self._every + 60.0

    def figures(self) -> dict[str, Any] | None:
        """When it was compared, and the number of differences; null for what the broker did not tell."""
        last = self.last()
        if last is None:
            return None
        counts = {about.value: last.counts.get(about) for about in About}
        return {"compared": rfc3339(last.at), "differences": counts}

    def conditions(self) -> list[Condition]:
        """Differences, and what is not known; none before the first comparison."""
        last = self.last()
        if last is None:
            return [Condition(Event.TOPOLOGY_UNKNOWN, "warning")] if self._looked or self._overdue() else []
        made = [
            Condition(
                Event.TOPOLOGY_DIFFERS, "critical" if about in last.serious else "warning", number=number,
                about=f"{about} {number}",  # another number is said at once
            )
            for about, number in last.counts.items()
            if number
        ]  # fmt: skip
        unknown = [about for about in About if about not in last.counts]
        return made + [Condition(Event.TOPOLOGY_UNKNOWN, "warning", about=about) for about in unknown]

    def collect(self) -> Iterator[Any]:
        """The numbers of differences; no series for what is not known."""
        last = self.last()
        text = "Differences between the broker and the topology file."
        family = GaugeMetricFamily("safe_reporting_topology_differences", text, labels=["about"])
        for about, number in (last.counts if last else {}).items():
            family.add_metric([about], number)
        yield family
