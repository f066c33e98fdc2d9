"""Prometheus metrics of the monitor, made when they are asked for; what is not known has no series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from services.kernel.kafka.topology_file import Topology
from services.kernel.telemetry import AtScrape
from services.kernel.vocabulary import CoarseReason, OutcomeKind
from services.monitor import buckets
from services.monitor.lag import Lag
from services.monitor.report import QUANTILES, Known, Reach, cells, known, last_starts
from services.monitor.state import Mark, chain_of, read_chain
from services.monitor.windows import NONE, Figures, Place, Size, add_up

SERVICES = frozenset({"redactor", "router", "compliance", "duty", "consent"})
OTHER = "other"


class View(Protocol):
    """What metrics are made of, as it stands now. Times are milliseconds."""

    def now(self) -> int: ...
    def reach(self) -> Reach: ...
    def mark(self) -> Mark | None: ...
    def behind(self) -> int | None: ...
    def items(self) -> Iterable[tuple[bytes, bytes]]: ...
    def lags(self) -> list[Lag] | None: ...
    def conditions(self) -> Mapping[tuple[str, str], int]: ...
    def look_age(self) -> float: ...


class Labels:
    """The closed sets of values that a label may have; anything else is `other`."""

    def __init__(self, topology: Topology) -> None:
        self._agencies = frozenset(topology.agencies) | {NONE}
        self._feeds = frozenset(feed for feeds in topology.agencies.values() for feed in feeds) | {NONE}
        self._partners = frozenset(topology.partners) | {
            t.name.removeprefix("sealed.") for t in topology.topics if t.name.startswith("sealed.")
        }
        self._outcomes = frozenset(OutcomeKind) | {"expired_unread", "consulted", NONE}
        self._reasons = frozenset(CoarseReason) | {NONE}

    def place(self, where: Place) -> tuple[str, str, str]:
        """Service, agency and feed."""
        return (
            _closed(where.service, SERVICES),
            _closed(where.agency, self._agencies),
            _closed(where.feed, self._feeds),
        )

    def partner(self, name: str) -> str:
        """A partner."""
        return _closed(name, self._partners)

    def outcome(self, name: str) -> tuple[str, str]:
        """Outcome and coarse reason of a name like `withheld/policy`."""
        word, _, reason = name.partition("/")
        return _closed(word, self._outcomes), _closed(reason or NONE, self._reasons)


def _closed(word: str, words: frozenset[Any]) -> str:
    return word if word in words else OTHER


class Metrics(AtScrape):
    """Collects from a view. Windows of one and fifteen minutes are the last whole ones; the day is the one so far."""

    def __init__(self, view: View, topology: Topology) -> None:
        self._view = view
        self._labels = Labels(topology)

    def collect(self) -> Iterator[Any]:
        """Every family."""
        yield from self._monitor()
        yield from self._windows()
        yield from self._chains()
        yield from self._lags()

    def _monitor(self) -> Iterator[Any]:
        mark, behind = self._view.mark(), self._view.behind()
        yield _gauge("monitor_ready", "1 where the figures are read from the table.", [((), float(mark is not None))])
        if mark is not None:
            yield _gauge("monitor_applied_offset", "Last ledger offset taken in.", [((), float(mark.applied))])
            yield _counter("monitor_unreadable", "Ledger records that are no entry.", [((), float(mark.unreadable))])
        if behind is not None:
            yield _gauge("monitor_lag_records", "Offsets of the ledger not yet taken in.", [((), float(behind))])
        held = [(kind, float(number)) for kind, number in self._view.conditions().items()]
        text = "The monitor's own clock: what ends its windows, and no entry shows whether it is right."
        yield _gauge("clock_timestamp_seconds", text, [(("monitor",), self._view.now() / 1000)], ["service"])
        age = self._view.look_age()
        yield _gauge("monitor_look_age_seconds", "Since the monitor last looked what holds.", [((), age)])
        text = "Conditions that hold and were told on `ops.alert`; no series where none does, or nobody looked of late."
        yield _gauge("monitor_conditions", text, held, ["event", "severity"])

    def _windows(self) -> Iterator[Any]:
        entries: dict[tuple[str, ...], float] = {}
        partners: dict[tuple[str, ...], float] = {}
        late: dict[tuple[str, ...], float] = {}
        seconds: dict[str, dict[tuple[str, ...], float]] = {"processing": {}, "end_to_end": {}}
        for size, parts in self._shown():
            for where, figures in parts.items():
                place = self._labels.place(where)
                for name, number in figures.outcomes.items():
                    _add(entries, (size, *place, *self._labels.outcome(name)), number)
                for partner, pair in figures.partners.items():
                    for effect, number in zip(("allow", "deny"), pair, strict=True):
                        _add(partners, (size, self._labels.partner(partner), effect), number)
                _add(late, (size, place[0], "late"), figures.late)
                _add(late, (size, place[0], "ahead"), figures.ahead)
            for service in {where.service for where in parts} & SERVICES:
                total = add_up(figures for where, figures in parts.items() if where.service == service)
                for kind, counts in (("processing", total.processing), ("end_to_end", total.end_to_end)):
                    seconds[kind] |= _quantiles(size, service, counts)
        place_names = ["window", "service", "agency", "feed", "outcome", "reason"]
        yield _gauge("window_entries", "Ledger entries of a window.", entries.items(), place_names)
        names = ["window", "partner", "effect"]
        yield _gauge("window_decisions", "Decisions of a window for each partner.", partners.items(), names)
        names = ["window", "service", "kind"]
        yield _gauge("window_misplaced", "Entries too late for their window, or ahead.", late.items(), names)
        names = ["window", "service", "quantile"]
        text = "Bound in seconds from batch to ledger that a share of the entries keeps."
        yield _gauge("window_processing_seconds", text, seconds["processing"].items(), names)
        text = "Bound in seconds from the agency's record to the ledger that a share of the entries keeps."
        yield _gauge("window_end_to_end_seconds", text, seconds["end_to_end"].items(), names)

    def _shown(self) -> Iterator[tuple[Size, dict[Place, Figures]]]:
        at, now = self._view.reach(), self._view.now()
        for size in Size:
            so_far, whole = last_starts(size, now=now, count=2)
            start = so_far if size is Size.DAY else whole
            if known(start, size, at) in (Known.WHOLE, Known.SO_FAR):
                yield size, cells(self._view.items(), size, [start])

    def _chains(self) -> Iterator[Any]:
        gaps: dict[tuple[str, ...], float] = {}
        doubles: dict[tuple[str, ...], float] = {}
        if self._view.mark() is not None:
            for key, value in self._view.items():
                where = chain_of(key)
                if where is not None:
                    chain = read_chain(value)
                    _add(gaps, (where[0], where[1]), chain.gaps)
                    _add(doubles, (where[0], where[1]), chain.doubles)
        yield _counter("chain_gaps", "Places where entries are missing.", gaps.items(), ["service", "topic"])
        yield _counter("chain_doubles", "Entries of a position that had one.", doubles.items(), ["service", "topic"])

    def _lags(self) -> Iterator[Any]:
        lags = self._view.lags()
        if lags is None:
            return
        names = ["group", "topic", "partition"]
        records = [(_where(lag), float(lag.records)) for lag in lags if lag.records is not None]
        yield _gauge("group_lag_records", "Records that a group has not handled.", records, names)
        ages = [(_where(lag), lag.age) for lag in lags if lag.age is not None]
        yield _gauge("group_lag_seconds", "Longest that its next record may have waited.", ages, names)


def _where(lag: Lag) -> tuple[str, ...]:
    return lag.group, lag.topic, str(lag.partition)


def _add(counts: dict[tuple[str, ...], float], key: tuple[str, ...], number: int) -> None:
    counts[key] = counts.get(key, 0.0) + number


def _quantiles(size: Size, service: str, counts: list[int]) -> dict[tuple[str, ...], float]:
    made: dict[tuple[str, ...], float] = {}
    for share in QUANTILES.values():
        bound, within = buckets.quantile(counts, share)
        if bound is not None:
            made[(size, service, str(share))] = bound / 1000 if within else float("inf")
    return made


Samples = Iterable[tuple[tuple[str, ...], float]]


def _gauge(name: str, text: str, samples: Samples, names: list[str] | None = None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"safe_reporting_{name}", text, labels=names or [])
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _counter(name: str, text: str, samples: Samples, names: list[str] | None = None) -> CounterMetricFamily:
    family = CounterMetricFamily(f"safe_reporting_{name}", text, labels=names or [])
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
