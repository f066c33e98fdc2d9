"""The gate: while it is closed no router publishes. Closing needs nobody else; opening needs two persons."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum, auto
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from services.kernel.approval import CLOCKS_MS, Approval, Approver, Request, milliseconds, verify
from services.kernel.errors import ConfigError
from services.kernel.jsonio import UNREADABLE, canonical
from services.kernel.ledger import PersonId, Reference
from services.kernel.record import Inbound, Message

#: Topic and key of the gate's messages. All are kept: what one means depends on those before it.
TOPIC, KEY = "control", b"gate"
ACTION = "gate"
Why = Literal["leak_suspected", "guarantee_failed", "agreement_ended", "drill", "maintenance", "restored"]


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message. `at` is RFC 3339 UTC; approvals stand in one that opens.

    `refuse` names detectors, as ledger entries do, whose records a router lets out no more: those of one that leaked
    wait in `redacted`, and would be the first to leave.
    """

    state: Literal["open", "closed"]
    at: str
    by: PersonId
    why: Why
    reference: Reference | None = None
    v: Literal[1] = 1
    kind: Literal["gate"] = "gate"
    refuse: tuple[Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")], ...] = ()
    approvals: tuple[Approval, ...] = ()

    @property
    def request(self) -> Request:
        """What two persons sign."""
        said = _fields(msgspec.structs.replace(self, approvals=()))
        return Request(ACTION, hashlib.sha256(canonical(said)).hexdigest())

    @property
    def message(self) -> Message:
        """As it goes to the topic."""
        return Message(TOPIC, KEY, canonical(_fields(self)))


def _fields(said: Gate) -> dict[str, Any]:
    """What is sent and signed. A router of an earlier version could not read a closing that says `refuse`."""
    fields: dict[str, Any] = msgspec.to_builtins(said)
    if not said.refuse:
        del fields["refuse"]
    return fields


def check(command: str, said: Gate) -> None:
    """Refuse what nobody could read: a router would go on behind it.

    Raises:
        ConfigError: an id, a reference or a detector is not of its form.
    """
    try:
        msgspec.convert(msgspec.to_builtins(said), Gate)
    except msgspec.ValidationError as error:
        fault = "`--by` and `--reference`: 1 to 64 letters, digits and `. _ -`, no spaces; `--refuse`: 16 hex digits"
        raise ConfigError(command, [fault]) from error


class Heard(Enum):
    """What a message of the topic was to the gate."""

    OTHER = auto()
    CLOSED = auto()
    OPENED = auto()
    REFUSED = auto()
    UNREADABLE = auto()


class GateState:
    """The gate after every message of `control` so far, in their order.

    Attributes:
        since: when the broker took the closing that began what holds, milliseconds since the epoch; None while open.
        last: the message that closed it last, or opened it; None where that cannot be read, or there was none.
        refused: detectors that any opening so far refused.
    """

    def __init__(self, approvers: Mapping[str, Approver]) -> None:
        self._approvers = approvers
        self._closed = 0
        self._used: frozenset[str] = frozenset()
        self.since: int | None = None
        self.last: Gate | None = None
        self.refused: frozenset[str] = frozenset()

    def hear(self, record: Inbound) -> Heard:
        """Take in one message.

        A closing needs no signature, and whatever was meant for the gate and cannot be read closes it too. What opens
        it is in `faults`.
        """
        value = record.value.reveal() if record.value is not None else b""
        if (record.key is None or record.key.reveal() != KEY) and not _is_of_gate(value):
            return Heard.OTHER
        try:
            said = msgspec.json.decode(value, type=Gate)
        except UNREADABLE:
            self._close(record.timestamp, None)
            return Heard.UNREADABLE
        if said.state == "closed":
            self._close(record.timestamp, said)
            return Heard.CLOSED
        if self.faults(said, record.timestamp):
            return Heard.REFUSED
        self._used |= {approval.id for approval in said.approvals}
        self.since, self.last = None, said
        self.refused |= set(said.refuse)
        return Heard.OPENED

    def faults(self, said: Gate, now: int) -> list[str]:
        """Why an opening does not open at `now` (milliseconds since the epoch); an empty list where it does.

        Two persons must have signed it, after the gate was closed the last time and for this one opening: else a
        signature of another day, or an old message sent again, would let one person open it.
        """
        found = verify(said.request, said.approvals, approvers=self._approvers, now=now, used=self._used)
        early = [a.by for a in said.approvals if (milliseconds(a.at) or 0) < self._closed - CLOCKS_MS]
        return found + [f"approval by `{by}` is older than the last closing" for by in early]

    def _close(self, at: int, said: Gate | None) -> None:
        self._closed, self.last = at, said
        self.since = at if self.since is None else self.since


class _Kind(msgspec.Struct):
    kind: str


def _is_of_gate(value: bytes) -> bool:
    try:
        return msgspec.json.decode(value, type=_Kind).kind == "gate"
    except UNREADABLE:
        return False
