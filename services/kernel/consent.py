"""Consent: what one person allowed one recipient, for one purpose and one scope.

Absent unless recorded, never inferred. The last word counts: a withdrawal is a value and wins over a grant of the
same time, and over one that stands before it on the topic, whatever the clocks of the two who sent them said. A grant
counts only if it was taken as it must be; any doubt makes it absent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from services.kernel.approval import milliseconds
from services.kernel.jsonio import UNREADABLE
from services.kernel.ledger import PersonId
from services.kernel.vocabulary import Tag

TOPIC = "consent"
#: What the ordinary partner topics need: that the redacted record of this person goes to this recipient.
RECORD_SCOPE = "record"
#: What an advocate needs for the person's own applications, as opaque codes: coded fields with one of these tags.
FIELD_SCOPES: Mapping[str, frozenset[Tag]] = {
    "f1": frozenset({Tag.NATIONALITY, Tag.COUNTRY_OF_ORIGIN}),
    "f2": frozenset({Tag.IMMIGRATION_STATUS}),
    "f3": frozenset({Tag.IMMIGRATION_DOCUMENT}),
    "f4": frozenset({Tag.ENTRY_ROUTE}),
}
#: The one purpose for which coded fields may be asked.
FIELD_PURPOSE = "independent_advocacy"
LONGEST = timedelta(days=90)

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Subject = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Case = Annotated[str, Meta(pattern=r"^[a-z0-9]{4,16}$")]
Key = tuple[str, str, str, str]


class Taken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a grant was taken."""

    by_role: Literal["advocate", "solicitor", "victim_support", "police", "other"]
    in_private: bool
    wording: str
    interpreter: Literal["not_needed", "independent", "relative", "suspect", "unknown"]
    given_by: Literal["subject", "relative", "suspect", "other"]
    under_18: bool
    advocate_present: bool
    safeguarding_lead: bool


