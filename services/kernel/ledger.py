"""Ledger entries: what is said of each outcome, in the same transaction that lets it out."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from msgspec import Meta

from services.kernel.errors import ConfigError
from services.kernel.record import Inbound, Message, Outcome
from services.kernel.vocabulary import Operation, OutcomeKind

TOPIC = "ledger"
#: Where signed checkpoints of the log go, and the key of the statement of how far everything is reconciled.
CHECKPOINTS = "ledger.checkpoint"
RECONCILED = b"reconciled"
#: Header of a redacted record: when the agency's record reached the broker, milliseconds since the epoch.
RECEIVED = "sr-received"

_PERSON, _REFERENCE = r"^[A-Za-z0-9][A-Za-z0-9.@_-]{0,63}$", r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$"
#: Of a record, as entries have it.
PSEUDONYM = r"^([0-9a-f]{2}){8,32}$"
PersonId = Annotated[str, Meta(pattern=_PERSON)]
Reference = Annotated[str, Meta(pattern=_REFERENCE)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The last millisecond of the year 9999.
_LATEST = 253_402_300_799_999

_OPERATION = {
    OutcomeKind.REDACTED: Operation.ALTERATION,
    OutcomeKind.FORWARDED: Operation.DISCLOSURE,
    OutcomeKind.WITHHELD: Operation.COLLECTION,
    OutcomeKind.QUARANTINED: Operation.COLLECTION,
}


def rfc3339(milliseconds: int) -> str:
    """UTC time with milliseconds, as every entry and header writes it.

    Before 1970 and after 9999 it is the nearest time between: a sender may set any.
    """
    moment = _EPOCH + timedelta(milliseconds=min(max(milliseconds, 0), _LATEST))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entry_id(service: str, topic: str, partition: int, offset: int) -> str:
    """The same for the same outcome, so that a doubled entry is seen at once."""
    return hashlib.sha256(f"{service}/{topic}/{partition}/{offset}".encode()).hexdigest()[:32]


def entry(record: Inbound, outcome: Outcome, *, service: str, slot: int, previous: int, now: int) -> Message:
    """The entry of one outcome.

    Args:
        previous: the offset handled before this one in its partition, -1 for none.
        now: milliseconds since the epoch, UTC, read once for the batch.
    """
    body = {
        "v": 1,
        "id": entry_id(service, record.topic, record.partition, record.offset),
        "salt": secrets.token_hex(16),
        "operation": _OPERATION[outcome.kind],
        "time": rfc3339(now),
        "service": service,
        "instance": f"{service}-{slot}",
        "source": {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "previous": previous,
        },
        "record": outcome.record,
        "agency": outcome.agency,
        "feed": outcome.feed,
        "area": outcome.area,
        "roles": outcome.roles,
        "outcome": outcome.kind,
        "reason": outcome.reason.coarse if outcome.reason else None,
        "plan": outcome.plan,
        "decisions": [
            {
                "partner": decision.partner,
                "view": decision.view,
                "effect": decision.effect,
                "policies": decision.policies,
                "basis": decision.basis,
                **({"key": decision.key} if decision.key else {}),
            }
            for decision in outcome.decisions
        ],
        "sealed": base64.b64encode(outcome.detail).decode() if outcome.detail else None,
        "versions": dict(outcome.versions),
        "decided_at": outcome.decided_at,
        "received": _received(record),
        **({"canary": True} if outcome.canary else {}),
    }
    return Message(TOPIC, None, orjson.dumps(body))


def _received(record: Inbound) -> str | None:
    """When the agency's record reached the broker; None where that is not known. Only figures are made of it."""
    if record.topic.startswith("agency."):
        return rfc3339(record.timestamp)
    told = record.header(RECEIVED)
    return rfc3339(int(told)) if told and len(told) <= 15 and told.isdigit() else None


