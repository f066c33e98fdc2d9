"""What redactors' tallies say: a chart of each producer, read in a thread of its own.

Nothing is stored: at each start the topic is read from its beginning, so a restart changes no figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from services.kernel.errors import ConfigError
from services.kernel.kafka.reader import read_all
from services.kernel.ledger import rfc3339
from services.kernel.record import Inbound
from services.kernel.tally import STEP, TOPIC, Producer, Tally, read
from services.kernel.telemetry import AtScrape
from services.monitor.alerts import Condition, Event
from services.monitor.beside import Beside
from services.monitor.drift import Chart, Reading, State

#: Variance of a day's masked records by the rounding of its first and last tally.
ROUNDING = STEP**2 / 6
#: Seconds between two readings, for one, and after which what was read is too old to be told.
EVERY_S, READ_S, FRESH_S = 30.0, 120.0, 180.0
#: Tallies whose ids are remembered: one that comes again is left out.
_REMEMBERED = 10_000


class Drift(NamedTuple):
    """How a producer's records stand to their own past."""

    agency: str
    feed: str
    masked: Reading
    unknown_fields: Reading

    def as_json(self) -> dict[str, Any]:
        """For the page of figures; null is not known."""
        kept = {"masked": self.masked, "unknown_fields": self.unknown_fields}
        return {"agency": self.agency, "feed": self.feed} | {name: _as_json(one) for name, one in kept.items()}

    def conditions(self) -> list[Condition]:
        """What is not as it was; `number` is that of the records since it began."""
        topic, made = f"agency.{self.agency}.{self.feed}", []
        if self.masked.state is State.FALLEN:
            made.append(Condition(Event.MASKS_FALLEN, "critical", topic, number=self.masked.records))
        if self.masked.state is State.RISEN:
            made.append(Condition(Event.MASKS_RISEN, "warning", topic, number=self.masked.records))
        if self.unknown_fields.state is State.RISEN:
            made.append(Condition(Event.UNKNOWN_FIELDS, "warning", topic, number=self.unknown_fields.records))
        return made


def _as_json(reading: Reading) -> dict[str, Any]:
    since = None if reading.since is None else rfc3339(reading.since)
    return {**reading._asdict(), "since": since}


def accepted(text: str, producers: Iterable[Producer]) -> dict[Producer, int]:
    """From when on the past of some producers counts, in milliseconds since the epoch.

    Args:
        text: `agency/feed@time` with commas between; times as RFC 3339 has them, with a zone.

    Raises:
        ConfigError: an item is not of that form, or no such producer is in the topology.
    """
    known, made, faults = frozenset(producers), {}, []
    for item in filter(None, map(str.strip, text.split(","))):
        name, _, at = item.partition("@")
        agency, _, feed = name.partition("/")
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            moment = None
        if (agency, feed) not in known:
            faults.append(f"`SR_DRIFT_ACCEPTED`: no agency sends `{name}`; write `agency/feed@time`")
        elif moment is None or moment.tzinfo is None:
            faults.append(f"`SR_DRIFT_ACCEPTED`: `{at}` is no time with a zone, such as 2026-11-26T09:30:00Z")
        else:
            made[agency, feed] = round(moment.timestamp() * 1000)
    if faults:
        raise ConfigError("settings", faults)
    return made


class Board:
    """Charts of the producers that the topology names; another's tally is counted as unreadable.

    Args:
        accepted: from when on (milliseconds since the epoch) a producer's past counts: its change was looked at.
    """

    def __init__(self, producers: Iterable[Producer], accepted: Mapping[Producer, int] | None = None) -> None:
        self._masked = {producer: Chart(rounding=ROUNDING) for producer in producers}
        self._unknown = {producer: Chart(falls=False) for producer in self._masked}
        self._accepted = accepted or {}
        self._seen: dict[str, None] = {}
        self.unreadable = 0

    def take(self, record: Inbound) -> None:
        """Take in one record of the topic; a double changes nothing."""
        tally = read(record.value.reveal()) if record.value is not None else None
        producer = (tally.agency, tally.feed) if tally is not None else None
        if tally is None or producer not in self._masked:
            self.unreadable += 1
        elif tally.id not in self._seen and record.timestamp >= self._accepted.get(producer, 0):
            self._remember(tally)
            self._masked[producer].take(record.timestamp, tally.records, tally.masked)
            self._unknown[producer].take(record.timestamp, tally.records, tally.unknown_fields)

    def drifts(self) -> list[Drift]:
        """Every producer as it stands."""
        return [Drift(*one, chart.read(), self._unknown[one].read()) for one, chart in self._masked.items()]

    def _remember(self, tally: Tally) -> None:
        self._seen[tally.id] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]


