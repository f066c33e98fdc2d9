"""The log in a database: SQLite by default, PostgreSQL for high availability, the same statements for both.

What is appended, the tree, and the position in the topic change in one transaction, by compare-and-set on the
position: whatever dies in between, nothing is appended twice or left out, and a second writer stops.
"""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from services.kernel.errors import ConfigError, RefusedError, UnreachableError
from services.ledger import tables
from services.ledger.entries import Leaf
from services.ledger.note import Signed
from services.ledger.tree import Frontier

#: A `seen` row goes to the bucket of its leaf, so that new rows lie together.
BUCKET_BITS = 20
#: Large pages: an entry of some kilobytes shares one with others. The write-ahead log is moved over in large parts.
_PRAGMAS = (
    "page_size=16384", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=2000", "cache_size=-65536",
    "wal_autocheckpoint=4000",
)  # fmt: skip
#: Seconds until PostgreSQL must have taken a connection, and how a host is found out that vanished behind one: in a
#: minute, where the system knows these. An answer may take as long as it needs.
_CONNECT_S = 10
_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 6, "TCP_USER_TIMEOUT": 45_000}
#: PostgreSQL's advisory lock of a migration: any number that nobody else uses.
_LOCK = 0x5AFE
#: What the pool says of a connection that cannot be closed because it was cut, with a traceback on standard error.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())
#: What COPY's text form writes otherwise.
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


class DatabaseUnreachableError(UnreachableError):
    """The database does not answer, is locked or full, or is none: nothing that the broker has to do with."""

    code = "database_unreachable"


@dataclass(slots=True)
class State:
    """Where the log stands.

    `chain` holds the last offset by service, topic and partition, `signed` the size of the last checkpoint and
    `published` that of the last one that is known to be published.
    """

    next_offset: int
    frontier: Frontier
    chain: dict[tuple[str, str, int], int] = field(default_factory=dict)
    signed: int = 0
    published: int = 0

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self.frontier.size


