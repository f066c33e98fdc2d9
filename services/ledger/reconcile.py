"""Does every record have its outcome? Sets of offsets of the topics against those of the log.

Counts would not do: compaction, transaction markers and retention make holes. What expired before it was compared is
said to be unprovable, not lost.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from services.ledger import tables
from services.ledger.entries import CHAINED
from services.ledger.verify import pages

#: Service, topic, partition.
Place = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Compared:
    """One partition of one service's input, up to `upto`, the last offset that the log says was handled.

    Attributes:
        missing: offsets of records without an entry.
        extra: entries without a record, above the oldest record that the topic holds.
        doubled: offsets that have more than one entry.
        waiting: records behind `upto`, which no service has handled yet.
        expired: entries about records that the topic does not hold any more: unprovable from the topic.
    """

    place: Place
    upto: int
    records: int
    missing: tuple[int, ...] = ()
    extra: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()
    waiting: int = 0
    expired: int = 0

    @property
    def whole(self) -> bool:
        """Whether every record has exactly one entry, and every entry its record."""
        return not (self.missing or self.extra or self.doubled)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One partner's topic: `unknown` counts keys of records and tombstones that no entry let out."""

    partner: str
    keys: int
    unknown: int


@dataclass(slots=True)
class Said:
    """What the log says: offsets by place, and message keys by partner."""

    offsets: dict[Place, array[int]] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)


def said(connection: Connection) -> Said:
    """Read the whole log for what reconciliation needs."""
    found = Said()
    held = tables.leaf
    wanted = sa.select(held.c.idx, held.c.body).where(held.c.body.is_not(None), held.c.fault.is_(None))
    for row in pages(connection, wanted):
        entry = orjson.loads(row["body"])
        source = entry["source"]
        if entry["service"] in CHAINED and source is not None:
            place = entry["service"], source["topic"], source["partition"]
            last = source.get("until", source["offset"])
            found.offsets.setdefault(place, array("q")).extend(range(source["offset"], last + 1))
        for decision in entry["decisions"]:
            if decision["effect"] == "allow" and "key" in decision:
                found.keys.setdefault(decision["partner"], set()).add(decision["key"])
    return found


def compare(place: Place, entries: Sequence[int], records: Sequence[int], *, oldest: int) -> Compared:
    """Compare one partition.

    Args:
        entries: offsets that the log names, in any order, doubled ones too.
        records: offsets that the topic holds, committed.
        oldest: the first offset that the topic still holds, or would.
    """
    named = np.asarray(entries, dtype=np.int64)
    there = np.asarray(records, dtype=np.int64)
    once, counts = np.unique(named, return_counts=True)
    upto = int(once[-1]) if len(once) else -1
    handled = there[there <= upto]
    inside = once[once >= oldest]
    return Compared(
        place,
        upto,
        len(handled),
        missing=_numbers(np.setdiff1d(handled, once)),
        extra=_numbers(np.setdiff1d(inside, there)),
        doubled=_numbers(once[counts > 1]),
        waiting=int((there > upto).sum()),
        expired=int((once < oldest).sum()),
    )


def delivered(partner: str, keys: Iterable[bytes | None], known: set[str]) -> Delivered:
    """Compare one partner's topic; a key that is no text counts as unknown."""
    there = {key.decode("ascii", "replace") if key is not None else "" for key in keys}
    return Delivered(partner, len(there), len(there - known))


def statement(compared: Iterable[Compared], *, name: str, stamp: str, key: Ed25519PrivateKey) -> str:
    """The signed statement of how far each whole partition is reconciled: lines of text, then the signature in hex."""
    lines = [name, stamp, *(_line(one) for one in compared if one.whole)]
    text = "\n".join(lines) + "\n"
    return f"{text}\n{key.sign(text.encode()).hex()}\n"


def _line(one: Compared) -> str:
    service, topic, partition = one.place
    return f"{service} {topic} {partition} reconciled-to {one.upto}"


def _numbers(found: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(number) for number in found)


def places(found: Mapping[Place, object], topics: Mapping[str, Sequence[str]], partitions: int) -> Iterator[Place]:
    """Every partition that a service reads, whether the log names it or not.

    Args:
        topics: input topics by service.
    """
    wanted = {(s, t, p) for s, names in topics.items() for t in names for p in range(partitions)}
    yield from sorted(wanted | set(found))
