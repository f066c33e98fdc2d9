"""The release of a sealed proposal by two persons: the same for what a duty demands and what a person allowed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import orjson

from services.cli import policy_sign
from services.cli.unlock import Readers, open_all
from services.kernel import ledger
from services.kernel.approval import Approval, Request, milliseconds, sign, verify
from services.kernel.approvers import load_approvers
from services.kernel.errors import ConfigError, RefusedError
from services.kernel.jsonio import UNREADABLE, canonical
from services.kernel.kafka.reader import read_all, send, send_together
from services.kernel.proposal import TOPIC, Proposal, read
from services.kernel.record import Inbound, Message
from services.kernel.settings import Settings
from services.kernel.whole import write_whole

#: The account that these commands run as.
NAME = "cli-duty"
ACTION = "duty"
_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what a proposal is released. `kind` names its schema, `days` how long it may wait."""

    kind: str
    basis: str
    reference: str
    releasers: int
    days: int


@dataclass(frozen=True, slots=True)
class Content:
    """What leaves: the topic, and the object as its schema describes it."""

    topic: str
    value: dict[str, Any]


class Release(msgspec.Struct, forbid_unknown_fields=True):
    """The file that goes from the first person to the second."""

    duty: str
    proposal: str
    sha256: str
    reference: str
    approvals: tuple[Approval, ...] = ()

    @property
    def request(self) -> Request:
        """What is approved: this duty, this proposal as it was sealed, this reference."""
        held = {"duty": self.duty, "proposal": self.proposal, "sha256": self.sha256, "reference": self.reference}
        return Request(ACTION, hashlib.sha256(canonical(held)).hexdigest())

    @property
    def persons(self) -> tuple[str, ...]:
        """Who approved."""
        return tuple(one.by for one in self.approvals)


@dataclass(frozen=True, slots=True)
class Signer:
    """One person who approves, with what they say."""

    by: str
    key: Path
    reason: str
    reference: str


class Desk:
    """Where proposals lie and are released from.

    Args:
        identity: opens proposals.
    """

    def __init__(self, settings: Settings, identity: str = "") -> None:
        self.settings = settings
        self.config = settings.kafka_config()
        self._identity = identity

    def waiting(self) -> Iterator[Inbound]:
        """The last version of each proposal."""
        last: dict[str, Inbound] = {}
        for record in read_all(self.config, TOPIC, name=NAME):
            if record.value is not None:
                last[about(record)["proposal"]] = record
        yield from last.values()

    def find(self, proposal: str) -> Inbound:
        """The proposal with this id.

        Raises:
            ConfigError: there is none.
        """
        found = next((r for r in self.waiting() if about(r)["proposal"] == proposal), None)
        if found is None:
            raise ConfigError("release", [f"no proposal `{proposal}`: `duty list` shows what waits"])
        return found

    def open(self, records: Sequence[Inbound], readers: Readers) -> list[Proposal | RefusedError]:
        """The proposals themselves, or why one is not opened; each with its entry before it is opened.

        Raises:
            RefusedError: the ledger does not answer.
        """
        sources = [(record.topic, record.partition, record.offset) for record in records]
        opened = open_all(self.config, sources, readers, self._identity, name=NAME)
        return [one if isinstance(one, RefusedError) else _read(one) for one in opened]

    def release(
        self,
        found: Inbound,
        terms: Terms,
        signer: Signer,
        file: Path,
        make: Callable[[Proposal, Readers], Content],
        now: int,
    ) -> str:
        """Approve as one person; with the last person's approval release it. Returns what to tell the person.

        The last approval is not kept: where something fails, the same person runs it again.

        1. Sign; while persons are missing, in the file that goes from person to person.
        2. With all of them: verify the approvals, the reference, the time, and that it was not released before.
        3. Open it; what was sealed must be what was approved.
        4. Make what leaves, and validate it.
        5. Send it and its entry in one transaction; a refusal of 2 to 4 has an entry too.

        Raises:
            ConfigError: the file is no release, or cannot be written.
            RefusedError: why it is not released.
        """
        held = _held(file, found, signer.reference)
        if signer.by in held.persons:
            raise RefusedError(f"`{signer.by}` has approved already: another person completes `{file.name}`")
        key = policy_sign.private_key(signer.key)
        approval = sign(held.request, key, by=signer.by, reason=signer.reason, reference=signer.reference, now=now)  # 1
        held.approvals = (*held.approvals, approval)
        if (missing := terms.releasers - len(held.approvals)) > 0:
            write_whole(file, orjson.dumps(msgspec.to_builtins(held), option=orjson.OPT_INDENT_2) + b"\n")
            return f"approved by {signer.by}; {missing} more person must approve `{file.name}`"
        try:
            self._verify(found, terms, held, now)  # 2
            readers = Readers(held.persons[0], "duty_release", signer.by, signer.key, signer.reference)
            proposal = self._opened(found, held, readers)  # 3
            content = make(proposal, readers)  # 4
            self._validate(terms.kind, content, held.proposal)
        except RefusedError:
            send(self.config, [(_entry(found, terms, held, now, topic=None), 0)])  # 5
            raise
        entry = _entry(found, terms, held, now, topic=content.topic)
        message = Message(content.topic, held.proposal.encode(), canonical(content.value), _headers(terms, held, now))
        send_together(self.config, [(message, found.partition), (entry, 0)], name=NAME)
        return f"released to {content.topic}, approved by {', '.join(held.persons)}"

    def _verify(self, found: Inbound, terms: Terms, held: Release, now: int) -> None:
        approvers = load_approvers(self.settings.approvers_file)
        request = Request(ACTION, held.request.sha256, terms.releasers)
        faults = verify(request, held.approvals, approvers=approvers, now=now)
        if not re.fullmatch(terms.reference, held.reference):
            faults.append(f"the reference `{held.reference}` is not one of `{terms.kind}`")
        since = milliseconds(about(found)["time"])
        if since is None or now - since > terms.days * _DAY:
            faults.append(f"the proposal is older than {terms.days} days")
        if faults:
            raise RefusedError("not released: " + "; ".join(faults))

    def _opened(self, found: Inbound, held: Release, readers: Readers) -> Proposal:
        (proposal,) = self.open([found], readers)
        if isinstance(proposal, RefusedError):
            raise proposal
        if proposal.sha256 != held.sha256 or proposal.id != held.proposal or proposal.kind != held.duty:
            raise RefusedError("not released: what was sealed is not what was approved")
        return proposal

    def _validate(self, kind: str, content: Content, proposal: str) -> None:
        schema = orjson.loads((self.settings.schemas_dir / "sealed" / f"{kind}.json").read_bytes())
        if not jsonschema_rs.validator_for(schema).is_valid(content.value):
            raise RefusedError("not released: it does not fit its published schema")
        if any(about(record)["proposal"] == proposal for record in read_all(self.config, content.topic, name=NAME)):
            raise RefusedError("not released: the proposal was released before")


