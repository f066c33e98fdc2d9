"""Approvals that were used: each opens once, also after the service was started anew."""

from __future__ import annotations

import sqlalchemy as sa

from services.ledger import tables
from services.ledger.store import Store


class Used:
    """Kept in the log's database until they would not be good any more."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ids(self) -> frozenset[str]:
        """Ids of approvals."""
        with self._store.connection() as connection:
            return frozenset(connection.execute(sa.select(tables.used.c.id)).scalars())

    def add(self, id_: str, *, until: int, now: int) -> None:
        """Keep one, and forget those whose time is over; both are milliseconds since the epoch."""
        held = tables.used
        with self._store.connection(write=True) as connection:
            connection.execute(sa.delete(held).where(held.c.until < now))
            connection.execute(sa.insert(held).values(id=id_, until=until))
