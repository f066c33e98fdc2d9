"""The ledger's loop: read the topic, append, sign, publish."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel import telemetry
from services.kernel.record import Inbound
from services.ledger import note
from services.ledger.entries import Leaf, Reader
from services.ledger.note import Checkpoint, Signed
from services.ledger.publish import Publisher
from services.ledger.store import State, Store, grow

log = structlog.get_logger()


class Records(Protocol):
    """Where entries come from."""

    position: int
    at_end: bool

    def read(self, most: int, seconds: float) -> list[Inbound]:
        """Committed records in the order of the topic."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`batch` records or `wait` seconds make a transaction; `entries` or `seconds` a checkpoint."""

    batch: int = 4000
    wait: float = 0.25
    entries: int = 20_000
    seconds: float = 1.0


def _nothing(_: list[Inbound]) -> None:
    """Nothing waits for entries."""


def rare_collection() -> None:
    """Let the collector of cycles run seldom by itself: entries make none, and looking takes a fifth of the time."""
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 100)


#: Of glibc. Looked up once: each `CDLL` leaves some kilobytes that only the collector of cycles takes away.
_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Give memory back to the system; some milliseconds.

    1. What SQLAlchemy leaves of a checkpoint, in cycles: two kilobytes each time, which `rare_collection` keeps.
    2. The gaps between the pages of the database's cache, where the C library can. Entries come and go among them.
    """
    gc.collect()  # 1
    if _TRIM is not None:  # 2
        _TRIM(0)


class Writer:
    """The one writer of a log."""

    def __init__(
        self,
        store: Store,
        source: Records,
        publisher: Publisher,
        *,
        reader: Reader,
        key: Ed25519PrivateKey,
        origin: str,
        state: State,
        limits: Limits,
        appended: Callable[[list[Inbound]], None] = _nothing,
        moved: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`appended` is told of a batch's entries once they are in the log; `moved` then, and where all was read."""
        self._store = store
        self._source = source
        self._publisher = publisher
        self._reader = reader
        self._key = key
        self._origin = origin
        self._state = state
        self._limits = limits
        self._appended = appended
        self._moved = moved
        self._clock = clock
        self._signed_size = state.signed
        self._signed_at = 0.0
        self._published_size = state.published
        self.published: float | None = None  # when the last checkpoint was, in seconds since the epoch

    @property
    def size(self) -> int:
        """Leaves of the log."""
        return self._state.size

    @property
    def unsigned(self) -> int:
        """Leaves that no published checkpoint holds, or none in the file of `SR_LEDGER_CHECKPOINT_FILE`."""
        return self._state.size - self._published_size

    def run(self, stop: Callable[[], bool]) -> None:
        """Cycle until `stop()`; the last state is signed and published."""
        log.info("ledger_started", offset=self._state.next_offset, count=self._state.size)
        if self._publisher.run():
            self._published_size = self._signed_size
        while not stop():
            if self.cycle() or self._source.at_end:
                self._moved()
        self._sign_rest()
        log.info("ledger_stopped", offset=self._state.next_offset, count=self._state.size)

    def cycle(self) -> int:
        """Append one batch; return how many leaves that were.

        1. Read a batch of the topic.
        2. Make leaves; what is no entry is a leaf with a fault, counted and told of.
        3. Grow the tree; a broken link of the chain is counted and told of.
        4. Sign a checkpoint, when its time or its number has come.
        5. Append all of it in one transaction that moves the position on.
        6. Answer what only an entry in the log opens; what is no entry opens nothing.
        7. Publish the checkpoint, and give free memory back.
        """
        records = self._source.read(self._limits.batch, self._limits.wait)  # 1
        if not records:
            self._rest()
            return 0
        leaves = [self._reader.leaf(record) for record in records]  # 2
        after, kept, broken = grow(self._state, leaves, self._source.position)  # 3
        self._tell(leaves, broken)
        signed = self._sign(after) if self._is_time(after) else None  # 4
        now = int(self._clock() * 1000)
        self._store.append(self._state, after, leaves, kept, signed=signed, now=now)  # 5
        self._state = after
        telemetry.LEDGER_ENTRIES.inc(len(leaves))
        self._appended([r for r, leaf in zip(records, leaves, strict=True) if leaf.fault is None])  # 6
        if signed is not None:
            self._publish(after)  # 7
        return len(leaves)

    def _rest(self) -> None:
        """Nothing to append: go on behind what transactions left at the end of the topic, and sign what is not yet."""
        if self._source.position > self._state.next_offset:
            after, kept, _ = grow(self._state, [], self._source.position)
            self._store.append(self._state, after, [], kept, signed=None, now=int(self._clock() * 1000))
            self._state = after
        self._sign_rest()

    def _is_time(self, after: State) -> bool:
        grown = after.size - self._signed_size
        return grown >= self._limits.entries or time.monotonic() - self._signed_at >= self._limits.seconds

    def _sign(self, state: State) -> Signed:
        return note.sign(Checkpoint(self._origin, state.size, state.frontier.root()), self._key)

    def _sign_rest(self) -> None:
        """Sign what came since the last checkpoint."""
        if self._state.size > self._signed_size:
            now = int(self._clock() * 1000)
            self._store.append(self._state, self._state, [], [], signed=self._sign(self._state), now=now)
            self._publish(self._state)

    def _publish(self, state: State) -> None:
        self._signed_size, self._signed_at = state.size, time.monotonic()
        if self._publisher.run():
            self._published_size, self.published = state.size, self._clock()
        give_back()

    def _tell(self, leaves: list[Leaf], broken: int) -> None:
        faulty = [leaf for leaf in leaves if leaf.fault is not None]
        for leaf in faulty[:10]:
            log.error("ledger_entry_faulty", offset=leaf.position, reason=leaf.fault)
        if faulty:
            telemetry.LEDGER_FAULTS.labels("entry").inc(len(faulty))
        if broken:
            log.error("ledger_chain_broken", offset=leaves[0].position, count=broken)
            telemetry.LEDGER_FAULTS.labels("chain").inc(broken)