class Tallies(AtScrape):
    """Reads the topic every half minute; where the last reading is too old, nothing is known.

    Args:
        config: librdkafka's connection settings.
    """

    def __init__(
        self, config: Mapping[str, str], board: Board, *,
        source: Callable[[Mapping[str, str], int], Iterator[Inbound]] | None = None,
    ) -> None:  # fmt: skip
        self._config = dict(config)
        self._board = board
        self._source = source or _records
        self._next = 0
        self._read_at: float | None = None
        self._began = time.monotonic()
        self._told: list[Drift] = []
        self._beside = Beside("tallies", self.look, every=EVERY_S)
        self.start, self.close = self._beside.start, self._beside.close

    def look(self) -> None:
        """Read what came since the last time.

        Raises:
            SafeReportingError: the topic cannot be read to its end.
        """
        for record in self._source(self._config, self._next):
            self._board.take(record)
            self._next = record.offset + 1
        self._told = self._board.drifts()
        self._read_at = time.monotonic()

    def drifts(self) -> list[Drift] | None:
        """Every producer as it stood at the last reading."""
        fresh = self._read_at is not None and time.monotonic() - self._read_at < FRESH_S
        return self._told if fresh else None

    def figures(self) -> dict[str, Any] | None:
        """Every producer for the page."""
        drifts = self.drifts()
        return None if drifts is None else {"producers": [drift.as_json() for drift in drifts]}

    def conditions(self) -> list[Condition]:
        """Producers whose records are not as they were, or that this is not known."""
        drifts = self.drifts()
        if drifts is None:
            late = time.monotonic() - self._began > FRESH_S
            return [Condition(Event.DRIFT_UNKNOWN, "warning")] if late else []
        return [condition for drift in drifts for condition in drift.conditions()]

    def collect(self) -> Iterator[Any]:
        """Every family; what is not known has no series."""
        drifts = self.drifts()
        if drifts is not None:
            text = "Records of `ops.tally` that are no tally of a producer of the topology."
            yield CounterMetricFamily("safe_reporting_tallies_unreadable", text, self._board.unreadable)
        names = ["agency", "feed"]
        text = "1 where a producer has too little past to compare with."
        learning = GaugeMetricFamily("safe_reporting_drift_learning", text, labels=names)
        text = "Share of a producer's records with a mask: in the past, and on the latest day."
        rates = GaugeMetricFamily("safe_reporting_masked_ratio", text, labels=[*names, "when"])
        text = "How far a rate has left its past, as a share of the limit; 1 and more is an alarm."
        scores = GaugeMetricFamily("safe_reporting_drift_score", text, labels=[*names, "kind"])
        text = "1 where a producer's rate has left its past; it ends later than the score falls below 1."
        alarms = GaugeMetricFamily("safe_reporting_drift_alarm", text, labels=[*names, "kind"])
        for drift in drifts or []:
            agency, feed, masked, unknown = drift
            standing = {condition.event for condition in drift.conditions()}
            learning.add_metric([agency, feed], float(masked.state is State.LEARNING))
            for when, rate in (("past", masked.past), ("latest", masked.latest)):
                if rate is not None:
                    rates.add_metric([agency, feed, when], rate)
            if masked.state is not State.LEARNING:
                scores.add_metric([agency, feed, Event.MASKS_FALLEN], masked.fall)
                scores.add_metric([agency, feed, Event.MASKS_RISEN], masked.rise)
            if unknown.state is not State.LEARNING:
                scores.add_metric([agency, feed, Event.UNKNOWN_FIELDS], unknown.rise)
            for event in (Event.MASKS_FALLEN, Event.MASKS_RISEN, Event.UNKNOWN_FIELDS):
                alarms.add_metric([agency, feed, event], float(event in standing))
        yield from (learning, rates, scores, alarms)


def _records(config: Mapping[str, str], start: int) -> Iterator[Inbound]:
    return read_all(config, TOPIC, name="monitor", start=start, deadline=READ_S)
