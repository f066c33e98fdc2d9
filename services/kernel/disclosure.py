"""What an advocate may have of one person, with that person's own consent: coded fields, sealed until released."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from services.kernel.consent import Case, Name, Subject
from services.kernel.vocabulary import Tag

#: What stands for a duty in the header of such a proposal.
KIND = "advocate"
TOPIC_PREFIX = "sealed.advocate."


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One coded field: its tag, its name in the feed, and a short value without line breaks."""

    tag: Tag
    name: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
    value: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][\w .,'/()-]{0,63}$")] | bool


class Disclosure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of one scope of one person, for one recipient, one purpose and one case."""

    subject: Subject
    recipient: Name
    purpose: Name
    scope: Name
    case: Case
    fields: Annotated[tuple[Field, ...], Meta(min_length=1)]

    @property
    def topic(self) -> str:
        """The only topic that it may reach."""
        return TOPIC_PREFIX + self.case
