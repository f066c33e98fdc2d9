"""What is counted in a window, and which window an entry belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from services.monitor import buckets
from services.monitor.entry import Entry, milliseconds

#: An entry that reaches the ledger later than this after the end of its window is counted as late, not in it.
GRACE_MS = 10 * 60 * 1000
NONE = "none"


class Size(StrEnum):
    """Length of a window; windows begin at multiples of it since the epoch, UTC."""

    MINUTE = "1m"
    QUARTER = "15m"
    DAY = "1d"

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return _LENGTH[self]

    @property
    def kept_ms(self) -> int:
        """How long a window is kept after it ended, in milliseconds."""
        return _KEPT[self]


_HOUR = 60 * 60 * 1000
_LENGTH = {Size.MINUTE: 60_000, Size.QUARTER: 900_000, Size.DAY: 24 * _HOUR}
_KEPT = {Size.MINUTE: 2 * _HOUR, Size.QUARTER: 48 * _HOUR, Size.DAY: 35 * 24 * _HOUR}


#: Parts of a cell's key. An earlier version took in names with a `/`: such a cell is none.
_PARTS = 6


class Place(msgspec.Struct, frozen=True):
    """One cell: a window, and whose entries are counted there. `start` is milliseconds since the epoch."""

    size: Size
    start: int
    service: str
    agency: str
    feed: str

    @property
    def key(self) -> bytes:
        """Its key in the table."""
        return f"w/{self.size}/{self.start}/{self.service}/{self.agency}/{self.feed}".encode()

    @classmethod
    def of(cls, key: bytes) -> Place | None:
        """The place of a key of the table; None for a key of something else."""
        parts = key.decode().split("/")
        if parts[0] != "w" or len(parts) != _PARTS:
            return None
        return cls(Size(parts[1]), int(parts[2]), *parts[3:])


class Figures(msgspec.Struct, array_like=True):
    """Figures of one cell. `applied` is the last ledger offset that was counted here.

    `outcomes` counts by `outcome` or `outcome/coarse reason`, `partners` by partner and effect (allowed, denied).
    `processing` is the time from the service's batch to the broker, `end_to_end` from the moment when the agency's
    record reached the broker; durations that are not known are counted as such.
    """

    applied: int = -1
    entries: int = 0
    outcomes: dict[str, int] = {}
    partners: dict[str, tuple[int, int]] = {}
    processing: list[int] = msgspec.field(default_factory=buckets.empty)
    processing_unknown: int = 0
    end_to_end: list[int] = msgspec.field(default_factory=buckets.empty)
    end_to_end_unknown: int = 0
    late: int = 0
    ahead: int = 0


def place(entry: Entry, size: Size, appended: int) -> tuple[Place, bool | None]:
    """The cell that an entry changes, and whether it is late (True), ahead of its time (False) or neither (None).

    A late entry, and one whose clock runs ahead of the broker's by more than the grace, is only told of, in the
    window of its arrival. Both follow from the record itself: a replay finds the same.
    """
    at = milliseconds(entry.time)
    start = at - at % size.ms
    late = None
    if appended - (start + size.ms) > GRACE_MS:
        late = True
    elif at - appended > GRACE_MS:
        late = False
    if late is not None:
        start = appended - appended % size.ms
    return Place(size, start, entry.service, entry.agency or NONE, entry.feed or NONE), late


def count(figures: Figures, entry: Entry, *, offset: int, appended: int, late: bool | None) -> None:
    """Count one entry in its cell; nothing happens where the cell holds it already."""
    if offset <= figures.applied:
        return
    figures.applied = offset
    if late is not None:
        figures.late += late
        figures.ahead += not late
        return
    figures.entries += 1
    word = entry.outcome or NONE
    name = f"{word}/{entry.reason}" if entry.reason else word
    figures.outcomes[name] = figures.outcomes.get(name, 0) + 1
    for decision in entry.decisions:
        allowed, denied = figures.partners.get(decision.partner, (0, 0))
        allow = decision.effect == "allow"
        figures.partners[decision.partner] = (allowed + allow, denied + (not allow))
    figures.processing_unknown += not _timed(figures.processing, appended - milliseconds(entry.time))
    taken = None if entry.received is None else appended - milliseconds(entry.received)
    figures.end_to_end_unknown += not _timed(figures.end_to_end, taken)


def _timed(counts: list[int], taken: int | None) -> bool:
    """Count a duration; False where it is not known, or negative because two clocks differ."""
    if taken is None or taken < 0:
        return False
    buckets.add(counts, taken)
    return True


def add_up(parts: Iterable[Figures]) -> Figures:
    """The sum of several cells."""
    made = Figures()
    for part in parts:
        made.applied = max(made.applied, part.applied)
        made.entries += part.entries
        made.late += part.late
        made.ahead += part.ahead
        made.processing_unknown += part.processing_unknown
        made.end_to_end_unknown += part.end_to_end_unknown
        made.processing = buckets.total([made.processing, part.processing])
        made.end_to_end = buckets.total([made.end_to_end, part.end_to_end])
        for name, number in part.outcomes.items():
            made.outcomes[name] = made.outcomes.get(name, 0) + number
        for partner, (allowed, denied) in part.partners.items():
            before = made.partners.get(partner, (0, 0))
            made.partners[partner] = (before[0] + allowed, before[1] + denied)
    return made