def check(*, by: str | None = None, approved_by: Iterable[str] = (), reference: str | None = None) -> None:
    """Refuse what makes an entry or an approval none: what it is about would happen, and nobody could read it.

    Raises:
        ConfigError: a staff id or the reference is not of the form that the schema of entries has.
    """
    faults = []
    if not all(re.fullmatch(_PERSON, person) for person in (*approved_by, *(() if by is None else (by,)))):
        faults.append("a staff id has 1 to 64 letters, digits and `. @ _ -`, no spaces; the first is a letter or digit")
    if reference is not None and not re.fullmatch(_REFERENCE, reference):
        faults.append("a reference or name has 1 to 64 letters, digits and `. _ / -`, no spaces; likewise the first")
    if faults:
        raise ConfigError("ids", faults)


def opened(source: tuple[str, int, int], *, by: str, why: str, now: int, second: str | None = None) -> Message:
    """The entry of a person who opens something sealed; committed before it is opened.

    Args:
        source: topic, partition and offset of what is opened, or of the record that it is about.
        by: the person's own identifier at their agency.
        why: a word of the closed list of grounds.
        second: the person who approves it.
    """
    more = {"approved_by": [second]} if second is not None else {}
    return _by_hand(
        "compliance", Operation.CONSULTATION, f"{by}/{why}/{source}", now,
        source={"topic": source[0], "partition": source[1], "offset": source[2], "previous": -1},
        outcome="consulted", by=by, why=why, **more,
    )  # fmt: skip


def looked(
    source: tuple[str, int, int], *, agency: str | None, feed: str | None, by: str, reference: str, now: int
) -> Message:
    """The entry of a person who looked at the source of a record held whole, with their acknowledgement.

    Args:
        source: topic, partition and offset of the record.
        by: the person's own identifier at their agency.
        reference: number of the case under which they looked.
    """
    return _by_hand(
        "safety", Operation.CONSULTATION, f"{by}/{reference}/{source}", now,
        source={"topic": source[0], "partition": source[1], "offset": source[2], "previous": -1},
        agency=agency, feed=feed, outcome="consulted", by=by, why="safety", reference=reference,
    )  # fmt: skip


def tallied(day: str, *, by: str, why: str, now: int) -> Message:
    """The entry of a person who has the masks of a day counted by class; committed before details are opened."""
    return _by_hand(
        "compliance", Operation.CONSULTATION, f"{by}/{why}/{day}", now,
        outcome="consulted", by=by, why=why, reference=f"totals/{day}",
    )  # fmt: skip


def release(
    *, kind: str, topic: str | None, source: tuple[str, int, int], proposal: str, by: tuple[str, ...], reference: str,
    basis: str, now: int,
) -> Message:  # fmt: skip
    """The entry of a sealed proposal that persons released, in the transaction that lets it out; or of a refusal.

    Args:
        kind: the duty, or `advocate`.
        topic: the sealed topic that it goes to; None where it was refused.
        source: topic, partition and offset of the sealed proposal.
        by: the persons who approved, by their own identifiers.
        reference: number that the duty demands, or of the signed consent.
    """
    out = topic is not None
    partner = topic.removeprefix("sealed.").replace(".", "-") if topic is not None else kind
    return _by_hand(
        "duty", Operation.DISCLOSURE if out else Operation.COLLECTION, f"{topic}/{proposal}/{'-'.join(by)}/{out}", now,
        source={"topic": source[0], "partition": source[1], "offset": source[2], "previous": -1},
        record=proposal,
        outcome="forwarded" if out else "withheld",
        reason=None if out else "policy",
        decisions=[
            {"partner": partner, "view": "sealed", "effect": "allow" if out else "deny", "policies": [kind],
             "basis": basis},
        ],
        approved_by=list(by), reference=reference,
    )  # fmt: skip


def destroyed(
    source: tuple[str, int, int] | None, *, by: str, why: str, second: str, now: int, reference: str | None = None
) -> Message:
    """The entry of what was destroyed for good: a sealed message, or (`reference`) a key with all that it opens."""
    more = {"reference": reference} if reference is not None else {}
    if source is not None:
        more["source"] = {"topic": source[0], "partition": source[1], "offset": source[2], "previous": None}  # type: ignore[assignment]
    return _by_hand(
        "compliance", Operation.ERASURE, f"{by}/{why}/{source}/{reference}", now,
        by=by, why=why, approved_by=[second], **more,
    )  # fmt: skip


