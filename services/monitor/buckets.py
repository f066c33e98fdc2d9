"""Durations as fixed buckets: they add up, so a window is the sum of its parts and a quantile is read from the sum."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

#: Upper bounds in milliseconds, both ends known to everybody; one more bucket holds what is longer.
BOUNDS_MS = (
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000,
)  # fmt: skip


def empty() -> list[int]:
    """A count of zero for each bound and one for what is longer than the last."""
    return [0] * (len(BOUNDS_MS) + 1)


def add(counts: list[int], milliseconds: int) -> None:
    """Count one duration; a bound belongs to the bucket that it ends."""
    counts[bisect_left(BOUNDS_MS, milliseconds)] += 1


def total(parts: Iterable[Sequence[int]]) -> list[int]:
    """The sum of several counts, bucket by bucket."""
    made = empty()
    for part in parts:
        for index, count in enumerate(part):
            made[index] += count
    return made


def quantile(counts: Sequence[int], share: float) -> tuple[int | None, bool]:
    """The bound in milliseconds that at least `share` of the durations do not exceed.

    Returns:
        (bound, True): they take at most that long. (last bound, False): they take longer than the last bound,
        nobody knows how long. (None, False): there is nothing to say it of.
    """
    count = sum(counts)
    if count == 0:
        return None, False
    need = share * count
    seen = 0
    for bound, here in zip(BOUNDS_MS, counts, strict=False):
        seen += here
        if seen >= need:
            return bound, True
    return BOUNDS_MS[-1], False
