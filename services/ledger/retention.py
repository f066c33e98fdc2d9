"""Content expires, its leaf stays: what may go, what a hold keeps, and the erasure itself, after its own entry."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.ledger import tables
from services.ledger.entries import HOUR_MS
from services.ledger.erasure import SERVICE, reference
from services.ledger.search import Query, search
from services.ledger.store import BUCKET_BITS, Store
from services.ledger.verify import pages

#: Days below which nothing expires: the `ledger` topic holds its copy for 35.
SHORTEST_DAYS = 36
#: Leaves, and spans of them, that one transaction erases, and seconds between two: SQLite's waiting writer looks for
#: the lock each tenth of a second.
_LEAVES, _SPANS, _PAUSE = 10_000, 500, 0.2
_FORGET = sa.delete(tables.seen).where(*(column == sa.bindparam(f"the_{column.name}") for column in tables.seen.c))


@dataclass(frozen=True, slots=True)
class Span:
    """Leaves from the first to the last, both included."""

    first: int
    last: int

    @property
    def reference(self) -> str:
        """How the entry of their erasure names them."""
        return reference(self.first, self.last)


def expiring(connection: Connection, before: int) -> list[Span]:
    """Spans whose content is older than `before` (milliseconds since the epoch) and which nothing holds.

    1. Entries of erasures and holds stay, and the consultations: they say who looked.
    2. A hold on a record keeps all its entries; one on a span keeps that span.
    """
    held_leaves, held_spans = _held(connection)
    wanted = sa.select(tables.leaf.c.idx, tables.leaf.c.service).where(
        tables.leaf.c.time < before, tables.leaf.c.body.is_not(None)
    )
    spans: list[Span] = []
    for row in pages(connection, wanted):
        idx = row["idx"]
        if row["service"] in (SERVICE, "compliance") or idx in held_leaves:  # 1, 2
            continue
        if any(span.first <= idx <= span.last for span in held_spans):
            continue
        if spans and spans[-1].last == idx - 1:
            spans[-1] = Span(spans[-1].first, idx)
        else:
            spans.append(Span(idx, idx))
    return spans


def _held(connection: Connection) -> tuple[set[int], list[Span]]:
    leaves: set[int] = set()
    spans = []
    for row in connection.execute(sa.select(tables.hold)).mappings().all():
        if row["record"] is not None:
            seen = tables.seen.c
            leaves |= set(connection.execute(sa.select(seen.idx).where(seen.record == row["record"])).scalars())
        else:
            spans.append(Span(row["first"], row["last"]))
    return leaves, spans


def said(connection: Connection, spans: list[Span]) -> bool:
    """Whether the log has the entry of every erasure: before that nothing is erased."""
    wanted = sa.select(tables.leaf.c.idx, tables.leaf.c.body).where(
        tables.leaf.c.service == SERVICE, tables.leaf.c.body.is_not(None)
    )
    bodies = [row["body"] for row in pages(connection, wanted)]
    return all(any(f'"{span.reference}"'.encode() in body for body in bodies) for span in spans)


def erase(store: Store, spans: list[Span]) -> int:
    """Erase the content of `spans`, and what it was found by; the leaves and their hashes stay. How many leaves.

    Some at a time, with a pause behind each transaction: the service must not wait for the lock until it gives up.

    Args:
        spans: in the order of the log, as `expiring` gives them.
    """
    done = 0
    for part in _parts(spans):
        with store.connection() as connection:
            seen = _seen(connection, part)
            partners = list(connection.execute(sa.select(tables.delivery.c.partner).distinct()).scalars())
        with store.connection(write=True) as connection:
            done += sum(_erase(connection, span, partners) for span in part)
            if seen:
                connection.execute(_FORGET, seen)
        time.sleep(_PAUSE)
    return done


def _parts(spans: list[Span]) -> Iterator[list[Span]]:
    """What one transaction erases."""
    part: list[Span] = []
    leaves = 0
    for span in spans:
        for first in range(span.first, span.last + 1, _LEAVES):
            piece = Span(first, min(first + _LEAVES - 1, span.last))
            leaves += piece.last - piece.first + 1
            if part and (leaves > _LEAVES or len(part) == _SPANS):
                yield part
                part, leaves = [], piece.last - piece.first + 1
            part.append(piece)
    if part:
        yield part


def _seen(connection: Connection, part: list[Span]) -> list[dict[str, Any]]:
    """Keys of the rows by which records of these leaves are found: no index leads from a leaf to them."""
    first, last, held = part[0].first, part[-1].last, tables.seen
    wanted = sa.select(held).where(
        held.c.bucket.between(first >> BUCKET_BITS, last >> BUCKET_BITS), held.c.idx.between(first, last)
    )
    rows = connection.execute(wanted).mappings().all()
    return [{f"the_{name}": value for name, value in row.items()} for row in rows if _inside(row["idx"], part)]


def _inside(idx: int, part: list[Span]) -> bool:
    at = bisect_right(part, idx, key=lambda span: span.first)
    return at > 0 and idx <= part[at - 1].last


def _erase(connection: Connection, span: Span, partners: list[str]) -> int:
    leaf, delivery = tables.leaf, tables.delivery
    inside = leaf.c.idx.between(span.first, span.last)
    begins, ends = connection.execute(sa.select(sa.func.min(leaf.c.time), sa.func.max(leaf.c.time)).where(inside)).one()
    gone = {"body": None, "fault": None, "service": "", "agency": None, "feed": None, "outcome": None, "reason": None}
    done = connection.execute(sa.update(leaf).where(inside, leaf.c.body.is_not(None)).values(gone)).rowcount
    connection.execute(
        sa.delete(delivery).where(
            delivery.c.partner.in_(partners), delivery.c.hour.between(begins // HOUR_MS, ends // HOUR_MS),
            delivery.c.idx.between(span.first, span.last),
        )
    )  # fmt: skip
    return int(done)


def covers(connection: Connection, *, record: bytes | None, span: Span | None) -> bool:
    """Whether a hold on this would keep anything: the log knows the record, or has the leaves."""
    if span is not None:
        size: int = connection.execute(sa.select(tables.log.c.size)).scalar_one()
        return 0 <= span.first <= span.last < size
    return record is not None and next(search(connection, Query(record=record.hex())), None) is not None


def hold(store: Store, name: str, *, record: bytes | None, span: Span | None, reason: str, by: str, now: int) -> None:
    """Place a hold under a name of its own; nothing that it covers expires until it is lifted."""
    first, last = (span.first, span.last) if span is not None else (None, None)
    row = {"name": name, "record": record, "first": first, "last": last, "reason": reason, "by": by, "time": now}
    with store.connection(write=True) as connection:
        connection.execute(sa.insert(tables.hold).values(row))


def lift(store: Store, name: str) -> bool:
    """Lift a hold; False where there is none of that name."""
    with store.connection(write=True) as connection:
        return connection.execute(sa.delete(tables.hold).where(tables.hold.c.name == name)).rowcount == 1


def holds(connection: Connection) -> Iterator[tuple[str, str, str, int]]:
    """(name, reason, by, milliseconds since the epoch) of every hold."""
    held = tables.hold.c
    for row in connection.execute(sa.select(held.name, held.reason, held.by, held.time).order_by(held.time)):
        yield row.name, row.reason, row.by, row.time
