"""Lag of a partition by records and by age, from positions that were asked for again and again.

The monitor may not read the topics, so the age comes from its own memory of where each topic ended when. A lag older
than that memory has an age that is not known, and only a bound below it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from services.kernel.kafka.lag import Position

#: Ends remembered for each partition; older ones are thinned out.
_REMEMBERED = 512


class Lag(NamedTuple):
    """Lag of one partition of a group.

    `records` is None where the group has no position. `age` is the longest that the next record may have waited,
    None where that is not known; `age_at_least` is what it waited for certain; both in seconds, 0 without lag.
    `still` is for how many seconds the position has not moved while there was lag. Where the broker tells nothing of
    the partition, or a transaction that does not end holds back all that waits there, `known` is False, records and age
    are None, and `still` is for how many seconds that has been so; `missing`: its topic is not there.
    """

    group: str
    topic: str
    partition: int
    records: int | None
    age: float | None
    age_at_least: float
    still: float
    known: bool = True
    missing: bool = False


class _Memory:
    def __init__(self) -> None:
        self.ends: deque[tuple[float, int]] = deque()
        self.committed: int | None = None
        self.still_since: float | None = None
        self.unknown_since: float | None = None
        self.end: int | None = None
        self.held_since: float | None = None


class Lags:
    """Memory of positions.

    Args:
        marked: topics that only transactions write to; each leaves a mark of its own at the end, which no group
            ever handles, so one record of lag is none there.
        dark: seconds for which a transaction may hold back what was written after it began; live ones are over sooner.
    """

    def __init__(self, marked: Iterable[str], *, dark: float) -> None:
        self._marked = frozenset(marked)
        self._dark = dark
        self._memory: dict[tuple[str, str, int], _Memory] = {}

    def see(self, at: Position, *, now: float) -> Lag:
        """Take in one position at `now` (seconds, never going back) and say the lag."""
        group, topic, partition, committed, end = at.group, at.topic, at.partition, at.committed, at.end
        if end is None:
            return self._unknown(at, now)
        memory = self._memory.setdefault((group, topic, partition), _Memory())
        held = _held(memory, end, at.written, now)
        _remember(memory, end, now)
        memory.unknown_since = None
        records = None if committed is None else max(0, end - committed)
        if topic in self._marked and records == 1:
            records = 0
        moved = committed != memory.committed
        memory.committed = committed
        if not records or committed is None:
            memory.still_since = None if records == 0 else memory.still_since
            if records == 0 and held >= self._dark:
                return Lag(group, topic, partition, None, None, 0.0, held, known=False)
            return Lag(group, topic, partition, records, None if records is None else 0.0, 0.0, 0.0)
        if moved or memory.still_since is None:
            memory.still_since = now
        age, at_least = _age(memory, committed, now)
        return Lag(group, topic, partition, records, age, at_least, now - memory.still_since)

    def _unknown(self, at: Position, now: float) -> Lag:
        memory = self._memory.setdefault((at.group, at.topic, at.partition), _Memory())
        memory.unknown_since = now if memory.unknown_since is None else memory.unknown_since
        since = now - memory.unknown_since
        return Lag(at.group, at.topic, at.partition, None, None, 0.0, since, known=False, missing=at.missing)


def _held(memory: _Memory, end: int, written: int | None, now: float) -> float:
    """Seconds for which nothing more could be read though more is written: an open transaction holds it back."""
    moved, memory.end = end != memory.end, end
    if written is None or written <= end:
        memory.held_since = None
        return 0.0
    if moved or memory.held_since is None:
        memory.held_since = now
    return now - memory.held_since


def _remember(memory: _Memory, end: int, now: float) -> None:
    if memory.ends and end < memory.ends[-1][1]:  # the topic was made anew
        memory.ends.clear()
    if len(memory.ends) >= 2 and memory.ends[-1][1] == end and memory.ends[-2][1] == end:
        memory.ends[-1] = (now, end)  # first and last moment at which it ended here
    else:
        memory.ends.append((now, end))
    if len(memory.ends) > _REMEMBERED:
        last = len(memory.ends) - 1
        memory.ends = deque(pair for number, pair in enumerate(memory.ends) if number % 2 or number in (0, last))


def _age(memory: _Memory, committed: int, now: float) -> tuple[float | None, float]:
    """The record at `committed` came after the last end at or before it, and before the first end beyond it."""
    while len(memory.ends) > 1 and memory.ends[1][1] <= committed:
        memory.ends.popleft()
    before = memory.ends[0] if memory.ends[0][1] <= committed else None
    beyond = next(at for at, end in memory.ends if end > committed)
    return (None if before is None else now - before[0]), now - beyond
