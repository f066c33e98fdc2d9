"""State of the monitor as a table of bytes, and the one step that takes ledger records into it.

The table holds cells (`w/...`), chains (`c/...`), ids of entries by hand and one mark. Every value says the last ledger
offset that it took in. The step returns its writes in an order that may break off anywhere: cells first, then
chains and ids, the mark last. What is read again after a crash finds each value either with the record or without
it, never half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from services.kernel.kafka.client import PositionError
from services.monitor.chain import Chain, Finding, Verdict, join
from services.monitor.entry import Delivery, Entry, Source, read
from services.monitor.windows import Figures, Place, Size, count, place

MARK = b"mark"
BY_HAND = b"by-hand"
#: Ids of entries by hand that are kept, to know a double by.
KEPT = 1_000
#: Services whose entries form chains; entries by hand do not.
CHAINED = frozenset({"redactor", "router"})

Read = Callable[[bytes], bytes | None]
T = TypeVar("T")


class Mark(msgspec.Struct, array_like=True):
    """How far the monitor is: last ledger offset taken in, and the broker's times (ms) of the first and newest.

    `unreadable` counts records that are no ledger entry.
    """

    applied: int = -1
    known_from: int = -1
    newest: int = -1
    unreadable: int = 0


class ByHand(msgspec.Struct, array_like=True):
    """Ids of the last entries that are in no chain, and the last ledger offset that it took in."""

    applied: int = -1
    ids: list[str] = []

    def joined(self, entry: Entry, offset: int) -> bool:
        """False for a double, and for what was taken in: the cells that it belongs to were written before it."""
        if offset <= self.applied:
            return False
        self.applied = offset
        if entry.id in self.ids:
            return False
        self.ids = [*self.ids[1 - KEPT :], entry.id]
        return True


class Found(NamedTuple):
    """A finding and the chain where it was made."""

    service: str
    topic: str
    partition: int
    finding: Finding


class Step(NamedTuple):
    """What to write, in this order (None: delete the key), and what to tell of."""

    writes: list[tuple[bytes, bytes | None]]
    found: list[Found]


_mark = msgspec.msgpack.Decoder(Mark)
_figures = msgspec.msgpack.Decoder(Figures)
_chain = msgspec.msgpack.Decoder(Chain)
_by_hand = msgspec.msgpack.Decoder(ByHand)
_encode = msgspec.msgpack.Encoder().encode


def read_mark(table: Read) -> Mark:
    """The mark, or a new one where nothing was taken in yet."""
    value = table(MARK)
    return Mark() if value is None else _mark.decode(value)


def read_figures(value: bytes) -> Figures:
    """The figures of a cell."""
    return _figures.decode(value)


def read_chain(value: bytes) -> Chain:
    """A chain."""
    return _chain.decode(value)


def chain_key(service: str, topic: str, partition: int) -> bytes:
    """Key of a chain."""
    return f"c/{service}/{topic}/{partition}".encode()


#: Parts of a chain's key. An earlier version took in names with a `/`: such a chain is none.
_PARTS = 4


def chain_of(key: bytes) -> tuple[str, str, int] | None:
    """Service, topic and partition of a chain's key; None for a key of something else."""
    parts = key.decode().split("/")
    return (parts[1], parts[2], int(parts[3])) if parts[0] == "c" and len(parts) == _PARTS else None


def advance(table: Read, deliveries: Sequence[Delivery], *, keys: Iterable[bytes] = ()) -> Step:
    """Take records of the ledger topic into the table.

    Args:
        table: reads one value; it is not changed.
        deliveries: records in the order of their offsets; the first may lie at or before the mark (a replay).
        keys: every key of the table, asked only when windows may have become too old.

    1. Leave out what the mark says was taken in; what is newer than all that was taken in cannot be that.
    2. Join each entry to its chain; a double changes no figure.
    3. Count it in its cell of each size; what was planted is no record.
    4. Write cells, then what became too old, then chains and ids, then the mark.

    Raises:
        PositionError: the topic is another than that of the table.
    """
    mark = read_mark(table)
    before = mark.newest
    cells: dict[bytes, Figures] = {}
    chains: dict[bytes, Chain] = {}
    by_hand: dict[bytes, ByHand] = {}
    for delivery in deliveries:
        if delivery.offset <= mark.applied:  # 1
            if delivery.appended > mark.newest:
                raise PositionError("the ledger was made anew: the table speaks of another one")
            continue
        mark.applied = delivery.offset
        mark.known_from = delivery.appended if mark.known_from < 0 else mark.known_from
        mark.newest = max(mark.newest, delivery.appended)
        entry = read(delivery.value)
        if entry is None:
            mark.unreadable += 1
        elif _joined(table, chains, by_hand, entry, delivery.offset) and not entry.canary:  # 2
            _counted(table, cells, entry, delivery)  # 3
    writes: list[tuple[bytes, bytes | None]] = [(key, _encode(figures)) for key, figures in cells.items()]  # 4
    writes += [(key, None) for key in _too_old(keys, before, mark.newest)]
    writes += [(key, _encode(chain)) for key, chain in chains.items()]
    writes += [(key, _encode(ids)) for key, ids in by_hand.items()]
    writes.append((MARK, _encode(mark)))
    return Step(writes, list(_findings(chains, read_mark(table).applied)))


def _held(table: Read, held: dict[bytes, T], key: bytes, kind: type[T], decoder: msgspec.msgpack.Decoder[T]) -> T:
    """The value of a key as this step has it so far, from the table the first time, or a new one."""
    if (found := held.get(key)) is None:
        value = table(key)
        found = held[key] = kind() if value is None else decoder.decode(value)
    return found


def _joined(table: Read, chains: dict[bytes, Chain], by_hand: dict[bytes, ByHand], entry: Entry, offset: int) -> bool:
    """False for a double, and for what its chain took in: the cells that it belongs to were written before it."""
    source = entry.source
    if source is None or entry.service not in CHAINED:
        return _held(table, by_hand, BY_HAND, ByHand, _by_hand).joined(entry, offset)
    chain = _held(table, chains, chain_key(entry.service, source.topic, source.partition), Chain, _chain)
    if offset <= chain.applied:
        return False
    return _join(chain, source, offset) is not Verdict.DOUBLE


def _join(chain: Chain, source: Source, offset: int) -> Verdict:
    last = source.offset if source.until is None else source.until
    return join(chain, at=offset, first=source.offset, last=last, previous=source.previous)


def _counted(table: Read, cells: dict[bytes, Figures], entry: Entry, delivery: Delivery) -> None:
    for size in Size:
        where, late = place(entry, size, delivery.appended)
        figures = _held(table, cells, where.key, Figures, _figures)
        count(figures, entry, offset=delivery.offset, appended=delivery.appended, late=late)


def _too_old(keys: Iterable[bytes], before: int, newest: int) -> Iterable[bytes]:
    """Cells whose time was over before this step: a replay of the step cannot touch them again."""
    if before < 0 or before // 60_000 == newest // 60_000:
        return
    for key in keys:
        where = Place.of(key)
        if where is not None and where.start + where.size.ms + where.size.kept_ms < before:
            yield key


def _findings(chains: dict[bytes, Chain], applied: int) -> Iterable[Found]:
    """What was found after the mark that stood before this step, so a replay tells of it again."""
    for key, chain in chains.items():
        where = chain_of(key)
        if where is not None:
            yield from (Found(*where, finding) for finding in chain.findings if finding.seen_at > applied)
