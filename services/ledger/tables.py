"""The tables of the log, the same on SQLite and PostgreSQL; `migrations/` makes them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

#: One row: which topic position comes next, and the tree so far. A writer that finds another one here stops.
log = Table(
    "log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)

#: One row a leaf. `body` is the entry as it came, NULL once erased; `hash` stays. `time` is in milliseconds.
leaf = Table(
    "leaf",
    metadata,
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("body", LargeBinary),
    Column("fault", Text),
    Column("time", BigInteger, nullable=False),
    Column("service", Text, nullable=False),
    Column("agency", Text),
    Column("feed", Text),
    Column("outcome", Text),
    Column("reason", Text),
)

#: Hashes of complete subtrees of 256**k leaves.
subtree = Table(
    "subtree",
    metadata,
    Column("height", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

#: Which leaves speak of a record. `bucket` is idx >> 20: new rows go to the newest bucket, however long the log is.
seen = Table(
    "seen",
    metadata,
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("record", LargeBinary, primary_key=True),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

#: Which leaves let something out to a partner, by hour (hours since the epoch).
delivery = Table(
    "delivery",
    metadata,
    Column("partner", Text, primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

#: Between which leaves the entries of an hour lie.
hour = Table(
    "hour",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
)

#: The last offset that each service handled in each partition of its input.
chain = Table(
    "chain",
    metadata,
    Column("service", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
)

#: Signed statements of what the log was.
checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("published", Boolean, nullable=False),
)

#: What must not expire: a record pseudonym, or a span of leaves.
hold = Table(
    "hold",
    metadata,
    Column("name", Text, primary_key=True),
    Column("record", LargeBinary),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
)

#: Approvals of a consultation that were used, until when they would be good (milliseconds since the epoch).
used = Table(
    "used",
    metadata,
    Column("id", Text, primary_key=True),
    Column("until", BigInteger, nullable=False),
)
