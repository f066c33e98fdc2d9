"""Find entries without a key: by record, partner and hour, or time, and then by whatever else the open part says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, RowMapping, Select

from services.ledger import tables
from services.ledger.entries import HOUR_MS, let_out
from services.ledger.store import BUCKET_BITS
from services.ledger.verify import as_bytes, pages


@dataclass(frozen=True, slots=True)
class Query:
    """What to find; None asks nothing. Times are milliseconds since the epoch, `since` included, `until` not.

    `partner` asks for what was let out to it. `policy` is the id of a deciding policy, `version` a value of `versions`.
    """

    since: int | None = None
    until: int | None = None
    agency: str | None = None
    feed: str | None = None
    partner: str | None = None
    service: str | None = None
    outcome: str | None = None
    reason: str | None = None
    policy: str | None = None
    version: str | None = None
    record: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One leaf. `entry` is None where its content was erased, `fault` where it is none."""

    leaf: int
    position: int
    entry: dict[str, Any] | None
    fault: str | None
    body: bytes | None


def search(connection: Connection, query: Query, *, where: ColumnElement[bool] | None = None) -> Iterator[Found]:
    """Entries that fit, in the order of the log; `where` is a further condition on the columns of a leaf.

    1. By record or partner from their indexes, by time from the hours; else the whole log is read.
    2. Columns are compared in the database, policy and version in the entry; the index of partners knows of no canary.
    """
    wanted = _wanted(connection, query)
    for row in pages(connection, wanted if where is None else wanted.where(where)):
        found = _found(row)
        if _fits(found.entry, query):
            yield found


def leaf(connection: Connection, number: int) -> Found | None:
    """One leaf by its number."""
    row = connection.execute(sa.select(tables.leaf).where(tables.leaf.c.idx == number)).mappings().first()
    return _found(row) if row is not None else None


def _found(row: RowMapping) -> Found:
    body = as_bytes(row["body"])
    entry = orjson.loads(body) if body is not None and row["fault"] is None else None
    return Found(row["idx"], row["position"], entry, row["fault"], body)


def _wanted(connection: Connection, query: Query) -> Select[Any]:
    held = tables.leaf
    wanted = sa.select(held)
    for name in ("agency", "feed", "service", "outcome", "reason"):
        if (value := getattr(query, name)) is not None:
            wanted = wanted.where(held.c[name] == value)
    if query.since is not None:
        wanted = wanted.where(held.c.time >= query.since)
    if query.until is not None:
        wanted = wanted.where(held.c.time < query.until)
    if query.record is not None:
        return wanted.where(held.c.idx.in_(_by_record(connection, bytes.fromhex(query.record))))
    if query.partner is not None:
        return wanted.where(held.c.idx.in_(_by_partner(query)))
    first, last = _span(connection, query)
    return wanted.where(held.c.idx.between(first, last))


def _by_record(connection: Connection, record: bytes) -> list[int]:
    """Leaves of a record: one look into each bucket."""
    size = connection.execute(sa.select(tables.log.c.size)).scalar_one()
    held = tables.seen
    found: list[int] = []
    for bucket in range((size >> BUCKET_BITS) + 1):
        found += (
            connection.execute(sa.select(held.c.idx).where(held.c.bucket == bucket, held.c.record == record))
            .scalars()
            .all()
        )
    return found


def _by_partner(query: Query) -> Select[Any]:
    held = tables.delivery
    wanted = sa.select(held.c.idx).where(held.c.partner == query.partner)
    if query.since is not None:
        wanted = wanted.where(held.c.hour >= query.since // HOUR_MS)
    if query.until is not None:
        wanted = wanted.where(held.c.hour <= query.until // HOUR_MS)
    return wanted


def _span(connection: Connection, query: Query) -> tuple[int, int]:
    """Between which leaves the hours asked for lie."""
    held = tables.hour
    wanted = sa.select(sa.func.min(held.c.first), sa.func.max(held.c.last))
    if query.since is not None:
        wanted = wanted.where(held.c.hour >= query.since // HOUR_MS)
    if query.until is not None:
        wanted = wanted.where(held.c.hour <= query.until // HOUR_MS)
    first, last = connection.execute(wanted).one()
    return (0, -1) if first is None else (first, last)


def _fits(entry: dict[str, Any] | None, query: Query) -> bool:
    if entry is None:
        return query.policy is None and query.version is None
    if query.partner is not None and query.partner not in {decision["partner"] for decision in let_out(entry)}:
        return False
    if query.policy is None and query.version is None:
        return True
    deciding = {policy for decision in entry["decisions"] for policy in decision["policies"]}
    versions = set(entry["versions"].values())
    return (query.policy is None or query.policy in deciding) and (query.version is None or query.version in versions)
