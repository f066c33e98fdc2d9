"""Holds: records held whole, whose source a person must look at; and the word of a person who did.

A hold is a message of `ops.safety`, written in the transaction that holds the record. It says where the record stands
and how grave its agency coded the danger, and nothing of what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from services.kernel.jsonio import UNREADABLE, BadJson, canonical, parse
from services.kernel.ledger import PersonId, Reference, rfc3339
from services.kernel.record import Inbound, Message
from services.kernel.vocabulary import CoarseReason, Reason, Risk

#: Holds, and the acknowledgements of them.
TOPIC, ACKNOWLEDGED = "ops.safety", "safety.acknowledged"

#: Where a feed has a coded grade of a person's danger; its codes are those of `Risk`. The severity of an anti-social
#: behaviour case grades the nuisance, not the danger: it is none.
GRADES: Mapping[str, tuple[str, ...]] = {"marac": ("referral", "riskLevel")}
#: Reasons that come up after a record was parsed; with any other its value is not looked at.
_PARSED = frozenset({Reason.SCHEMA_INVALID, Reason.CANARY_INVALID, Reason.REDACTED_INVALID})
_CODED = {risk.value: risk for risk in Risk}

Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Topic = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*(\.[a-z0-9-]+){0,2}$")]
Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$")]
Natural = Annotated[int, Meta(ge=0)]


class Place(msgspec.Struct, frozen=True):
    """The position of the record that is held."""

    topic: Topic
    partition: Natural
    offset: Natural


class Hold(msgspec.Struct, frozen=True):
    """One message of `ops.safety`, as `schemas/messages/safety-alert.json` has it. `time` is the record's."""

    time: Time
    agency: Word | None
    feed: Word | None
    source: Place
    risk: Risk
    reason: CoarseReason
    v: Literal[1]

    @property
    def id(self) -> str:
        """Names it: the same for each message about one record."""
        return hold_id((self.source.topic, self.source.partition, self.source.offset))

    @property
    def is_readable(self) -> bool:
        """False for what `read_hold` made of a message that is none."""
        return self.source.topic != TOPIC

    @property
    def message(self) -> Message:
        """As it goes to the topic."""
        body = {"id": self.id, **msgspec.to_builtins(self)}
        return Message(TOPIC, self.id.encode(), canonical(body))


class Acknowledgement(msgspec.Struct, frozen=True):
    """A person looked at the source of a hold. `time` is RFC 3339 UTC; `by` their id at the agency."""

    id: Id
    time: Time
    by: PersonId
    reference: Reference
    v: Literal[1] = 1

    @property
    def message(self) -> Message:
        """As it goes to the topic."""
        return Message(ACKNOWLEDGED, self.id.encode(), canonical(msgspec.to_builtins(self)))


_HOLD, _ACKNOWLEDGEMENT = msgspec.json.Decoder(Hold), msgspec.json.Decoder(Acknowledgement)


def hold_id(source: tuple[str, int, int]) -> str:
    """The id of the hold of the record at topic, partition and offset, however often it is said."""
    topic, partition, offset = source
    return hashlib.sha256(f"hold/{topic}/{partition}/{offset}".encode()).hexdigest()[:16]


def hold(
    source: tuple[str, int, int], at: int, reason: Reason, *, agency: str | None, feed: str | None, risk: Risk
) -> Message:
    """Where a record stands that was held whole, for the people who must look at the source. No content.

    Args:
        source: topic, partition and offset.
        at: milliseconds since the epoch, UTC.
    """
    return Hold(rfc3339(at), agency, feed, Place(*source), risk, reason.coarse, 1).message


def read_hold(record: Inbound) -> Hold:
    """The hold of a message of `ops.safety`.

    What is no hold stands for one that nobody can read any more: its position is the message's own, so that a person
    looks at it. Never raises.
    """
    try:
        return _HOLD.decode(record.value.reveal() if record.value is not None else b"")
    except UNREADABLE:
        place = Place(record.topic, record.partition, record.offset)
        return Hold(rfc3339(record.timestamp), None, None, place, Risk.UNKNOWN, CoarseReason.SYSTEM, 1)


def read_acknowledgement(record: Inbound) -> Acknowledgement | None:
    """The acknowledgement of a message of `safety.acknowledged`; None where it is none."""
    try:
        return _ACKNOWLEDGEMENT.decode(record.value.reveal() if record.value is not None else b"")
    except UNREADABLE:
        return None


def grade(feed: str | None, value: object) -> Risk:
    """The grade that the agency coded in a parsed record of `feed`; `unknown` where it has none. Never raises."""
    keys = GRADES.get(feed or "")
    if keys is None:
        return Risk.UNKNOWN
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return _CODED.get(value, Risk.UNKNOWN) if isinstance(value, str) else Risk.UNKNOWN


def grade_of(record: Inbound, reason: Reason, feed: str | None) -> Risk:
    """The grade of an agency's record that is held for `reason`, where it was read as far as that. Never raises."""
    if reason not in _PARSED or feed not in GRADES or record.value is None:
        return Risk.UNKNOWN
    try:
        return grade(feed, parse(record.value.reveal()))
    except BadJson:
        return Risk.UNKNOWN
