"""Tallies: how many of a producer's records were masked, told only for many records at once.

No ledger entry says whether a record was masked: a list of those is the list that must not exist. For an alarm on the
rate of masked records a redactor counts over at least `LEAST` records of one producer and one minute, and gives the
number of masked ones in whole tens; what was rounded off is carried into the next tally, so sums stay right.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Final

import msgspec
import orjson

from services.kernel.jsonio import UNREADABLE
from services.kernel.ledger import rfc3339
from services.kernel.record import Message

TOPIC: Final = "ops.tally"
#: Records of a tally at least, and milliseconds that it spans at least.
LEAST, SPAN_MS = 50, 60_000
#: Masked records are told in multiples of this.
STEP = 10

Producer = tuple[str, str]
Number = Annotated[int, msgspec.Meta(ge=0)]


class Tally(msgspec.Struct, frozen=True):
    """One tally as `schemas/messages/ops-tally.json` has it: `records` of a producer, how many of them were `masked`
    (rounded), and how many had a field that no schema knows (`unknown_fields`)."""

    id: str
    agency: str
    feed: str
    records: int
    masked: Number
    unknown_fields: Number


class _Open(msgspec.Struct):
    """A tally that is not told yet; `masked` begins with what the last one rounded off."""

    since: int
    records: int = 0
    masked: int = 0
    unknown: int = 0


class Counter:
    """Counts one process's records. What was not told when it ends is lost: these are figures for an alarm, no account.

    A record that is handled again after an aborted transaction counts once.
    """

    def __init__(self) -> None:
        self._open: dict[Producer, _Open] = {}
        self._counted: dict[tuple[str, int], int] = {}

    def count(
        self, source: tuple[str, int, int], producer: Producer, *, masked: bool, unknown_field: bool, now: int
    ) -> Message | None:
        """Count one record; the tally when one is due.

        Args:
            source: topic, partition and offset.
            masked: whether anything in one of its texts was.
            unknown_field: whether it had one that its schema does not know.
            now: milliseconds since the epoch.
        """
        topic, partition, offset = source
        if offset <= self._counted.get((topic, partition), -1):
            return None
        self._counted[topic, partition] = offset
        one = self._open.setdefault(producer, _Open(now))
        one.since = now if one.records == 0 else one.since
        one.records += 1
        one.masked += masked
        one.unknown += unknown_field
        if one.records < LEAST or one.records % STEP or now - one.since < SPAN_MS:
            return None
        told = min(max(0, STEP * round(one.masked / STEP)), one.records)
        self._open[producer] = _Open(now, masked=one.masked - told)
        return message(Tally(secrets.token_hex(8), *producer, one.records, told, one.unknown), now=now)


def message(tally: Tally, *, now: int) -> Message:
    """The tally as it is sent; `now` is milliseconds since the epoch."""
    return Message(
        TOPIC, None, orjson.dumps({"v": 1, "time": rfc3339(now), **msgspec.structs.asdict(tally)}), partition=0
    )


_decoder = msgspec.json.Decoder(Tally)


def read(value: bytes) -> Tally | None:
    """The tally in a message; None where it is none."""
    try:
        tally = _decoder.decode(value)
    except UNREADABLE:
        return None
    return tally if tally.records >= max(1, tally.masked, tally.unknown_fields) else None