class Consent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message of the `consent` topic. Times are RFC 3339 UTC; `taken` and `expires` stand in a grant alone.

    `case` is the recipient's own code for this person's case; a grant of fields names it.
    """

    v: Literal[1]
    subject: Subject
    recipient: Name
    purpose: Name
    scope: Name
    state: Literal["given", "withdrawn"]
    at: str
    by: PersonId
    reference: str | None = None
    expires: str | None = None
    taken: Taken | None = None
    case: Case | None = None

    @property
    def about(self) -> Key:
        """Who, to whom, for what, and how much."""
        return self.subject, self.recipient, self.purpose, self.scope

    @property
    def key(self) -> bytes:
        """Key on the topic. Grants and withdrawals have their own, so that compaction keeps the last of each."""
        return "|".join((*self.about, self.state)).encode()


def faults(consent: Consent) -> list[str]:
    """Why a grant does not count; an empty list where it does."""
    taken, begins, ends = consent.taken, milliseconds(consent.at), milliseconds(consent.expires or "")
    if taken is None or begins is None or ends is None:
        return ["does not say how it was taken, or from when until when it holds"]
    found = []
    if ends <= begins or ends - begins > LONGEST.total_seconds() * 1000:
        found.append(f"does not hold for at most {LONGEST.days} days")
    if taken.by_role not in ("advocate", "solicitor") and consent.scope != RECORD_SCOPE:
        found.append("was taken by somebody who is neither advocate nor solicitor")
    if taken.by_role == "police":
        found.append("was taken by the police")
    if not taken.in_private:
        found.append("was not taken in private")
    if not taken.wording.strip():
        found.append("names no version of its wording")
    if taken.interpreter not in ("not_needed", "independent"):
        found.append("was taken through an interpreter who is not independent")
    if taken.given_by != "subject":
        found.append("was not given by the person")
    if taken.under_18 and not (taken.advocate_present and taken.safeguarding_lead):
        found.append("is by a person under 18 without advocate and safeguarding lead")
    return found + _of_scope(consent)


def _of_scope(consent: Consent) -> list[str]:
    if consent.scope == RECORD_SCOPE:
        return []
    found = []
    if consent.scope not in FIELD_SCOPES:
        found.append(f"has none of the scopes {RECORD_SCOPE}, {', '.join(FIELD_SCOPES)}")
    if consent.purpose != FIELD_PURPOSE:
        found.append(f"gives fields for another purpose than {FIELD_PURPOSE}")
    if consent.case is None:
        found.append("gives fields without the code of a case")
    return found


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """A grant that counts, as the step process reads it: from when until when (milliseconds since the epoch)."""

    subject: str
    recipient: str
    purpose: str
    scope: str
    begins: int
    ends: int
    case: str | None = None


class Register:
    """The last grant and the last withdrawal of each key, in the order of the topic."""

    def __init__(self) -> None:
        self._given: dict[Key, tuple[Consent, int]] = {}
        self._withdrawn: dict[Key, tuple[int, int]] = {}  # the latest time that was said, and the last offset
        self.offset = -1

    def hear(self, value: bytes | None, offset: int) -> bool:
        """Take in one message; False where it is none, which changes nothing."""
        self.offset = offset
        try:
            consent = msgspec.json.decode(value or b"", type=Consent)
        except UNREADABLE:
            return False
        at = milliseconds(consent.at)
        if at is None:
            return False
        if consent.state == "withdrawn":
            self._withdrawn[consent.about] = max(at, self._withdrawn.get(consent.about, (at, offset))[0]), offset
        else:
            self._given[consent.about] = consent, offset
        return True

    def ends(self, about: Key, now: int) -> int:
        """When a withdrawal that is said at `now` must be for the last grant to count no more, milliseconds.

        The clock that recorded the grant may have run ahead of this one.
        """
        given = self._given.get(about)
        return max(now, (milliseconds(given[0].at) or now) if given is not None else now)

    def grants(self) -> list[Grant]:
        """Every grant that counts: taken as it must be, and later than the last withdrawal by time and on the topic."""
        found = []
        for about, (consent, offset) in self._given.items():
            begins, ends = milliseconds(consent.at), milliseconds(consent.expires or "")
            if begins is None or ends is None or faults(consent):
                continue
            withdrawn, after = self._withdrawn.get(about, (-1, -1))
            if begins <= withdrawn or offset < after:
                continue
            found.append(Grant(*about, begins, ends, consent.case))
        return found


class Book:
    """The grants that hold, asked by a step."""

    def __init__(self, grants: Sequence[Grant] = ()) -> None:
        self._held = {(g.subject, g.recipient, g.purpose, g.scope): (g.begins, g.ends) for g in grants}
        self._fields: dict[str, list[Grant]] = {}
        for grant in grants:
            if grant.scope in FIELD_SCOPES:
                self._fields.setdefault(grant.subject, []).append(grant)

    @classmethod
    def read(cls, path: Path) -> Book:
        """The book that the lease wrote."""
        return cls(msgspec.msgpack.decode(path.read_bytes(), type=list[Grant]))

    def given(self, subjects: Iterable[str], recipient: str, purpose: str, *, now: int) -> bool:
        """Whether every one of `subjects` has consented, and there is one; a person without an id has not."""
        asked = list(subjects)
        return bool(asked) and all(self._holds(subject, recipient, purpose, now) for subject in asked)

    def _holds(self, subject: str, recipient: str, purpose: str, now: int) -> bool:
        begins, ends = self._held.get((subject, recipient, purpose, RECORD_SCOPE), (1, 0))
        return begins <= now < ends

    @property
    def asks_for_fields(self) -> bool:
        """Whether anybody allowed coded fields to anybody."""
        return bool(self._fields)

    def fields(self, subject: str, *, now: int) -> list[Grant]:
        """The grants of coded fields that this person gave and that hold now."""
        return [grant for grant in self._fields.get(subject, ()) if grant.begins <= now < grant.ends]


class BookFile:
    """The book as a file, where the step process finds it; written anew when a consent was heard.

    Args:
        folder: its own, which it keeps tidy: one version stands there at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._name = folder / f"consents-{os.getpid()}"
        self._written: int | None = None

    def write(self, register: Register) -> str:
        """Path of the file that holds what `register` knows."""
        fresh = self._version(register.offset)
        if self._written != register.offset:
            fresh.write_bytes(msgspec.msgpack.encode(register.grants()))
            if self._written is not None:
                self._version(self._written).unlink(missing_ok=True)
            self._written = register.offset
        return str(fresh)

    def _version(self, offset: int) -> Path:
        return self._name.with_name(f"{self._name.name}-{offset}")
