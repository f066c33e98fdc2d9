"""What the monitor reads of a ledger entry: the open part only, never what is sealed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from services.kernel.jsonio import UNREADABLE

#: As the schema has them: what is made of other characters would break the keys of the table, and a larger number its
#: values.
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,62}\Z")]
Topic = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]*(\.[a-z0-9-]+){0,2}\Z")]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Before = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Delivery(NamedTuple):
    """One record of the ledger topic. `appended` is the broker's time in milliseconds since the epoch, UTC."""

    offset: int
    appended: int
    value: bytes | None


class Source(msgspec.Struct, frozen=True):
    """The position that an entry is about, and the one handled before it (None: not known)."""

    topic: Topic
    partition: Number
    offset: Number
    previous: Before | None = None
    until: Number | None = None


class Decision(msgspec.Struct, frozen=True):
    """The effect for one partner: `allow` or `deny`."""

    partner: str
    effect: str


class Entry(msgspec.Struct, frozen=True):
    """The parts of `schemas/messages/ledger-entry.json` that figures are made of."""

    id: Annotated[str, msgspec.Meta(max_length=64)]
    time: Time
    service: Name
    source: Source | None
    agency: Name | None
    feed: Name | None
    outcome: str | None
    reason: str | None
    decisions: tuple[Decision, ...] = ()
    received: Time | None = None
    canary: bool = False


_DECODER = msgspec.json.Decoder(Entry)


def read(value: bytes | None) -> Entry | None:
    """The entry, or None where it cannot be read as one; a tombstone cannot."""
    if value is None:
        return None
    try:
        return _DECODER.decode(value)
    except UNREADABLE:
        return None


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)
