"""The outer lock: taken off what a consultation entry names, after that entry is in the log, and never before."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from services.kernel import consult, sealing
from services.kernel.approval import Approval, Approver, milliseconds, verify
from services.kernel.consult import Source
from services.kernel.errors import RefusedError, SafeReportingError
from services.kernel.jsonio import UNREADABLE
from services.kernel.record import Inbound, Message

log = structlog.get_logger()


class _Place(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Entry(msgspec.Struct):
    """What matters of an entry here."""

    id: str
    operation: str
    source: _Place | None = None
    by: str = ""
    why: str = ""


class Outbox(Protocol):
    """Where answers go."""

    def send(self, message: Message, partition: int) -> None:
        """Queue one message."""
        ...

    def flush(self) -> None:
        """Wait until all is acknowledged."""
        ...


class Book(Protocol):
    """Remembers which approvals were used."""

    def ids(self) -> frozenset[str]:
        """Ids of approvals."""
        ...

    def add(self, id_: str, *, until: int, now: int) -> None:
        """Keep one until it would not be good any more; milliseconds since the epoch."""
        ...


class Unlocker:
    """Answers consultations.

    Args:
        fetch: the value of one message, None where it is not there any more.
        identity: the ledger service's age identity.
        approvers: who may be the second person.
        used: signatures of second persons that opened something.
    """

    def __init__(
        self, fetch: Callable[[Source], bytes | None], outbox: Outbox, *, identity: str,
        approvers: Mapping[str, Approver], used: Book, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._fetch = fetch
        self._outbox = outbox
        self._identity = identity
        self._approvers = approvers
        self._used = used
        self._clock = clock

    def appended(self, records: Sequence[Inbound]) -> None:
        """Answer the consultations among entries that were appended just now.

        What is refused is answered with the reason; a failure of one answer keeps none of the others, nor the log.
        """
        asked = [(entry, record) for record in records if (entry := _consultation(record)) is not None]
        for entry, record in asked:
            try:
                value, why = self._open(entry, record), ""
            except RefusedError as error:
                value, why = b"", str(error)
            except SafeReportingError as error:
                log.error("unlock_failed", offset=record.offset, code=error.code)  # noqa: TRY400 - no traceback
                continue
            headers = ((consult.REFUSED, why.encode()),) if why else ()
            self._outbox.send(Message(consult.TOPIC, entry.id.encode(), value, headers), 0)
        if asked:
            self._outbox.flush()

    def _open(self, entry: _Entry, record: Inbound) -> bytes:
        """The value without its outer layer.

        1. A second person signed this position, this person and this ground, and is another person.
        2. The message is still there.
        3. That signature opens nothing a second time.
        """
        place = entry.source
        if place is None:
            raise RefusedError("the entry names no position")
        source = place.topic, place.partition, place.offset
        try:
            approval = msgspec.json.decode(record.header(consult.APPROVAL) or b"", type=Approval)
        except UNREADABLE as error:
            raise RefusedError("no second person approves") from error
        wanted = consult.request(source, by=entry.by, why=entry.why)
        now = int(self._clock() * 1000)
        faults = verify(wanted, [approval], approvers=self._approvers, now=now, used=self._used.ids())  # 1
        if approval.by == entry.by:
            faults.append("the second person is the first")
        if faults:
            raise RefusedError("; ".join(faults))
        value = self._fetch(source)  # 2
        if value is None:
            raise RefusedError("nothing is there any more")
        self._used.add(approval.id, until=milliseconds(approval.expires) or now, now=now)  # 3
        return sealing.unlock(value, self._identity)


def _consultation(record: Inbound) -> _Entry | None:
    try:
        entry = msgspec.json.decode(record.value.reveal() if record.value is not None else b"", type=_Entry)
    except UNREADABLE:
        return None
    locked = entry.source is not None and entry.source.topic in consult.LOCKED
    return entry if entry.operation == "consultation" and locked else None