class Store:
    """One log. Use it as a context.

    Args:
        url: an SQLAlchemy URL, `sqlite:///ledger.db` or `postgresql+pg8000://user@host/database`.
        create: make its tables and bring them up to date, as the service does; who only asks expects them there.

    Raises:
        ConfigError: the URL is none; or, without `create`, there is no ledger of this version.
        UnreachableError: the database does not answer, is locked or full.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        try:
            patience = {} if sa.make_url(url).get_backend_name() == "sqlite" else {"timeout": _CONNECT_S}
            self.engine = sa.create_engine(url, hide_parameters=True, connect_args=patience)
        except (SQLAlchemyError, ImportError, ValueError) as error:  # the last: a port that is no number
            raise ConfigError("ledger", ["`SR_LEDGER_DATABASE` is no database URL that works here"]) from error
        self._sqlite = self.engine.dialect.name == "sqlite"
        self._driver_error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        if self._sqlite:
            sa.event.listen(self.engine, "connect", _configure)
            sa.event.listen(self.engine, "begin", _begin)
        else:
            sa.event.listen(self.engine, "connect", _keep_alive)
        if not create:
            self._expect()
            return
        with self.connection(write=True) as connection:
            if not self._sqlite:  # one service at a time brings the tables up to date
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            _migrate(connection)
            if connection.execute(sa.select(tables.log.c.id)).first() is None:
                connection.execute(sa.insert(tables.log).values(id=1, next_offset=0, size=0, frontier=b""))

    def _expect(self) -> None:
        """A log must be there: to open an SQLite file that is not would make an empty one."""
        name = self.engine.url.database or ""
        there = None
        if not self._sqlite or name.startswith("file:") or Path(name).is_file():
            with self.connection() as connection:
                there = MigrationContext.configure(connection).get_current_revision()
        if there != ScriptDirectory.from_config(_config()).get_current_head():
            self.engine.dispose()
            said = "holds no ledger" if there is None else "holds a ledger of another version"
            raise ConfigError("ledger", [f"the database of `SR_LEDGER_DATABASE` {said}: the ledger service makes it"])

    @property
    def file(self) -> Path | None:
        """The database where it is a file."""
        name = self.engine.url.database
        return Path(name) if self._sqlite and name else None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.dispose()

    @contextmanager
    def connection(self, *, write: bool = False) -> Iterator[Connection]:
        """A connection that sees the database as it stood at its first question; with `write`, one transaction that
        commits at the end.

        Raises:
            ConfigError: the driver does not know an option of the URL.
            DatabaseUnreachableError: the database is locked, full or away; nothing was written.
        """
        try:
            level = {} if self._sqlite or write else {"isolation_level": "REPEATABLE READ"}
            with self._connect().execution_options(writes=write, **level) as connection:
                yield connection
                if write:
                    connection.commit()
        except (DBAPIError, self._driver_error, ConnectionError, TimeoutError) as error:
            # COPY goes past SQLAlchemy's wrapping, and a line that is cut past that of the driver too: then neither
            # knows that this connection is none any more.
            if not self._sqlite:
                self.engine.dispose()
            raise DatabaseUnreachableError(f"the ledger's database: {_said(error)}") from error

    def _connect(self) -> Connection:
        try:
            return self.engine.connect()
        except (TypeError, ValueError) as error:  # options become arguments of the driver as they are
            options = ", ".join(f"`{name}`" for name in self.engine.url.query) or "none"
            fault = f"`SR_LEDGER_DATABASE`: the driver does not take it as it is; its options are {options}"
            raise ConfigError("ledger", [fault]) from error

    def state(self) -> State:
        """Where the log stands."""
        with self.connection() as connection:
            row = connection.execute(sa.select(tables.log)).mappings().one()
            links = connection.execute(sa.select(tables.chain)).mappings().all()
            largest = sa.select(sa.func.max(tables.checkpoint.c.size))
            signed = connection.execute(largest).scalar() or 0
            published = connection.execute(largest.where(tables.checkpoint.c.published)).scalar() or 0
        blob = row["frontier"]
        hashes = [blob[at : at + 32] for at in range(0, len(blob), 32)]
        chain = {(link["service"], link["topic"], link["partition"]): link["last"] for link in links}
        return State(row["next_offset"], Frontier(row["size"], hashes), chain, signed, published)

    def append(
        self, before: State, after: State, leaves: Sequence[Leaf], kept: Sequence[tuple[int, int, bytes]],
        *, signed: Signed | None, now: int,
    ) -> None:  # fmt: skip
        """Append leaves, all of them or none.

        1. Move the position on, if it still is where `before` says: else another writer is at work.
        2. Add the leaves, the subtrees that they completed, and what they are searched by.
        3. Keep the checkpoint, if there is one; it is published afterwards.

        Args:
            kept: complete subtrees as (height, number, hash).

        Raises:
            RefusedError: another writer moved the log on.
            UnreachableError: the database is locked, full or away; nothing was appended.
        """
        with self.connection(write=True) as connection:
            held = tables.log
            moved = connection.execute(  # 1
                sa.update(held)
                .where(held.c.next_offset == before.next_offset, held.c.size == before.size)
                .values(next_offset=after.next_offset, size=after.size, frontier=b"".join(after.frontier.hashes))
            )
            if moved.rowcount != 1:
                raise RefusedError("another ledger service writes to this log: stop one of them")
            self._insert(connection, leaves, before.size)  # 2
            self._many(connection, tables.subtree, kept)
            _upsert(connection, tables.chain, _links(before.chain, after.chain))
            if signed is not None:  # 3
                row = {"size": after.size, "time": now, "note": signed.note, "published": False}
                _upsert(connection, tables.checkpoint, [row])

    def _insert(self, connection: Connection, leaves: Sequence[Leaf], first: int) -> None:
        rows: list[tuple[Any, ...]] = []
        seen, out = [], []
        hours: dict[int, list[int]] = {}
        for idx, leaf in enumerate(leaves, first):
            rows.append(
                (
                    idx, leaf.position, leaf.hash, leaf.body, leaf.fault, leaf.time, leaf.service, leaf.agency,
                    leaf.feed, leaf.outcome, leaf.reason,
                )
            )  # fmt: skip
            if leaf.record is not None:
                seen.append((idx >> BUCKET_BITS, leaf.record, idx))
            out += [(partner, leaf.hour, idx) for partner in leaf.partners]
            hours.setdefault(leaf.hour, []).append(idx)
        self._many(connection, tables.leaf, rows)
        self._many(connection, tables.seen, seen)
        self._many(connection, tables.delivery, out)
        for number, held in hours.items():
            _widen_hour(connection, number, min(held), max(held))

    def _many(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, each in the order of the table's columns."""
        names = [column.name for column in table.columns]
        if self._sqlite and rows:  # past SQLAlchemy's handling of each row: half of the time of a batch
            marks = ", ".join("?" * len(names))
            connection.exec_driver_sql(f"INSERT INTO {table.name} VALUES ({marks})", list(rows))  # noqa: S608 - own name
            return
        if rows:  # this driver sends one statement at a time: COPY is one for all rows
            lines = "".join("\t".join(map(_copied, row)) + "\n" for row in rows)
            cursor: Any = connection.connection.cursor()
            cursor.execute(f"COPY {table.name} ({', '.join(names)}) FROM STDIN", stream=io.BytesIO(lines.encode()))

    # reading

    def read(self, height: int, start: int, count: int) -> Sequence[bytes]:
        """Hashes of complete subtrees: see `tree.Hashes`."""
        with self.connection() as connection:
            return Hashes(connection).read(height, start, count)

    def unpublished(self) -> list[str]:
        """Checkpoints that were kept and perhaps not published, oldest first."""
        held = tables.checkpoint
        with self.connection() as connection:
            found = connection.execute(sa.select(held.c.note).where(~held.c.published).order_by(held.c.size))
            return [row.note for row in found]

    def published(self, sizes: Sequence[int]) -> None:
        """Mark checkpoints as published."""
        held = tables.checkpoint
        with self.connection(write=True) as connection:
            connection.execute(sa.update(held).where(held.c.size.in_(sizes)).values(published=True))

    def checkpoints(self) -> list[str]:
        """Every checkpoint, oldest first."""
        held = tables.checkpoint
        with self.connection() as connection:
            return list(connection.execute(sa.select(held.c.note).order_by(held.c.size)).scalars())


