"""Alerts for `ops.alert`: what a step found, and conditions that begin, are said again while they last, and end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from services.kernel.alert import alert
from services.kernel.kafka.lag import Position
from services.kernel.record import Message
from services.monitor.chain import KEPT, Finding, Verdict
from services.monitor.lag import Lag
from services.monitor.state import Found
from services.monitor.windows import Figures

#: Seconds after which a condition that lasts is said again.
REPEAT_S = 900.0
#: So many gaps or doubles of one place in one step are told one by one.
STORM = 16


class Event(StrEnum):
    """Closed list of what the monitor alerts."""

    CHAIN_GAP = "chain_gap"
    CHAIN_DOUBLE = "chain_double"
    NO_POSITION = "no_position"
    NO_PROGRESS = "no_progress"
    LAG_RECORDS = "lag_records"
    LAG_AGE = "lag_age"
    QUARANTINE_BURST = "quarantine_burst"
    LAG_UNKNOWN = "lag_unknown"
    RETENTION_QUARTER = "retention_quarter"
    MASKS_FALLEN = "masks_fallen"
    MASKS_RISEN = "masks_risen"
    UNKNOWN_FIELDS = "unknown_fields"
    DRIFT_UNKNOWN = "drift_unknown"
    TOPOLOGY_DIFFERS = "topology_differs"
    TOPOLOGY_UNKNOWN = "topology_unknown"
    RECONCILE_STALE = "reconcile_stale"


class Limits(NamedTuple):
    """What is too much. Times are seconds."""

    lag_records: int = 10_000
    lag_age: float = 300.0
    still: float = 60.0
    dark: float = 20.0
    burst_share: float = 0.2
    burst_least: int = 20


class Condition(NamedTuple):
    """Something that is so now. `about` tells conditions of one event apart and is no part of the message."""

    event: Event
    severity: str
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    number: int | None = None
    about: str = ""


def of_findings(found: Iterable[Found]) -> list[Condition]:
    """Gaps and doubles, each said once; `number` is that of the offsets.

    A storm, more than `STORM` of one place in one step, is one alert. Where the chain did not keep all that it found,
    neither its first offset nor the number is known.
    """
    places: dict[tuple[Event, str, str, int], list[Finding]] = {}
    kept: Counter[tuple[str, str, int]] = Counter()
    for service, topic, partition, finding in found:
        kept[service, topic, partition] += 1
        event = {Verdict.GAP: Event.CHAIN_GAP, Verdict.DOUBLE: Event.CHAIN_DOUBLE}.get(finding.verdict)
        if event is not None:
            places.setdefault((event, service, topic, partition), []).append(finding)
    made = []
    for (event, service, topic, partition), findings in places.items():
        told: list[tuple[int | None, int | None]] = [(one.first, one.last - one.first + 1) for one in findings]
        if kept[service, topic, partition] >= KEPT:
            told = [(None, None)]
        elif len(findings) > STORM:
            told = [(min(one.first for one in findings), sum(one.last - one.first + 1 for one in findings))]
        for offset, number in told:
            made.append(Condition(event, "critical", topic, partition, offset, number, about=service))
    return made


def of_lags(lags: Iterable[Lag], limits: Limits) -> list[Condition]:
    """Conditions of the groups' positions. One record of lag may be the mark of a transaction: a warning only.

    Partitions of which nothing is known share one condition for each topic: leaders move for some seconds, and they
    move together.
    """
    lags = list(lags)
    told = [one for one in lags if one.missing or (not one.known and one.still >= limits.dark)]
    dark = Counter((one.group, one.topic) for one in told)
    lost = {one.topic for one in lags if one.missing}
    made = [
        Condition(
            Event.LAG_UNKNOWN, "critical" if topic in lost else "warning", topic, number=number, about=group
        )
        for (group, topic), number in dark.items()
    ]  # fmt: skip
    for lag in lags:
        if not lag.known:
            continue
        here = Condition(Event.NO_POSITION, "critical", lag.topic, lag.partition, about=lag.group)
        if lag.records is None:
            made.append(here)
            continue
        serious = "critical" if lag.records > 1 else "warning"
        if lag.still >= limits.still:
            made.append(here._replace(event=Event.NO_PROGRESS, severity=serious, number=lag.records))
        if lag.records >= limits.lag_records:
            made.append(here._replace(event=Event.LAG_RECORDS, severity="warning", number=lag.records))
        if lag.age_at_least >= limits.lag_age:
            made.append(here._replace(event=Event.LAG_AGE, severity=serious, number=int(lag.age_at_least)))
    return made


def of_expiring(
    found: Iterable[Position], young: Mapping[tuple[str, str, int], int], *, marked: Container[str] = ()
) -> list[Condition]:
    """Partitions with a record that is not handled and older than a quarter of its topic's retention.

    A lone one is a warning: an agency that sends in transactions leaves a mark that is none.

    Args:
        young: the first offset that is younger, by group, topic and partition.
        marked: topics that only transactions write to; a lone one there is a mark.
    """
    made = []
    for one in found:
        held = one.committed
        if one.end is None:
            continue
        overdue = 0 if held is None else min(young.get((one.group, one.topic, one.partition), 0), one.end) - held
        if overdue > (one.topic in marked):
            severity = "critical" if overdue > 1 else "warning"
            about = Condition(Event.RETENTION_QUARTER, severity, one.topic, one.partition, held, overdue)
            made.append(about._replace(about=one.group))
    return made


def of_quarantines(service: str, minute: Figures, limits: Limits) -> list[Condition]:
    """A burst: many of a minute's entries, and not only a few, are quarantines."""
    held = sum(number for name, number in minute.outcomes.items() if name.startswith("quarantined"))
    if held < limits.burst_least or held < limits.burst_share * minute.entries:
        return []
    return [Condition(Event.QUARANTINE_BURST, "critical", number=held, about=service)]


