"""What the monitor reads of a ledger entry: the open part only, never what is sealed."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec


class Delivery(NamedTuple):
    """One record of the ledger topic. `appended` is the broker's time in milliseconds since the epoch, UTC."""

    offset: int
    appended: int
    value: bytes | None


class Source(msgspec.Struct, frozen=True):
    """The position that an entry is about, and the one handled before it (None: not known)."""

    topic: str
    partition: int
    offset: int
    previous: int | None = None
    until: int | None = None


class Decision(msgspec.Struct, frozen=True):
    """The effect for one partner: `allow` or `deny`."""

    partner: str
    effect: str


class Entry(msgspec.Struct, frozen=True):
    """The parts of `schemas/messages/ledger-entry.json` that figures are made of."""

    time: datetime
    service: str
    source: Source | None
    agency: str | None
    feed: str | None
    outcome: str | None
    reason: str | None
    decisions: tuple[Decision, ...] = ()
    received: datetime | None = None
    canary: bool = False


_DECODER = msgspec.json.Decoder(Entry)


def read(value: bytes | None) -> Entry | None:
    """The entry, or None where it cannot be read as one; a tombstone cannot."""
    if value is None:
        return None
    try:
        return _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)
