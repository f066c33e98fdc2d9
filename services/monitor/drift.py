"""Drift of a rate against its own past: a cumulative sum over days, with the rhythm of day and week taken out.

For each tally of a producer (records, of them hits) the chart knows from the past the rate that is expected at that
part of the day and week. Of each day, as far as it has come, it takes the log-likelihood ratio of "the odds are halved
(doubled)" to "as expected", adds it to the sum of the days before and never goes below nought. Where the sum passes
`LIMIT` the rate has fallen (risen). This is Page's cumulative sum (Biometrika 41, 1954) with an expectation for each
observation (Steiner et al., Biostatistics 1, 2000). Days differ by more than chance: the log odds of a day are taken as
normal around the expected ones, with a spread that is learned from the past days.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

#: What a sum must pass. Chosen with `bench drift`; false alarms and delay stand in docs/operations.md.
LIMIT: Final = 10.0
#: The change of the odds that the chart is made to find.
ODDS: Final = 2.0
#: Records and time that make a past.
LEARNED_RECORDS, LEARNED_MS = 300, 7 * 86_400_000
_DAY_MS = 86_400_000
#: The past fades: what was seen so many milliseconds ago counts half.
_HALF_LIFE_MS = 28 * _DAY_MS
#: Records of the overall rate that each part of the week begins with.
_PRIOR = 200.0
#: Standard deviation of a day's log odds: assumed, for so many days of evidence, and the least that is believed.
_SPREAD, _SPREAD_DAYS, _LEAST_SPREAD = 0.25, 7.0, 0.15
#: A rate is never thought to be nearer to nought or one.
_EDGE = 0.005
_LONDON = ZoneInfo("Europe/London")


class State(StrEnum):
    """What is known of a rate."""

    LEARNING = "learning"  # too little past to compare with
    STEADY = "steady"
    FALLEN = "fallen"
    RISEN = "risen"


class Reading(NamedTuple):
    """A chart as it stands. Rates are shares of records; scores are shares of the limit, 1.0 and more is an alarm.

    `since` (milliseconds since the epoch) is when the excursion of the higher score began, `records` how many came
    since; `latest` is the rate of the last 24 hours that have records.
    """

    state: State
    past: float | None
    latest: float | None
    fall: float
    rise: float
    since: int | None
    records: int


class _Day:
    """What was seen in a day so far, what was expected of it, and the variance by chance alone."""

    def __init__(self, at: int, day: date) -> None:
        self.at, self.date = at, day
        self.records = 0
        self.excess = self.variance = 0.0
        self.shift = {False: 0.0, True: 0.0}  # of the hits, if the odds had fallen (risen)

    def add(self, records: int, hits: int, expected: float) -> None:
        self.records += records
        self.excess += hits - records * expected
        self.variance += records * expected * (1 - expected)
        for rises in self.shift:
            odds = ODDS if rises else 1 / ODDS
            self.shift[rises] += records * (odds * expected / (1 - expected + odds * expected) - expected)


class _Sum:
    """One side of the chart: the sum of the days that are over, and with the day under way."""

    def __init__(self) -> None:
        self._days = self.value = 0.0
        self.since: int | None = None
        self.records = self._records = 0
        self.stands = False

    def see(self, day: _Day, ratio: float, *, over: bool) -> None:
        """An alarm stands until the sum is below half the limit. It stops at one and a half, so that it gets there."""
        self.value = min(max(0.0, self._days + ratio), 1.5 * LIMIT)
        if self.value == 0.0:
            self.since, self.records = None, 0
            self._records = 0
        else:
            self.since = day.at if self.since is None else self.since
            self.records = self._records + day.records
        if over:
            self._days, self._records = self.value, self.records
        self.stands = self.value >= (LIMIT / 2 if self.stands else LIMIT)


class Chart:
    """The rate of one kind of record of one producer.

    Args:
        falls: whether a fall is told as well as a rise.
        rounding: variance of a day's hits that comes from rounding.
    """

    def __init__(self, *, falls: bool = True, rounding: float = 0.0) -> None:
        self._rounding = rounding
        self._past: dict[tuple[bool, int], tuple[float, float]] = {}
        self._first: int | None = None
        self._at = 0
        self._sides = {True: _Sum(), **({False: _Sum()} if falls else {})}
        self._day: _Day | None = None
        self._over, self._chance = (
            0.0,
            0.0,
        )  # over days: what their excess had beyond chance, and chance itself, squared
        self._recent: deque[tuple[int, int, int]] = deque()

    def take(self, at: int, records: int, hits: int) -> None:
        """Take in a tally that ended `at` (milliseconds since the epoch).

        1. Compare with what is expected at this part of the week, where there is a past.
        2. Learn from it, and let older past fade, unless it looks like drift: that must not become the past.
        """
        self._first = at if self._first is None else self._first
        moment = datetime.fromtimestamp(at / 1000, UTC).astimezone(_LONDON)
        part = moment.weekday() >= 5, moment.hour // 6
        if self._learned(at):  # 1
            self._compare(at, moment.date(), records, hits, self._expected(part))
        if self._calm:  # 2
            self._learn(at, part, records, hits)
        self._recent.append((at, records, hits))
        while self._recent[0][0] <= at - _DAY_MS:
            self._recent.popleft()

    def read(self) -> Reading:
        """The chart as it stands."""
        high = max(self._sides.values(), key=lambda side: side.value)
        n, x = self._total
        recent, hits = sum(r for _, r, _ in self._recent), sum(h for _, _, h in self._recent)
        return Reading(
            state=self._state(),
            past=x / n if n else None,
            latest=hits / recent if recent else None,
            fall=self._sides[False].value / LIMIT if False in self._sides else 0.0,
            rise=self._sides[True].value / LIMIT,
            since=high.since,
            records=high.records,
        )

    def _state(self) -> State:
        if not self._learned(self._at):
            return State.LEARNING
        standing = [rises for rises, side in self._sides.items() if side.stands]
        if not standing:
            return State.STEADY
        return State.FALLEN if False in standing else State.RISEN

    @property
    def _total(self) -> tuple[float, float]:
        return sum(n for n, _ in self._past.values()), sum(x for _, x in self._past.values())

    @property
    def _calm(self) -> bool:
        return all(side.value < LIMIT / 2 for side in self._sides.values())

    def _learned(self, at: int) -> bool:
        return at - (self._first or at) >= LEARNED_MS and self._total[0] >= LEARNED_RECORDS

    def _expected(self, part: tuple[bool, int]) -> float:
        n, x = self._past.get(part, (0.0, 0.0))
        total, hits = self._total
        rate = (x + _PRIOR * hits / total) / (n + _PRIOR)
        return min(max(rate, _EDGE), 1 - _EDGE)

    def _compare(self, at: int, today: date, records: int, hits: int, expected: float) -> None:
        """Close the day before where this is another, then see this one as far as it has come."""
        day = self._day
        if day is None or day.date != today:
            if day is not None:
                self._close(day)
            day = self._day = _Day(at, today)
        day.add(records, hits, expected)
        for rises, side in self._sides.items():
            side.see(day, self._ratio(day, rises), over=False)

    def _close(self, day: _Day) -> None:
        for rises, side in self._sides.items():
            side.see(day, self._ratio(day, rises), over=True)
        if not any(side.stands for side in self._sides.values()):
            kept = 0.5 ** (_DAY_MS / _HALF_LIFE_MS)
            self._over = self._over * kept + day.excess**2 - day.variance - self._rounding
            self._chance = self._chance * kept + day.variance**2

    def _ratio(self, day: _Day, rises: bool) -> float:
        shift = day.shift[rises]
        assumed = _SPREAD_DAYS * day.variance**2
        spread = max((self._over + assumed * _SPREAD**2) / (self._chance + assumed), _LEAST_SPREAD**2)
        return (shift * day.excess - shift**2 / 2) / (day.variance + self._rounding + spread * day.variance**2)

    def _learn(self, at: int, part: tuple[bool, int], records: int, hits: int) -> None:
        kept = 0.5 ** (max(0, at - self._at) / _HALF_LIFE_MS)
        self._at = max(at, self._at)
        self._past = {where: (n * kept, x * kept) for where, (n, x) in self._past.items()}
        n, x = self._past.get(part, (0.0, 0.0))
        self._past[part] = n + records, x + hits
