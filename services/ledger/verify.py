"""Is the log what was signed? Every leaf is hashed again, and whatever differs is named with its explanation."""

from __future__ import annotations

import hashlib
import secrets
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import orjson
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, RowMapping, Select

from services.kernel.errors import RefusedError
from services.ledger import note, tables
from services.ledger.entries import HOUR_MS, Leaf, Reader
from services.ledger.erasure import Erased, Holds
from services.ledger.note import Checkpoint
from services.ledger.store import BUCKET_BITS, Store
from services.ledger.tree import Frontier

#: No more than these are listed; the first one is what to look at.
_MOST = 50
_PAGE = 2000
_FIRST_PAGE = 128
#: An entry that no checkpoint covers for longer was not left by a service that runs.
_SIGNED_WITHIN_MS = 60_000
#: Of this process: without it nobody can make up rows whose sum is the one of those that they took away.
_MIX_KEY = secrets.token_bytes(16)


class Tampering(StrEnum):
    """What explains a difference."""

    CHANGED = "content changed: the entry does not have the hash of its leaf"
    REHASHED = "changed, inserted, removed or reordered together with its hash: the signed tree is another"
    MISSING = "deleted: leaf numbers have a gap"
    REORDERED = "reordered: positions in the topic do not rise"
    DOUBLED = "replayed: an entry with this id came before"
    CHAIN = "an entry is missing, doubled or out of order: it names another one before it than the one that is there"
    TRUNCATED = "truncated: a checkpoint was signed for more leaves than there are"
    CHECKPOINT = "checkpoint edited, or signed by another key"
    NO_CHECKPOINT = "no checkpoint covers these leaves"
    EMPTY = "empty: no leaf and no checkpoint, so nothing is proved"
    SEARCH = "search columns or indexes edited: they do not say what the entries say"
    TREE = "tree edited: kept hashes are not those of the leaves"
    ERASED = "content removed without an entry of its erasure"
    HOLD = "a hold was removed without an entry of its lifting"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `leaf` is where, None for the log as a whole."""

    leaf: int | None
    what: Tampering
    detail: str = ""


@dataclass(slots=True)
class Report:
    """What was found, in the order of the leaves; `kept_aside` counts leaves that were no entries from the start.

    `waiting` counts the leaves at the end that no checkpoint covers: a running service signs each second.
    """

    leaves: int = 0
    checkpoints: int = 0
    erased: int = 0
    kept_aside: int = 0
    waiting: int = 0
    findings: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(self, leaf: int | None, what: Tampering, detail: str = "") -> None:
        """Note a difference."""
        if len(self.findings) < _MOST:
            self.findings.append(Finding(leaf, what, detail))
        else:
            self.more += 1


@dataclass(slots=True)
class _Sums:
    """Sums over index rows, the same in any order: what the entries say, and what the indexes hold."""

    seen: int = 0
    delivery: int = 0

    def add_seen(self, record: bytes, idx: int) -> None:
        self.seen ^= _mix(b"seen", record, idx)

    def add_delivery(self, partner: str, hour: int, idx: int) -> None:
        self.delivery ^= _mix(b"delivery", f"{partner}/{hour}".encode(), idx)


def verify(
    store: Store, key: Ed25519PublicKey, reader: Reader, *, older: Sequence[Ed25519PublicKey] = (),
    origin: str | None = None, outside: Checkpoint | None = None, progress: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Report:  # fmt: skip
    """Verify the whole log as it stood at one moment; the service may go on appending.

    1. Every checkpoint is signed by the log's key, and of this log.
    2. Every leaf has its number, its hash, its place in the topic, its schema, its link, and its search columns.
    3. At each checkpoint, and at the one from outside, the tree of the leaves so far is the one that was signed.
    4. Kept subtrees, indexes and position are those of the leaves.
    5. What was erased has an entry of its erasure, and the holds are there that entries say were placed.

    Args:
        key: the log's public key.
        older: those that it had before, oldest first; none signs any more once a newer one did.
        origin: name of the log; None where any will do.
        outside: a checkpoint of this log, verified, which was not kept in the database: who rolled the database back
            to an earlier state took its own checkpoints along.
        clock: seconds since the epoch.
        progress: called with the number of leaves done, now and then.
    """
    report = Report()
    walk = _Walk(reader, report)
    begun = int(clock() * 1000)
    with store.connection() as connection:
        signed = _checkpoints(connection, [*older, key], origin, report)  # 1
        if outside is not None:
            signed.setdefault(outside.size, set()).add(outside)
        for row in pages(connection, sa.select(tables.leaf)):
            walk.leaf(row)  # 2
            for checkpoint in signed.pop(walk.frontier.size, ()):
                walk.compare(checkpoint)  # 3
            if walk.frontier.size % 10_000 == 0:
                progress(walk.frontier.size)
        if walk.frontier.size == 0 and not signed:
            report.add(None, Tampering.EMPTY)
        for size in sorted(signed):
            report.add(walk.frontier.size, Tampering.TRUNCATED, f"a checkpoint says {size} leaves")
        report.waiting = walk.frontier.size - walk.covered
        if report.waiting and not _fresh(connection, walk.covered, begun):
            report.add(walk.covered, Tampering.NO_CHECKPOINT, f"{report.waiting} leaves at the end")
        walk.kept(connection)  # 4
        walk.doubles()
        walk.erasures(connection, begun)  # 5
    report.leaves = walk.frontier.size
    report.findings.sort(key=lambda finding: (finding.leaf is None, finding.leaf or 0))
    return report


class _Walk:
    """What the leaves so far add up to."""

    def __init__(self, reader: Reader, report: Report) -> None:
        self._reader = reader
        self._report = report
        self.frontier = Frontier()
        self.covered = 0
        self._subtrees: list[tuple[int, int, bytes]] = []
        self._position = -(1 << 63)
        self._ids = array("Q")
        self._numbers = array("Q")
        self._chain: dict[tuple[str, str, int], int] = {}
        self._sums = _Sums()
        self._hours: dict[int, tuple[int, int]] = {}
        self._erased = Erased()
        self._holds = Holds()

    def leaf(self, row: RowMapping) -> None:
        idx, report = row["idx"], self._report
        if idx != self.frontier.size:
            report.add(self.frontier.size, Tampering.MISSING, f"the next leaf is number {idx}")
        if row["position"] <= self._position:
            report.add(idx, Tampering.REORDERED)
        self._position = max(self._position, row["position"])
        self._subtrees += self.frontier.append(as_bytes(row["hash"]))
        hour = row["time"] // HOUR_MS
        self._hours[hour] = self._hours.get(hour, (idx, idx))[0], idx
        if row["body"] is None:
            report.erased += 1
            self._erased.saw(idx)
            self._break_chain()
            return
        body = as_bytes(row["body"])
        made = self._reader.read(body, row["position"], row["time"])
        if made.hash != row["hash"] or body is not row["body"]:
            report.add(idx, Tampering.CHANGED)
        if _columns(made) != tuple(row[name] for name in _COLUMNS):
            report.add(idx, Tampering.SEARCH)
        if made.fault is not None:
            report.kept_aside += 1
            return
        self._entry(idx, made, body)

    def _entry(self, idx: int, made: Leaf, body: bytes) -> None:
        entry = orjson.loads(body)
        self._ids.append(_mix(b"id", entry["id"].encode(), 0))
        self._numbers.append(idx)
        self._erased.heard(idx, entry)
        self._holds.heard(entry, made.time)
        if made.record is not None:
            self._sums.add_seen(made.record, idx)
        for partner in made.partners:
            self._sums.add_delivery(partner, made.hour, idx)
        if (link := made.link) is not None:
            place = link.service, link.topic, link.partition
            before = self._chain.get(place)
            if before is not None and link.previous is not None and link.previous != before:
                said = f"{link.service} {link.topic}[{link.partition}]: says {link.previous}, there is {before}"
                self._report.add(idx, Tampering.CHAIN, said)
            self._chain[place] = link.until

    def _break_chain(self) -> None:
        """Behind an erased entry no link can be checked, until the next one of each partition."""
        self._chain.clear()

    def compare(self, checkpoint: Checkpoint) -> None:
        if checkpoint.root != self.frontier.root():
            self._report.add(self._suspect(), Tampering.REHASHED, f"by the checkpoint of {checkpoint.size} leaves")
        self.covered = checkpoint.size
        self._report.checkpoints += 1

    def _suspect(self) -> int:
        """Where the difference begins, at the earliest: after the last checkpoint that was right."""
        return self.covered

    def kept(self, connection: Connection) -> None:
        """Compare what is kept beside the leaves with what they say."""
        held = tables.subtree
        rows = connection.execute(sa.select(held).order_by(held.c.height, held.c.number))
        there = {(row.height, row.number): row.hash for row in rows}
        for height, number, digest in self._subtrees:
            if there.pop((height, number), None) != digest:
                self._report.add(number << height, Tampering.TREE, f"subtree {number} of height {height}")
        if there:
            self._report.add(None, Tampering.TREE, f"{len(there)} subtrees too many")
        row = connection.execute(sa.select(tables.log)).mappings().one()
        if (row["size"], row["frontier"]) != (self.frontier.size, b"".join(self.frontier.hashes)):
            self._report.add(None, Tampering.TREE, "the end of the tree")
        if _indexes(connection) != (self._sums.seen, self._sums.delivery):
            self._report.add(None, Tampering.SEARCH, "rows of the indexes by record or partner")
        spans = {row.hour: (row.first, row.last) for row in connection.execute(sa.select(tables.hour))}
        for hour, (first, last) in self._hours.items():
            begins, ends = spans.get(hour, (last, first - 1))
            if begins > first or ends < last:
                self._report.add(first, Tampering.SEARCH, f"the search by time leaves out some of {first} to {last}")

    def doubles(self) -> None:
        """Name each entry whose id an earlier one has."""
        ids = np.frombuffer(self._ids, dtype=np.uint64)
        order = np.argsort(ids, kind="stable")
        again = order[1:][ids[order][1:] == ids[order][:-1]]
        for at in sorted(int(number) for number in again):
            self._report.add(self._numbers[at], Tampering.DOUBLED)

    def erasures(self, connection: Connection, now: int) -> None:
        """Name what was erased, and the holds that were lifted, without an entry of it."""
        for first, last in self._erased.unexplained():
            self._report.add(first, Tampering.ERASED, f"leaves {first} to {last}")
        there = set(connection.execute(sa.select(tables.hold.c.name)).scalars())
        for name in self._holds.gone(there, now - _SIGNED_WITHIN_MS):
            self._report.add(None, Tampering.HOLD, f"`{name}`")


def _fresh(connection: Connection, covered: int, now: int) -> bool:
    """Whether leaves behind the last checkpoint are so new that theirs may still come.

    By the time of the first of them; or, where the service works off entries that waited, by that of the checkpoint.
    """
    leaf = connection.scalar(sa.select(tables.leaf.c.time).where(tables.leaf.c.idx == covered))
    checkpoint = connection.scalar(sa.select(tables.checkpoint.c.time).where(tables.checkpoint.c.size == covered))
    return any(at is not None and abs(now - at) <= _SIGNED_WITHIN_MS for at in (leaf, checkpoint))


def as_bytes(held: Any) -> Any:
    """What a column of bytes holds, or None; SQLite gives back the text that somebody put there."""
    return held.encode() if isinstance(held, str) else held


_COLUMNS = ("fault", "time", "service", "agency", "feed", "outcome", "reason")


def _columns(made: Leaf) -> tuple[object, ...]:
    return made.fault, made.time, made.service, made.agency, made.feed, made.outcome, made.reason


def pages(connection: Connection, wanted: Select[Any]) -> Iterator[RowMapping]:
    """Rows of a selection of leaves in order, some at a time; `idx` is among its columns.

    The first page is small: who shows the first hundred waits for no more.
    """
    held, after, size = tables.leaf, -1, _FIRST_PAGE
    while True:
        page = wanted.where(held.c.idx > after).order_by(held.c.idx).limit(size)
        rows: Sequence[RowMapping] = connection.execute(page).mappings().all()
        if not rows:
            return
        yield from rows
        after, size = rows[-1]["idx"], min(4 * size, _PAGE)


def _checkpoints(
    connection: Connection, keys: Sequence[Ed25519PublicKey], origin: str | None, report: Report
) -> dict[int, set[Checkpoint]]:
    held = tables.checkpoint
    found: dict[int, set[Checkpoint]] = {}
    for size, text in connection.execute(sa.select(held.c.size, held.c.note).order_by(held.c.size)):
        try:
            signed = note.read(text)
            keys = keys[keys.index(note.verify(signed, *keys)) :]
        except RefusedError as error:
            report.add(None, Tampering.CHECKPOINT, f"{size} leaves: {error}")
            continue
        made = signed.checkpoint
        if made.size != size:
            report.add(None, Tampering.CHECKPOINT, f"{size} leaves: the note says {made.size}")
        if origin is not None and made.origin != origin:
            report.add(None, Tampering.CHECKPOINT, f"{size} leaves: of the log `{made.origin}`, not of `{origin}`")
        found.setdefault(made.size, set()).add(made)
    return found


def _indexes(connection: Connection) -> tuple[int, int]:
    sums = _Sums()
    erased = sa.select(tables.leaf.c.idx).where(tables.leaf.c.body.is_(None))
    for bucket, record, idx in connection.execute(sa.select(tables.seen).where(tables.seen.c.idx.not_in(erased))):
        sums.add_seen(record if bucket == idx >> BUCKET_BITS else b"", idx)
    for partner, hour, idx in connection.execute(
        sa.select(tables.delivery).where(tables.delivery.c.idx.not_in(erased))
    ):
        sums.add_delivery(partner, hour, idx)
    return sums.seen, sums.delivery


def _mix(kind: bytes, value: bytes, idx: int) -> int:
    digest = hashlib.blake2b(kind + value + idx.to_bytes(8, "big"), digest_size=8, key=_MIX_KEY).digest()
    return int.from_bytes(digest, "big")