def erased(reference: str, *, by: str, now: int) -> Message:
    """The entry of an expiry, before it happens; `reference` names the leaves."""
    return _by_hand("retention", Operation.ERASURE, f"{by}/{reference}", now, by=by, why="expiry", reference=reference)


def held(name: str, *, by: str, placed: bool, now: int) -> Message:
    """The entry of a hold that was placed or lifted."""
    why = "hold_placed" if placed else "hold_lifted"
    return _by_hand("retention", Operation.ALTERATION, f"{by}/{name}/{why}", now, by=by, why=why, reference=name)


def gate(state: str, *, by: str, second: str | None, reference: str | None, now: int) -> Message:
    """The entry of the gate being `closed` or `opened`."""
    more: dict[str, object] = {"approved_by": [second]} if second is not None else {}
    more |= {"reference": reference} if reference is not None else {}
    return _by_hand("gate", Operation.COLLECTION, f"{by}/{state}", now, by=by, why=f"gate_{state}", **more)


def recall(
    record: str | None, sent: Iterable[tuple[str, str]], *, source: tuple[str, int, int], reference: str, by: str,
    now: int,
) -> Message:  # fmt: skip
    """The entry of a recall, in the transaction that sends it.

    Args:
        record: pseudonym of the record whose copies are recalled; None for a copy that no entry let out.
        sent: (partner, message key) of each.
        source: topic, partition and offset of the redacted record, or of that copy.
        reference: id of the trace, or of what made the recall due. Not the cause: that stays with the trace.
    """
    decisions = [
        {"partner": partner, "view": "recall", "effect": "deny", "policies": ["recall"], "basis": "recall", "key": key}
        for partner, key in sent
    ]
    topic, partition, offset = source
    return _by_hand(
        "recall", Operation.ERASURE, f"{record}/{reference}/{source}", now,
        source={"topic": topic, "partition": partition, "offset": offset, "previous": None},
        record=record, outcome="recalled", decisions=decisions, by=by, why="recall", reference=reference,
    )  # fmt: skip


def receipt(partner: str, *, reference: str, by: str, now: int) -> Message:
    """The entry of a partner's word that its copies are gone; `by` took it down."""
    return _by_hand(
        "recall", Operation.ERASURE, f"{partner}/{reference}", now,
        by=by, why="receipt", recipient=partner, reference=reference,
    )  # fmt: skip


def consent(
    *, subject: str, recipient: str, purpose: str, scope: str, given: bool, recall: bool, by: str,
    reference: str | None, now: int,
) -> Message:  # fmt: skip
    """The entry of a consent that was recorded or withdrawn.

    Args:
        subject: pseudonym of the person.
        recall: it asks for the recall of what went before.
        by: the identifier of who recorded it.
    """
    why = "consent_given" if given else "consent_withdrawn"
    more = ({"reference": reference} if reference else {}) | ({"asks": "recall"} if recall else {})
    return _by_hand(
        "consent", Operation.COLLECTION, f"{subject}/{recipient}/{purpose}/{scope}/{why}/{by}", now,
        by=by, why=why, subject=subject, recipient=recipient, purpose=purpose, scope=scope, **more,
    )  # fmt: skip


def _by_hand(service: str, operation: Operation, seed: str, now: int, **fields: Any) -> Message:
    """An entry of what a person did by command; `fields` replace and add to the empty ones.

    Raises:
        ConfigError: as `check`.
    """
    check(by=fields.get("by"), approved_by=fields.get("approved_by", ()), reference=fields.get("reference"))
    stamp = rfc3339(now)
    body = {
        "v": 1,
        "id": hashlib.sha256(f"{seed}/{now}".encode()).hexdigest()[:32],
        "salt": secrets.token_hex(16),
        "operation": operation,
        "time": stamp,
        "service": service,
        "instance": f"{service}-0",
        "source": None,
        "record": None,
        "agency": None,
        "feed": None,
        "area": None,
        "roles": [],
        "outcome": None,
        "reason": None,
        "plan": None,
        "decisions": [],
        "sealed": None,
        "versions": {},
        "decided_at": stamp,
        **fields,
    }
    return Message(TOPIC, None, orjson.dumps(body))
