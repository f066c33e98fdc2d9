"""Does every record have its outcome? Sets of offsets of the topics against those of the log, stretch by stretch.

Counts would not do: compaction, transaction markers and retention make holes. What expired before it was compared is
said to be unprovable, not lost. A pass reads partner topics and `ledger`, then the log, then input topics; so whatever
the first hold has its entry in the log by then, and whatever the log names stands in the last.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection

from services.kernel import supersede
from services.kernel.errors import RefusedError
from services.kernel.ledger import RECONCILED, TOPIC
from services.ledger import tables
from services.ledger.entries import CHAINED
from services.ledger.recall import SERVICE as RECALL
from services.ledger.tree import Frontier
from services.ledger.verify import pages

#: Key of the signed statement in the topic of checkpoints.
KEY = RECONCILED
#: Where entries come from.
LEDGER = TOPIC, 0
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
        unread: offsets that it does not hold any more, and that the entry behind them does not know as handled.
    """

    place: Place
    upto: int
    records: int
    missing: tuple[int, ...] = ()
    extra: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()
    waiting: int = 0
    expired: int = 0
    unread: int = 0

    @property
    def whole(self) -> bool:
        """Whether every record has exactly one entry, and every entry its record."""
        return not (self.missing or self.extra or self.doubled or self.unread)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One partner's topic: `unknown` counts keys of records and tombstones that no entry let out."""

    partner: str
    keys: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Logged:
    """The `ledger` topic beside the log, by offsets of the topic.

    Attributes:
        lost: messages that are no leaf.
        changed: leaves of another content than their message.
        invented: leaves without a message.
    """

    entries: int
    lost: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    invented: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every message is its leaf, and nothing else is one."""
        return not (self.lost or self.changed or self.invented)


@dataclass(slots=True)
class Hashed:
    """Offsets of `ledger` and the first eight bytes of the hash of what stands there."""

    offsets: array[int] = field(default_factory=lambda: array("q"))
    hashes: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, offset: int, digest: bytes) -> None:
        """Take the hash of a leaf at its offset."""
        self.offsets.append(offset)
        self.hashes.append(int.from_bytes(digest[:8], "big"))


@dataclass(frozen=True, slots=True)
class Settled:
    """How far everything was compared: what the next pass begins with.

    Attributes:
        leaves: leaves of the log whose offsets were compared.
        root: the tree's root over them.
        keys_from: leaf from which keys and hashes are read again; a message may be seen one pass after its leaf.
        offsets: last offset that was compared, by place.
        read: next offset to read, by topic and partition of the partners' and of `ledger`.
    """

    leaves: int = 0
    root: bytes = b""
    keys_from: int = 0
    offsets: Mapping[Place, int] = field(default_factory=dict)
    read: Mapping[tuple[str, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class Said:
    """What a log of `leaves` leaves with this root says: offsets by place, hashes of message keys by partner.

    `skipped` holds, by place, first and last offset of what the chain of its entries leaves out since the last pass.
    """

    leaves: int
    root: bytes
    offsets: dict[Place, array[int]] = field(default_factory=dict)
    skipped: dict[Place, list[tuple[int, int]]] = field(default_factory=dict)
    keys: dict[str, array[int]] = field(default_factory=dict)
    leaf_hashes: Hashed = field(default_factory=Hashed)


def said(connection: Connection, settled: Settled, *, watched: Callable[[Iterator[Any]], Iterator[Any]] = iter) -> Said:
    """Read the part of the log that was not compared yet, and the keys of the part before it.

    Args:
        watched: passes the rows through, to show how far it is.
    """
    size, blob = connection.execute(sa.select(tables.log.c.size, tables.log.c.frontier)).one()
    root = Frontier(size, [blob[at : at + 32] for at in range(0, len(blob), 32)]).root()
    found, held = Said(size, root), tables.leaf
    handled = dict(settled.offsets)
    first = settled.keys_from if LEDGER in settled.read else 0  # a statement of before `ledger` was read
    wanted = sa.select(held.c.idx, held.c.position, held.c.hash, held.c.body, held.c.fault).where(
        held.c.idx >= first, held.c.idx < size
    )
    for row in watched(pages(connection, wanted)):
        found.leaf_hashes.add(row["position"], row["hash"])
        if row["body"] is None or row["fault"] is not None:
            continue
        entry = orjson.loads(row["body"])
        for decision in entry["decisions"]:
            if "key" in decision:  # of what was let out, or is recalled
                hashed = found.keys.setdefault(decision["partner"], array("Q"))
                hashed.append(_hash(decision["key"].encode()))
                if entry["service"] == RECALL:  # the message that asks for the deletion has a key of its own
                    hashed.append(_hash(supersede.own_key(decision["key"]).encode()))
        source = entry["source"]
        if row["idx"] >= settled.leaves and entry["service"] in CHAINED and source is not None:
            place = entry["service"], source["topic"], source["partition"]
            last = source.get("until", source["offset"])
            found.offsets.setdefault(place, array("q")).extend(range(source["offset"], last + 1))
            if (before := handled.get(place)) is not None:
                if source["previous"] is not None and source["previous"] > before:
                    found.skipped.setdefault(place, []).append((before + 1, source["previous"]))
                handled[place] = max(before, last)
    return found


def compare(
    place: Place, entries: Sequence[int], records: Sequence[int], *, oldest: int, settled: int = -1,
    skipped: Iterable[tuple[int, int]] = (),
) -> Compared:  # fmt: skip
    """Compare one partition beyond `settled`, the last offset of the pass before.

    Args:
        entries: offsets that the log names since then, in any order, doubled ones too.
        records: offsets behind `settled` that the topic holds, committed.
        oldest: the first offset that the topic still holds.
        skipped: as `Said` has it.
    """
    named = np.asarray(entries, dtype=np.int64)
    there = np.asarray(records, dtype=np.int64)
    once, counts = np.unique(named, return_counts=True)
    again = (counts > 1) | (once <= settled)
    new = once[once > settled]
    upto = int(new[-1]) if len(new) else settled
    handled = there[there <= upto]
    return Compared(
        place,
        upto,
        len(handled),
        missing=_numbers(np.setdiff1d(handled, new)),
        extra=_numbers(np.setdiff1d(new[new >= oldest], there)),
        doubled=_numbers(once[again]),
        waiting=int((there > upto).sum()),
        expired=int((new < oldest).sum()),
        unread=sum(max(0, min(last, oldest - 1) - first + 1) for first, last in skipped),
    )


def delivered(partner: str, keys: Collection[bytes | None], known: Sequence[int]) -> Delivered:
    """Compare one partner's topic with the hashes of the keys that the log names; a message without a key is unknown.

    Different messages of one key count once.
    """
    there = np.unique(np.asarray([_hash(key) for key in keys if key is not None], dtype=np.uint64))
    unknown = int((~np.isin(there, np.asarray(known, dtype=np.uint64))).sum())
    keyless = any(key is None for key in keys)
    return Delivered(partner, len(there) + keyless, unknown + keyless)


def logged(messages: Hashed, leaves: Hashed, *, start: int, oldest: int, end: int) -> Logged:
    """Compare what was read of the `ledger` topic with the leaves of the log.

    Args:
        start: offset at which reading began.
        oldest: the first offset that the topic still holds; behind `start` where some expired.
        end: offset behind the last one that was read.
    """
    there, hashes = np.asarray(messages.offsets, dtype=np.int64), np.asarray(messages.hashes, dtype=np.uint64)
    held, others = np.asarray(leaves.offsets, dtype=np.int64), np.asarray(leaves.hashes, dtype=np.uint64)
    begins = start if start >= oldest else int(there.min(initial=end))  # more may have expired while it was read
    of_these = held[(held >= begins) & (held < end)]
    _, mine, theirs = np.intersect1d(there, held, return_indices=True)
    return Logged(
        len(there),
        lost=_numbers(np.setdiff1d(there, held)),
        changed=_numbers(there[mine][hashes[mine] != others[theirs]]),
        invented=_numbers(np.setdiff1d(of_these, there)),
    )


def _hash(key: bytes) -> int:
    """Eight bytes are enough to tell keys apart that nobody chooses, and thirty million of them fit into memory."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")


