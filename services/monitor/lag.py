"""Lag of a partition by records and by age, from positions that were asked for again and again.

The monitor may not read the topics, so the age comes from its own memory of where each topic ended when. A lag older
than that memory has an age that is not known, and only a bound below it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

#: Ends remembered for each partition; older ones are thinned out.
_REMEMBERED = 512


class Lag(NamedTuple):
    """Lag of one partition of a group.

    `records` is None where the group has no position. `age` is the longest that the next record may have waited,
    None where that is not known; `age_at_least` is what it waited for certain; both in seconds, 0 without lag.
    `still` is for how many seconds the position has not moved while there was lag. Where the broker tells nothing of
    the partition, `known` is False, records and age are None, and `still` is for how many seconds that has been so;
    `missing`: its topic is not there.
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


class Lags:
    """Memory of positions.

    Args:
        marked: topics that only transactions write to; each leaves a mark of its own at the end, which no group
            ever handles, so one record of lag is none there.
    """

    def __init__(self, marked: Iterable[str]) -> None:
        self._marked = frozenset(marked)
        self._memory: dict[tuple[str, str, int], _Memory] = {}

    def see(self, group: str, topic: str, partition: int, *, committed: int | None, end: int, now: float) -> Lag:
        """Take in one position at `now` (seconds, never going back) and say the lag."""
        memory = self._memory.setdefault((group, topic, partition), _Memory())
        _remember(memory, end, now)
        memory.unknown_since = None
        records = None if committed is None else max(0, end - committed)
        if topic in self._marked and records == 1:
            records = 0
        moved = committed != memory.committed
        memory.committed = committed
        if not records or committed is None:
            memory.still_since = None if records == 0 else memory.still_since
            return Lag(group, topic, partition, records, None if records is None else 0.0, 0.0, 0.0)
        if moved or memory.still_since is None:
            memory.still_since = now
        age, at_least = _age(memory, committed, now)
        return Lag(group, topic, partition, records, age, at_least, now - memory.still_since)

    def unknown(self, group: str, topic: str, partition: int, *, missing: bool, now: float) -> Lag:
        """Take in that the broker tells nothing of a partition."""
        memory = self._memory.setdefault((group, topic, partition), _Memory())
        memory.unknown_since = now if memory.unknown_since is None else memory.unknown_since
        since = now - memory.unknown_since
        return Lag(group, topic, partition, None, None, 0.0, since, known=False, missing=missing)


def _remember(memory: _Memory, end: int, now: float) -> None:
    if memory.ends and end < memory.ends[-1][1]:  # the topic was made anew
        memory.ends.clear()
    if len(memory.ends) >= 2 and memory.ends[-1][1] == end and memory.ends[-2][1] == end:
        memory.ends[-1] = (now, end)  # first and last moment at which it ended here
    else:
        memory.ends.append((now, end))
    if len(memory.ends) > _REMEMBERED:
        memory.ends = deque(pair for number, pair in enumerate(memory.ends) if number % 2 or number == 0)


def _age(memory: _Memory, committed: int, now: float) -> tuple[float | None, float]:
    """The record at `committed` came after the last end at or before it, and before the first end beyond it."""
    while len(memory.ends) > 1 and memory.ends[1][1] <= committed:
        memory.ends.popleft()
    before = memory.ends[0] if memory.ends[0][1] <= committed else None
    beyond = next(at for at, end in memory.ends if end > committed)
    return (None if before is None else now - before[0]), now - beyond