class Hashes:
    """The tree's hashes on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, height: int, start: int, count: int) -> Sequence[bytes]:
        """See `tree.Hashes`."""
        if height == 0:
            held, number = tables.leaf, tables.leaf.c.idx
            wanted = sa.select(held.c.hash).where(number >= start, number < start + count)
        else:
            held, number = tables.subtree, tables.subtree.c.number
            wanted = sa.select(held.c.hash).where(held.c.height == height, number >= start, number < start + count)
        return list(self._connection.execute(wanted.order_by(number)).scalars())


def grow(state: State, leaves: Sequence[Leaf], next_offset: int) -> tuple[State, list[tuple[int, int, bytes]], int]:
    """The state after `leaves`, the subtrees that they complete, and how many links of the chain are broken."""
    frontier = Frontier(state.size, state.frontier.hashes)
    chain, kept, broken = dict(state.chain), [], 0
    for leaf in leaves:
        kept += frontier.append(leaf.hash)
        if (link := leaf.link) is not None:
            place = link.service, link.topic, link.partition
            before = chain.get(place)
            known = before is not None and link.previous is not None
            broken += known and (link.previous != before or link.offset <= (before or 0))
            chain[place] = max(link.until, before if before is not None else -1)
    return State(next_offset, frontier, chain, state.signed, state.published), kept, broken


def _links(
    before: Mapping[tuple[str, str, int], int], after: Mapping[tuple[str, str, int], int]
) -> list[dict[str, Any]]:
    return [
        {"service": service, "topic": topic, "partition": partition, "last": last}
        for (service, topic, partition), last in after.items()
        if before.get((service, topic, partition)) != last
    ]


def _upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    keys = [column.name for column in table.primary_key]
    for row in rows:
        where = [table.c[key] == row[key] for key in keys]
        if connection.execute(sa.update(table).where(*where).values(row)).rowcount == 0:
            connection.execute(sa.insert(table).values(row))


def _widen_hour(connection: Connection, number: int, first: int, last: int) -> None:
    held = tables.hour
    row = connection.execute(sa.select(held).where(held.c.hour == number)).mappings().first()
    span = (
        {"first": min(first, row["first"]), "last": max(last, row["last"])} if row else {"first": first, "last": last}
    )
    _upsert(connection, held, [{"hour": number, **span}])


def _said(error: Exception) -> str:
    """What the database said, in one line; PostgreSQL's driver gives a table of it, whose `M` is the message."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    origin = error.orig if isinstance(error, DBAPIError) and error.orig else error
    first = origin.args[0] if origin.args else ""
    text = str(first.get("M", "")) if isinstance(first, dict) else str(first)
    return (text.splitlines() or [type(origin).__name__])[0][:200]


def _copied(value: object) -> str:
    """A value in the text form of PostgreSQL's COPY."""
    if value is None:
        return r"\N"
    if isinstance(value, bytes):
        return rf"\\x{value.hex()}"
    return str(value).translate(_ESCAPES)


def _migrate(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _begin(connection: Connection) -> None:
    """A transaction that will write takes the lock first: it never finds out half-way that another has it."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _configure(connection: Any, _: object) -> None:
    """Full synchronisation: a commit that was answered survives a loss of power. Transactions begin in `_begin`."""
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _keep_alive(connection: Any, _: object) -> None:
    """Wait for an answer of a host that is there, however long it takes, and for none of one that vanished."""
    line = connection._usock  # the driver gives no other way
    line.settimeout(None)
    if line.family != socket.AF_UNIX:
        for name, value in _ALIVE.items():
            if (option := getattr(socket, name, None)) is not None:
                line.setsockopt(socket.IPPROTO_TCP, option, value)
