"""A consultation of what is sealed twice: asked for by its ledger entry, answered by the ledger service.

The entry names one position, who looks and why; a second person signs exactly that. Once the entry is in the log,
the ledger service takes the outer layer off and puts the rest, still sealed to compliance, on the `unlocked` topic.
"""

from __future__ import annotations

import hashlib

import msgspec

from services.kernel import ledger
from services.kernel.approval import Approval, Request
from services.kernel.jsonio import canonical
from services.kernel.record import Message

#: Where answers are read: key is the id of the entry.
TOPIC = "unlocked"
ACTION = "consult"
#: Topics whose values are sealed twice.
LOCKED = frozenset({"quarantine", "duty.proposal"})
APPROVAL, REFUSED = "sr-approval", "sr-refused"

Source = tuple[str, int, int]


def request(source: Source, *, by: str, why: str) -> Request:
    """What the second person signs."""
    topic, partition, offset = source
    asked = {"topic": topic, "partition": partition, "offset": offset, "by": by, "why": why}
    return Request(ACTION, hashlib.sha256(canonical(asked)).hexdigest(), persons=1)


def ask(source: Source, approval: Approval, *, by: str, why: str, now: int) -> tuple[str, Message]:
    """The entry that asks, with its id."""
    entry = ledger.opened(source, by=by, why=why, second=approval.by, now=now)
    said = msgspec.json.decode(entry.value or b"", type=_Id)
    headers = ((APPROVAL, msgspec.json.encode(approval)),)
    return said.id, msgspec.structs.replace(entry, headers=headers)


class _Id(msgspec.Struct):
    id: str