def gathered(conditions: Iterable[Condition]) -> list[Condition]:
    """What is said of a storm: more than `STORM` conditions of one event about one group are one, with their number."""
    alike: dict[tuple[Event, str, str], list[Condition]] = {}
    for one in conditions:
        alike.setdefault((one.event, one.severity, one.about), []).append(one)
    made = []
    for (event, severity, about), same in alike.items():
        topics = {one.topic for one in same}
        topic = topics.pop() if len(topics) == 1 else None
        storm = [Condition(event, severity, topic, number=len(same), about=about)]
        made += storm if len(same) > STORM else same
    return made


class Board:
    """The conditions that hold, so that each is said when it begins and every `REPEAT_S` while it lasts."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, ...], float] = {}
        self._held: list[Condition] = []

    def due(self, conditions: Iterable[Condition], *, now: float) -> list[Condition]:
        """Those that must be said now (seconds, never going back). What is not named any more has ended."""
        held = {_name(condition): condition for condition in conditions}
        self._held = list(held.values())
        self._said = {name: at for name, at in self._said.items() if name in held}
        return [c for name, c in held.items() if name not in self._said or now - self._said[name] >= REPEAT_S]

    def said(self, conditions: Iterable[Condition], *, now: float) -> None:
        """Take in that these were said: until then they stay due."""
        self._said |= {_name(condition): now for condition in conditions}

    def count(self) -> int:
        """How many conditions hold."""
        return len(self._held)

    def held(self) -> Counter[tuple[str, str]]:
        """How many hold, by event and severity."""
        return Counter((condition.event, condition.severity) for condition in self._held)

    def standing(self) -> list[Condition]:
        """Those that hold."""
        return list(self._held)


def _name(condition: Condition) -> tuple[str, ...]:
    return condition.event, condition.severity, str(condition.topic), str(condition.partition), condition.about


def as_json(condition: Condition) -> dict[str, Any]:
    """For the page of figures; `about` is the group or the service."""
    kept = condition._asdict()
    return {"count": kept.pop("number"), **kept}


def message(condition: Condition, *, slot: int, now_ms: int) -> Message:
    """The condition as it is told."""
    return alert(
        condition.event, service="monitor", slot=slot, severity=condition.severity, now=now_ms, topic=condition.topic,
        partition=condition.partition, offset=condition.offset, count=condition.number,
    )  # fmt: skip