def _read(opened: bytes) -> Proposal | RefusedError:
    try:
        return read(opened)
    except RefusedError as error:
        return error


def about(record: Inbound) -> dict[str, str]:
    """What the headers of a proposal say of it: proposal, duty, time, sha256."""
    return {
        name: (record.header(f"sr-{name}") or b"").decode("ascii", "replace")
        for name in ("proposal", "duty", "time", "sha256")
    }


def _held(file: Path, found: Inbound, reference: str) -> Release:
    """The release of the first person, or a new one.

    Raises:
        ConfigError: the file is no release.
        RefusedError: it is about another proposal, another version of it, or another reference.
    """
    said = about(found)
    fresh = Release(said["duty"], said["proposal"], said["sha256"], reference)
    if not file.exists():
        return fresh
    try:
        held = msgspec.json.decode(file.read_bytes(), type=Release)
    except UNREADABLE as error:
        raise ConfigError("release", [f"`{file.name}` is no release: {error}"]) from error
    if msgspec.structs.replace(held, approvals=()) != fresh:
        raise RefusedError(f"`{file.name}` is about another proposal, an older version of it, or another reference")
    return held


def _entry(found: Inbound, terms: Terms, held: Release, now: int, *, topic: str | None) -> Message:
    """The entry of the release; with no topic, of its refusal."""
    return ledger.release(
        kind=terms.kind, topic=topic, source=(found.topic, found.partition, found.offset), proposal=held.proposal,
        by=held.persons, reference=held.reference, basis=terms.basis, now=now,
    )  # fmt: skip


def _headers(terms: Terms, held: Release, now: int) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", held.proposal.encode()),
        ("ce_source", b"/safe-reporting"),
        ("ce_type", f"safe-reporting.sealed.{terms.kind}".encode()),
        ("ce_time", ledger.rfc3339(now).encode()),
        ("ce_dataschema", f"urn:safe-reporting:sealed:{terms.kind}:1.0".encode()),
        ("content-type", b"application/json"),
        ("sr-proposal", held.proposal.encode()),
    )
