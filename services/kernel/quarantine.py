"""Quarantine: the one way in which a record, or a text of it, is set aside for people to look at."""

from __future__ import annotations

import hashlib

import msgspec

from services.kernel import safety
from services.kernel.detail import Detail, seal_detail
from services.kernel.errors import RefusedError
from services.kernel.jsonio import UNREADABLE
from services.kernel.ledger import rfc3339
from services.kernel.record import Header, Inbound, Message, Outcome
from services.kernel.sealing import Sealer
from services.kernel.vocabulary import OutcomeKind, Reason

TOPIC = "quarantine"


class SetAside(msgspec.Struct, frozen=True):
    """What the sealed value of a quarantine message holds: a whole record, or `texts` by pointer."""

    reason: str
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None
    texts: dict[str, str] = {}


def message(record: Inbound, reason: Reason, *, sealer: Sealer, texts: dict[str, str] | None = None) -> Message:
    """The quarantine message of `record`; with `texts`, of these alone.

    The value is age bytes of msgpack, padded. Headers are bounded and open: coarse reason, position and
    time of the source record, and the id of the key that opens the value.
    """
    whole = texts is None
    content = SetAside(
        reason=reason.value,
        key=record.key.reveal() if whole and record.key is not None else None,
        headers=tuple((name, value.reveal() if value is not None else None) for name, value in record.headers)
        if whole
        else (),
        value=record.value.reveal() if whole and record.value is not None else None,
        texts=texts or {},
    )
    return Message(
        TOPIC, _key(record), sealer.seal_twice(msgspec.msgpack.encode(content)), _headers(record, reason, sealer)
    )


def _key(record: Inbound) -> bytes:
    """One for each position, so that a message can be removed from the topic by its key."""
    return hashlib.sha256(f"{record.topic}/{record.partition}/{record.offset}".encode()).hexdigest()[:32].encode()


def outcome(
    record: Inbound,
    reason: Reason,
    *,
    sealer: Sealer,
    agency: str | None = None,
    feed: str | None = None,
    plan: str | None = None,
    versions: tuple[tuple[str, str], ...] = (),
    planted: bool = False,
    source: tuple[str, int, int] | None = None,
) -> Outcome:
    """The outcome of a record that is set aside whole; the exact reason is sealed, the safety desk is told at once.

    Of one that was `planted` it is not: nobody is in danger, and there is no source to look at.

    Args:
        source: topic, partition and offset of the agency's record, where `record` was made of it.
    """
    hold = safety.hold(
        source or (record.topic, record.partition, record.offset),
        record.timestamp,
        reason,
        agency=agency,
        feed=feed,
        risk=safety.grade_of(record, reason, feed),
    )
    return Outcome(
        OutcomeKind.QUARANTINED,
        reason,
        messages=(message(record, reason, sealer=sealer), *(() if planted else (hold,))),
        agency=agency,
        feed=feed,
        plan=plan,
        detail=seal_detail(Detail(reason=reason.value), sealer),
        versions=versions,
        canary=planted,
    )


def read(opened: bytes) -> SetAside:
    """What was set aside, from what `open_sealed` returned.

    Raises:
        RefusedError: the bytes are not a quarantine value.
    """
    try:
        return msgspec.msgpack.decode(opened, type=SetAside)
    except UNREADABLE as error:
        raise RefusedError("what is sealed is no record set aside: somebody else made it") from error


def _headers(record: Inbound, reason: Reason, sealer: Sealer) -> tuple[Header, ...]:
    return (
        ("sr-reason", reason.coarse.value.encode()),
        ("sr-source-topic", record.topic.encode()),
        ("sr-source-partition", str(record.partition).encode()),
        ("sr-source-offset", str(record.offset).encode()),
        ("sr-time", rfc3339(record.timestamp).encode()),
        ("sr-recipient", sealer.key_id.encode()),
    )
