"""Approval: two different persons sign one action over one content, each with a key of their own, used once.

Whatever needs two persons (a policy set, a release under a duty) asks `verify` and nothing else. Public keys and
roles stand in `approvers.yaml`; a private key is a file that its person alone can read.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from services.kernel.errors import RefusedError
from services.kernel.jsonio import canonical
from services.kernel.ledger import PersonId, Reference, check, rfc3339
from services.kernel.london import london_day

#: Longest time between a signature and its use.
LONGEST = timedelta(days=14)
#: How far two clocks may differ, in milliseconds.
CLOCKS_MS = 5_000

Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Approver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One person who may approve: which actions, with which public key (hex), on which days.

    The days are Europe/London, both ends included.
    """

    id: PersonId
    actions: tuple[Word, ...]
    key: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    from_: date
    until: date


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signature. `at` and `expires` are RFC 3339 UTC; `sha256` is that of the content approved."""

    action: Word
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    reference: Reference
    by: PersonId
    at: str
    expires: str
    signature: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{86}$")]

    @property
    def id(self) -> str:
        """Names this approval, so that it can be used once: of its bytes, for several texts decode to the same."""
        return hashlib.sha256(_unb64(self.signature)).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be approved, and how many different persons it needs."""

    action: str
    sha256: str
    persons: int = 2


def sign(request: Request, key: Ed25519PrivateKey, *, by: str, reason: str, reference: str, now: int) -> Approval:
    """Approve as one person; `now` is milliseconds since the epoch. Good for `LONGEST`.

    Raises:
        ConfigError: `by` or `reference` is not of its form: nobody could read the approval.
    """
    check(by=by, reference=reference)
    unsigned = Approval(
        action=request.action, sha256=request.sha256, reason=reason, reference=reference, by=by, at=rfc3339(now),
        expires=rfc3339(now + int(LONGEST.total_seconds() * 1000)), signature="A" * 86,
    )  # fmt: skip
    return msgspec.structs.replace(unsigned, signature=_b64(key.sign(_bytes(unsigned))))


def verify(
    request: Request,
    approvals: Iterable[Approval],
    *,
    approvers: Mapping[str, Approver],
    now: int,
    used: frozenset[str] = frozenset(),
) -> list[str]:
    """Why `approvals` do not carry the request; an empty list where they do.

    1. Each names this action and this content, and is within its time.
    2. Each is by a person who may approve it today, with a signature by that person's key.
    3. None was used before.
    4. There are as many different persons as the request needs.

    Args:
        now: milliseconds since the epoch: the time at which the approval is used.
        used: ids of approvals that were used already.
    """
    faults: list[str] = []
    persons: set[str] = set()
    for approval in approvals:
        found = [*_of_another(approval, request, now), *_of_the_person(approval, approvers, now)]  # 1, 2
        if approval.id in used:  # 3
            found.append("was used before")
        if approval.by in persons:
            found.append("is the second by the same person")
        faults += [f"approval by `{approval.by}` {fault}" for fault in found]
        if not found:
            persons.add(approval.by)
    if len(persons) < request.persons:  # 4
        faults.append(f"{len(persons)} of {request.persons} different persons approve")
    return faults


def signed_by_somebody(
    request: Request, approvals: Iterable[Approval], *, now: int, used: frozenset[str] = frozenset()
) -> bool:
    """Whether enough different persons say that they approve this, in time and for the first time, whoever they are.

    Who was taken out of the file, or has another key there, looks like a stranger afterwards.
    """
    persons = {a.by for a in approvals if not _of_another(a, request, now) and a.id not in used}
    return len(persons) >= request.persons


def demand(
    request: Request,
    approvals: Iterable[Approval],
    *,
    approvers: Mapping[str, Approver],
    now: int,
    used: frozenset[str] = frozenset(),
) -> None:
    """As `verify`, raising RefusedError with all faults."""
    if faults := verify(request, approvals, approvers=approvers, now=now, used=used):
        raise RefusedError(f"`{request.action}` is not approved: " + "; ".join(faults))


def _of_another(approval: Approval, request: Request, now: int) -> list[str]:
    faults = []
    if approval.action != request.action:
        faults.append(f"is for `{approval.action}`")
    if approval.sha256 != request.sha256:
        faults.append("is for other content")
    begins, ends = milliseconds(approval.at), milliseconds(approval.expires)
    if (
        begins is None
        or ends is None
        or not begins - CLOCKS_MS <= now <= ends
        or ends - begins > LONGEST.total_seconds() * 1000
    ):
        faults.append("is not within its time")
    return faults


def _of_the_person(approval: Approval, approvers: Mapping[str, Approver], now: int) -> list[str]:
    person = approvers.get(approval.by)
    if person is None:
        return ["is by nobody who may approve"]
    faults = []
    if approval.action not in person.actions:
        faults.append(f"is by a person who may not approve `{approval.action}`")
    if not person.from_ <= london_day(now) <= person.until:
        faults.append("is by a person whose time as approver is over or has not begun")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(person.key)).verify(
            _unb64(approval.signature), _bytes(approval)
        )
    except (InvalidSignature, ValueError):
        faults.append("has a signature that does not verify")
    return faults


def _bytes(approval: Approval) -> bytes:
    """What is signed: all but the signature, in one canonical form."""
    fields = msgspec.to_builtins(approval)
    del fields["signature"]
    return b"safe-reporting approval\n" + canonical(fields)


def milliseconds(stamp: str) -> int | None:
    """Milliseconds since the epoch of an RFC 3339 time with a zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return int(moment.timestamp() * 1000) if moment.tzinfo else None


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
