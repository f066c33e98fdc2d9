"""The gate: while it is closed no router publishes. Closing needs nobody else; opening needs two persons."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from services.kernel.approval import Approval, Approver, PersonId, Reference, Request, verify
from services.kernel.jsonio import canonical
from services.kernel.record import Message

#: Topic and key of the gate's messages; the last one holds.
TOPIC, KEY = "control", b"gate"
ACTION = "gate"
Why = Literal["leak_suspected", "guarantee_failed", "agreement_ended", "drill", "maintenance", "restored"]


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message. `at` is RFC 3339 UTC; approvals stand in one that opens."""

    state: Literal["open", "closed"]
    at: str
    by: PersonId
    why: Why
    reference: Reference | None = None
    v: Literal[1] = 1
    kind: Literal["gate"] = "gate"
    approvals: tuple[Approval, ...] = ()

    @property
    def request(self) -> Request:
        """What two persons sign."""
        said = msgspec.to_builtins(msgspec.structs.replace(self, approvals=()))
        return Request(ACTION, hashlib.sha256(canonical(said)).hexdigest())

    @property
    def message(self) -> Message:
        """As it goes to the topic."""
        return Message(TOPIC, KEY, canonical(msgspec.to_builtins(self)))

    def opens(self, approvers: Mapping[str, Approver], now: int) -> bool:
        """Whether it opens the gate at `now` (milliseconds since the epoch): two persons signed it."""
        return self.state == "open" and not verify(self.request, self.approvals, approvers=approvers, now=now)
