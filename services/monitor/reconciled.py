"""Up to where every record is known to have its entry: the last statement of `audit reconcile --publish`.

The monitor has no key to check the statement's signature with; who may write to the topic is in the topology, and
`audit reconcile --state` checks it before it trusts it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from prometheus_client.core import GaugeMetricFamily

from services.kernel.kafka.stretch import Stretch, written
from services.kernel.ledger import CHECKPOINTS, RECONCILED, rfc3339
from services.kernel.record import Inbound
from services.kernel.telemetry import AtScrape
from services.monitor.alerts import Condition, Event
from services.monitor.beside import Beside

log = structlog.get_logger()

#: Seconds between two looks, and after which what was seen last is too old to be told.
EVERY_S, SEEN_S = 30.0, 300.0
#: Seconds after which a statement is stale: with one a minute, a pass found something, does not run or does not end.
STALE_S = 900.0
#: So far back a statement is looked for at the start, the near ones first. The log signs at most one checkpoint a
#: second, so the second number is two days at least.
BACK = (10_000, 200_000)
_ANSWER_S = 20.0


class Statement(NamedTuple):
    """One whole pass. `at` is milliseconds since the epoch; `upto` the last offset compared of each partition."""

    at: int
    by: str
    entries: int
    upto: dict[tuple[str, str, int], int]


def read(record: Inbound) -> Statement | None:
    """The statement of a record; None where it is something else.

    Its time is not later than that at which the broker took it: a clock that is ahead must not make it look fresh.
    """
    if record.value is None or record.key is None or record.key.reveal() != RECONCILED:
        return None
    try:
        by, stamp, whole, *lines = record.value.reveal().decode().partition("\n\n")[0].split("\n")
        words = [line.split(" ") for line in lines]
        upto = {(w[0], w[1], int(w[2])): int(w[4]) for w in words if w[-2] == "reconciled-to"}
        at = int(datetime.fromisoformat(stamp).timestamp() * 1000)
        return Statement(min(at, record.timestamp), by, int(whole.split(" ")[1]), upto)
    except (ValueError, IndexError):
        log.warning("reconciled_unreadable", topic=record.topic, partition=record.partition, offset=record.offset)
        return None


def newest(records: Iterable[Inbound]) -> Statement | None:
    """The last statement among records."""
    found = None
    for record in records:
        found = read(record) or found
    return found


class Reconciled(AtScrape):
    """Follows the topic of checkpoints; without a statement, or without an answer, it says that nothing is known."""

    def __init__(self, config: Mapping[str, str]) -> None:
        """`config`: librdkafka's connection settings."""
        self._config = dict(config)
        self._next: int | None = None
        self._last: Statement | None = None
        self._seen = float("-inf")
        self._beside = Beside("reconciled", self._look, every=EVERY_S)
        self.start, self.close = self._beside.start, self._beside.close

    def _look(self) -> None:
        """Read what came; the first time, back to the last statement."""
        if self._next is None:
            end = written(self._config, CHECKPOINTS, name="monitor")
            for back in BACK:
                self._last = self._read(max(0, end - back))
                if self._last is not None or back >= end:
                    break
        else:
            self._last = self._read(self._next) or self._last
        self._seen = time.monotonic()

    def _read(self, start: int) -> Statement | None:
        stretch = Stretch(self._config, {(CHECKPOINTS, 0): start}, name="monitor")
        found = newest(stretch.records(patience=_ANSWER_S))
        self._next = stretch.ends[CHECKPOINTS, 0]
        return found

    def last(self) -> Statement | None:
        """The last statement; None where it is not known."""
        return self._last if time.monotonic() - self._seen < SEEN_S else None

    def figures(self) -> dict[str, Any] | None:
        """When, by whom, how many entries of the log, and the last offset compared of each partition."""
        last = self.last()
        if last is None:
            return None
        upto = [
            {"service": service, "topic": topic, "partition": partition, "offset": offset}
            for (service, topic, partition), offset in sorted(last.upto.items())
        ]
        return {"time": rfc3339(last.at), "by": last.by, "entries": last.entries, "upto": upto}

    def conditions(self) -> list[Condition]:
        """That the last statement is stale; nothing where none is known."""
        age = self._age()
        return [Condition(Event.RECONCILE_STALE, "critical")] if age is not None and age > STALE_S else []

    def _age(self) -> float | None:
        last = self.last()
        return None if last is None else max(0.0, time.time() - last.at / 1000)

    def collect(self) -> Iterator[Any]:
        """Age of the last statement; no series where there is none."""
        text = "Seconds since the last whole `audit reconcile --publish`."
        family = GaugeMetricFamily("safe_reporting_reconciled_age_seconds", text)
        if (age := self._age()) is not None:
            family.add_metric([], age)
        yield family
