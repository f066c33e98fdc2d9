"""A sealed proposal: what may leave once two persons release it, and until then is of no use to anybody."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from services.kernel import disclosure, notification
from services.kernel.disclosure import Disclosure
from services.kernel.errors import RefusedError
from services.kernel.jsonio import UNREADABLE, canonical
from services.kernel.ledger import rfc3339
from services.kernel.notification import Notification
from services.kernel.record import Message
from services.kernel.sealing import Sealer

TOPIC = "duty.proposal"
T = TypeVar("T", Notification, Disclosure)


class Proposal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed: the content, and a salt so that its hash tells nothing.

    `subject` is the keyed hash of the person whom a duty is about; empty where the form has no id of theirs.
    """

    kind: str
    id: str
    salt: str
    content: bytes
    subject: str = ""

    @classmethod
    def of(cls, content: Notification | Disclosure, *, id_: str, subject: str = "") -> Proposal:
        """A proposal with a salt of its own."""
        kind = notification.DUTY if isinstance(content, Notification) else disclosure.KIND
        return cls(kind, id_, secrets.token_hex(16), canonical(msgspec.to_builtins(content)), subject)

    @property
    def sha256(self) -> str:
        """Hash of all of it: what two persons approve."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).hexdigest()

    def notification(self) -> Notification:
        """What a duty demands.

        Raises:
            RefusedError: the content is no notification.
        """
        return self._content(Notification)

    def disclosure(self) -> Disclosure:
        """What a person allowed.

        Raises:
            RefusedError: the content is no disclosure.
        """
        return self._content(Disclosure)

    def _content(self, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self.content, type=kind)
        except UNREADABLE as error:
            raise RefusedError(f"proposal `{self.id}` holds no {kind.__name__.lower()}") from error


def read(opened: bytes) -> Proposal:
    """A proposal, from what `open_sealed` returned.

    Raises:
        RefusedError: the bytes are none.
    """
    try:
        return msgspec.msgpack.decode(opened, type=Proposal)
    except UNREADABLE as error:
        raise RefusedError("what is sealed is no proposal: somebody else made it") from error


def people(wanted: Proposal, period: Iterable[Proposal]) -> list[Notification]:
    """One notification of each person and quarter, of forms under a duty; `wanted` stands for its own person.

    A form that is sent again is no further person, and all forms without a person's id count as one.
    """
    made = ((one.subject, one.notification()) for one in (*period, wanted))
    return list({(subject, notified.quarter): notified for subject, notified in made}.values())


def propose(
    content: Notification | Disclosure, *, id_: str, now: int, sealer: Sealer, subject: str = ""
) -> Message:  # fmt: skip
    """The sealed proposal as a message; its headers say of which kind, which, since when, and the salted hash."""
    made = Proposal.of(content, id_=id_, subject=subject)
    headers = (
        ("sr-duty", made.kind.encode()),
        ("sr-proposal", id_.encode()),
        ("sr-time", rfc3339(now).encode()),
        ("sr-sha256", made.sha256.encode()),
        ("sr-recipient", sealer.key_id.encode()),
    )
    return Message(TOPIC, id_.encode(), sealer.seal_twice(msgspec.msgpack.encode(made)), headers)