def statement(settled: Settled, *, name: str, stamp: str, key: Ed25519PrivateKey) -> str:
    """The signed statement of how far everything is reconciled: lines of text, a blank one, the signature in hex."""
    lines = [name, stamp, f"log {settled.leaves} {settled.root.hex()} keys-from {settled.keys_from}"]
    lines += [f"{s} {t} {p} reconciled-to {offset}" for (s, t, p), offset in sorted(settled.offsets.items())]
    lines += [f"{topic} {p} read-to {offset}" for (topic, p), offset in sorted(settled.read.items())]
    text = "\n".join(lines) + "\n"
    return f"{text}\n{key.sign(text.encode()).hex()}\n"


def read_statement(text: str, key: Ed25519PublicKey) -> Settled:
    """What a statement says.

    Raises:
        RefusedError: it is none, was changed, or somebody else signed it.
    """
    said, _, signature = text.partition("\n\n")
    try:
        key.verify(bytes.fromhex(signature.strip()), (said + "\n").encode())
        _, _, log, *lines = said.split("\n")
        _, leaves, root, _, keys_from = log.split(" ")
        words = [line.split(" ") for line in lines]
        offsets = {(w[0], w[1], int(w[2])): int(w[4]) for w in words if w[-2] == "reconciled-to"}
        read = {(w[0], int(w[1])): int(w[3]) for w in words if w[-2] == "read-to"}
        return Settled(int(leaves), bytes.fromhex(root), int(keys_from), offsets, read)
    except (InvalidSignature, ValueError, IndexError) as error:
        raise RefusedError("the statement of the last pass was changed, or is another key's") from error


def _numbers(found: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(number) for number in found)
