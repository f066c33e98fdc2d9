"""Content expires, its leaf stays: what may go, what a hold keeps, and the erasure itself, after its own entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from services.ledger import tables
from services.ledger.erasure import SERVICE, reference
from services.ledger.store import BUCKET_BITS, Store
from services.ledger.verify import pages

#: Days below which nothing expires: the `ledger` topic holds its copy for 35.
SHORTEST_DAYS = 36
_ROWS = 500


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
    """Erase the content of `spans`, and what it was found by; the leaves and their hashes stay. How many leaves."""
    with store.connection(write=True) as connection:
        return sum(_erase(connection, span) for span in spans)


def _erase(connection: Connection, span: Span) -> int:
    leaf, seen, delivery = tables.leaf, tables.seen, tables.delivery
    inside = leaf.c.idx.between(span.first, span.last)
    gone = {"body": None, "fault": None, "service": "", "agency": None, "feed": None, "outcome": None, "reason": None}
    done = connection.execute(sa.update(leaf).where(inside, leaf.c.body.is_not(None)).values(gone)).rowcount
    for bucket in range(span.first >> BUCKET_BITS, (span.last >> BUCKET_BITS) + 1):
        connection.execute(sa.delete(seen).where(seen.c.bucket == bucket, seen.c.idx.between(span.first, span.last)))
    connection.execute(sa.delete(delivery).where(delivery.c.idx.between(span.first, span.last)))
    return int(done)


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
