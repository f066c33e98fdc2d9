"""Which holds are open, and how long nobody may leave them so. Nothing is kept: both topics are read at each start."""

from __future__ import annotations

from typing import NamedTuple

from services.kernel import safety
from services.kernel.record import Inbound
from services.kernel.safety import Acknowledgement, Hold
from services.kernel.vocabulary import Risk

#: A hold that nobody graded, or that could not be read, is waited for no longer than a high one.
_GRAVE = frozenset({Risk.HIGH, Risk.UNKNOWN})
LEVELS = (0, 1, 2)


class Pace(NamedTuple):
    """Milliseconds after which what nobody looked at escalates; half of them for a high or unknown risk."""

    first: int
    second: int

    def due(self, risk: Risk) -> tuple[int, int]:
        """Milliseconds to level 1, and to level 2."""
        return (self.first // 2, self.second // 2) if risk in _GRAVE else (self.first, self.second)

    def level(self, raised: int, risk: Risk, now: int) -> int:
        """0 to 2; times are milliseconds since the epoch."""
        return sum(now >= at for at in self.steps(raised, risk))

    def steps(self, raised: int, risk: Risk) -> tuple[int, int]:
        """When it escalates to level 1 and to level 2, milliseconds since the epoch."""
        first, second = self.due(risk)
        return raised + first, raised + max(first, second)


class Item(NamedTuple):
    """A hold. `raised` is when the broker took it, milliseconds since the epoch."""

    hold: Hold
    raised: int

    @property
    def order(self) -> tuple[int, str]:
        """Oldest first."""
        return self.raised, self.hold.id


class Register:
    """Holds and acknowledgements as they were heard; the order of the two topics does not matter.

    Args:
        kept: milliseconds for which a hold that was acknowledged is remembered: as long as its topic keeps it, so that
            its double is none. By default for ever.
    """

    def __init__(self, kept: int | None = None) -> None:
        self._kept = kept
        self._open: dict[str, Item] = {}
        self._closed: dict[str, Item] = {}
        self._acknowledged: dict[str, tuple[Acknowledgement, int]] = {}
        self.doubled = 0
        self.unreadable = 0

    def hear_hold(self, record: Inbound) -> Item | None:
        """Take in a message of `ops.safety`; its item where it is a hold that was not known."""
        hold = safety.read_hold(record)
        if not hold.is_readable:
            self.unreadable += 1
        if hold.id in self._open or hold.id in self._closed:
            self.doubled += 1
            return None
        item = Item(hold, record.timestamp)
        (self._closed if hold.id in self._acknowledged else self._open)[hold.id] = item
        return item

    def hear_acknowledgement(self, record: Inbound) -> bool:
        """Take in a message of `safety.acknowledged`; the first of a hold counts. True where it is that."""
        said = safety.read_acknowledgement(record)
        if said is None:
            self.unreadable += 1
            return False
        if said.id in self._acknowledged:
            return False
        self._acknowledged[said.id] = said, record.timestamp
        if (item := self._open.pop(said.id, None)) is not None:
            self._closed[said.id] = item
        return True

    def open(self) -> list[Item]:
        """What nobody acknowledged, oldest first."""
        return sorted(self._open.values(), key=lambda item: item.order)

    def closed(self) -> list[Item]:
        """What somebody acknowledged, oldest first."""
        return sorted(self._closed.values(), key=lambda item: item.order)

    def acknowledgement(self, id_: str) -> Acknowledgement | None:
        """What was said of a hold."""
        held = self._acknowledged.get(id_)
        return held[0] if held is not None else None

    def named(self, start: str) -> list[Item]:
        """Holds whose id begins so, acknowledged or not."""
        everything = {**self._closed, **self._open}
        return [item for id_, item in everything.items() if id_.startswith(start)]

    def forget(self, now: int) -> None:
        """Let go what was acknowledged and is not in its topic any more. An open hold is never let go."""
        if self._kept is None:
            return
        old = now - self._kept
        self._closed = {id_: item for id_, item in self._closed.items() if item.raised >= old}
        self._acknowledged = {
            id_: held for id_, held in self._acknowledged.items() if id_ in self._closed or held[1] >= old
        }
