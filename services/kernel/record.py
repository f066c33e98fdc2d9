"""Records and outcomes: the types that cross the seams between Kafka and the pure steps.

Structs, because they also cross the pipe to the step process.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import OutcomeKind, Reason

Header = tuple[str, bytes]


class Inbound(msgspec.Struct, frozen=True):
    """One record as Kafka delivered it. `timestamp` is milliseconds since the epoch, UTC."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: SensitiveBytes | None
    value: SensitiveBytes | None
    headers: tuple[tuple[str, SensitiveBytes | None], ...] = ()

    def header(self, name: str) -> bytes | None:
        """The one value of header `name`; None where it is absent, empty or given twice."""
        found = [value for key, value in self.headers if key == name]
        return found[0].reveal() if len(found) == 1 and found[0] is not None else None


class Message(msgspec.Struct, frozen=True):
    """One message to produce: to the partition number of its input, or to `partition` where that is given."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    partition: int | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes in a batch, at most."""
        headers = sum(len(name) + len(value) + 10 for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + headers + 100


def delivered(message: Message, *, offset: int, now: int) -> Inbound:
    """A message as partition 0 of its topic would deliver it; `now` is milliseconds since the epoch."""
    key = None if message.key is None else SensitiveBytes(message.key)
    value = None if message.value is None else SensitiveBytes(message.value)
    headers = tuple((name, SensitiveBytes(text)) for name, text in message.headers)
    return Inbound(message.topic, 0, offset, now, key, value, headers)


class Decision(msgspec.Struct, frozen=True):
    """What the router decided for one partner. `key` is that of the message that was let out."""

    partner: str
    view: str
    effect: str  # "allow" or "deny"
    policies: tuple[str, ...]
    basis: str
    key: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """Exactly one for each input offset: what happened, what to send, what the ledger says.

    `detail` is sealed by the step already (age bytes), or empty when there was nothing to seal.
    """

    kind: OutcomeKind
    reason: Reason | None = None
    messages: tuple[Message, ...] = ()
    agency: str | None = None
    feed: str | None = None
    area: str | None = None
    roles: tuple[str, ...] = ()
    record: str | None = None
    plan: str | None = None
    detail: bytes = b""
    decisions: tuple[Decision, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    decided_at: str | None = None
    canary: bool = False


class Batch(msgspec.Struct, frozen=True):
    """What holds for one batch: `now` is milliseconds since the epoch, read once by the loop."""

    now: int
    facts: dict[str, str] = {}


class Step(Protocol):
    """A service's pure part, built inside the child process."""

    def __call__(self, record: Inbound, batch: Batch) -> Outcome:
        """Return the record's one outcome. Data never raises; a bug does and quarantines the record."""
        ...

    def quarantine(self, record: Inbound, reason: Reason) -> Outcome:
        """The outcome of a record that cannot be handled (fault, timeout, crash, oversize)."""
        ...
