"""The redactor's step: one agency record in, exactly one outcome out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.kernel import canary, quarantine
from services.kernel.attestation import Claims, digest, sign
from services.kernel.consent import Book
from services.kernel.detail import Detail, seal_detail
from services.kernel.jsonio import DEFAULT_LIMITS, BadJson, Limits, canonical, parse
from services.kernel.keys import pseudonym
from services.kernel.proposal import propose
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.schema.plan import Feeds, Leaf, Plan
from services.kernel.schema.tags import TextKind
from services.kernel.schema.words import RecordMark
from services.kernel.sealing import Sealer
from services.kernel.tally import Counter
from services.kernel.vocabulary import OutcomeKind, Reason, Role
from services.redactor.disclose import disclosures
from services.redactor.headers import REDACTED, Envelope, place, read_headers, redacted_headers
from services.redactor.notify import VICTIM, notify
from services.redactor.risk import add_risk
from services.redactor.roles import Attribution, attribute
from services.redactor.traverse import Redaction, Traversed, traverse


class Engine(Protocol):
    """What the step needs of the text engine."""

    @property
    def version(self) -> str:
        """Changes with lexicon, rules or model."""
        ...

    def redact(self, text: str, kind: TextKind, protected: bool) -> Redaction:
        """One text, redacted; redacting the result again changes nothing."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """The redactor's keys: for pseudonyms, for its signature (with the id that verifiers look up), and whose canaries
    it knows."""

    pseudonym: bytes
    attest: Ed25519PrivateKey
    attest_id: str
    canaries: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A record that was understood."""

    envelope: Envelope
    plan: Plan
    value: dict[str, Any]
    canary: str | None = None


#: Roles whose consent a partner may need. Nobody asks a professional or a suspect.
_ASKED = frozenset({Role.VICTIM, Role.WITNESS, Role.REPORTING_PERSON, Role.CHILD, Role.UNKNOWN})


class RedactorStep:
    """Turns one agency record into exactly one outcome; data never raises."""

    def __init__(
        self,
        *,
        feeds: Feeds,
        engine: Engine,
        secrets: Secrets,
        sealer: Sealer,
        versions: Mapping[str, str],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`versions` are those of the service itself, for the ledger; schema and detector are added."""
        self._feeds = feeds
        self._engine = engine
        self._secrets = secrets
        self._sealer = sealer
        self._limits = limits
        self._book_read: tuple[str, Book] = ("", Book())
        self._counter = Counter()
        self._versions = (*sorted(versions.items()), ("detector", engine.version))

    def __call__(self, record: Inbound, batch: Batch) -> Outcome:
        """Redact one record.

        1. No value: withheld as a tombstone, nothing goes on.
        2. Accept it: headers, size, JSON, schema; else quarantine with the exact reason sealed.
        3. Say who it is about: persons, roles, markers; unknown counts as protected.
        4. Apply the plan to every leaf; texts go through the engine; lift risk into coded fields.
        5. Check the result against the closed schema made from the plan; a fault quarantines.
        6. Sign it, set unreadable texts aside while the rest goes on, and seal what a duty or a consent lets out;
           count it, and tell what was counted where that is due.
        """
        if record.value is None:  # 1
            return self._withhold(record)
        accepted = self._accept(record, record.value.reveal())  # 2
        if isinstance(accepted, Reason):
            return self.quarantine(record, accepted)
        who = attribute(accepted.value, accepted.plan, batch.now)  # 3
        done = self._apply(accepted, who)  # 4
        if not accepted.plan.validate_redacted(done.value):  # 5
            return self.quarantine(record, Reason.REDACTED_INVALID)
        return self._redacted(record, accepted, who, done, batch)  # 6

    def quarantine(self, record: Inbound, reason: Reason) -> Outcome:
        """The outcome of a record that is set aside whole."""
        agency, feed = place(record.topic) or (None, None)
        return quarantine.outcome(
            record, reason, sealer=self._sealer, agency=agency, feed=feed, versions=self._versions,
            planted=self._canary(record) is not None,
        )  # fmt: skip

    def _withhold(self, record: Inbound) -> Outcome:
        agency, feed = place(record.topic) or (None, None)
        detail = Detail(reason=Reason.TOMBSTONE.value)
        return Outcome(
            OutcomeKind.WITHHELD,
            Reason.TOMBSTONE,
            agency=agency,
            feed=feed,
            detail=seal_detail(detail, self._sealer),
            versions=self._versions,
        )

    def _accept(self, record: Inbound, data: bytes) -> _Accepted | Reason:
        """The record with its plan, or the reason why it is not one that this deployment knows."""
        if not data.strip():
            return Reason.EMPTY
        envelope = read_headers(record)
        if isinstance(envelope, Reason):
            return envelope
        plan = self._feeds.get(envelope.dataschema)
        if plan is None:
            return Reason.UNKNOWN_SCHEMA
        if plan.feed != envelope.feed:
            return Reason.TOPIC_MISMATCH
        try:
            value = parse(data, self._limits)
        except BadJson as error:
            return error.reason
        if not isinstance(value, dict) or not plan.validate(value):
            return Reason.SCHEMA_INVALID
        id_ = self._canary(record)
        if id_ is None and any(name == canary.HEADER for name, _ in record.headers):
            return Reason.CANARY_INVALID
        return _Accepted(envelope, plan, value, id_)

    def _canary(self, record: Inbound) -> str | None:
        """The id of a canary that was signed for this record, whatever else is wrong with it; else None."""
        told = record.header(canary.HEADER)
        if not told or record.value is None:
            return None
        return canary.verify(told, record.topic, record.value.reveal(), self._secrets.canaries) or None

    def _apply(self, accepted: _Accepted, who: Attribution) -> Traversed:
        agency, feed = accepted.envelope.agency, accepted.envelope.feed
        key, protected = self._secrets.pseudonym, who.protected

        def scan(text: str, kind: TextKind) -> Redaction:
            return self._engine.redact(text, kind, protected)

        def hashed(leaf: Leaf, value: str) -> str:
            own = leaf.record is RecordMark.ID
            return pseudonym(key, agency, feed, value) if own else pseudonym(key, agency, value)

        done = traverse(accepted.value, accepted.plan, protected=protected, scan=scan, pseudonym=hashed)
        add_risk(done.value, done.risk, accepted.plan.risk)
        return done

    def _redacted(
        self, record: Inbound, accepted: _Accepted, who: Attribution, done: Traversed, batch: Batch
    ) -> Outcome:
        envelope, plan = accepted.envelope, accepted.plan
        key = self._secrets.pseudonym
        position = pseudonym(key, "position", record.topic, str(record.partition), str(record.offset))
        name = pseudonym(key, envelope.agency, envelope.feed, who.record_id) if who.record_id else position
        value = canonical(done.value)
        claims = self._claims(record, accepted, who, done, name=name, sha256=digest(value))
        headers = redacted_headers(
            envelope,
            position=position,
            received=record.timestamp,
            detector=self._engine.version,
            policy=plan.digest,
            attestation=sign(claims, self._secrets.attest, key_id=self._secrets.attest_id),
        )
        messages = [Message(REDACTED, name.encode(), value, headers)]
        if done.held:
            messages.append(quarantine.message(record, Reason.TEXT_HELD, sealer=self._sealer, texts=done.held))
        if accepted.canary is None:
            messages += self._proposals(record, accepted, who, name=name, batch=batch)
            messages += self._counted(record, envelope, done, now=batch.now)
        return Outcome(
            OutcomeKind.REDACTED,
            messages=tuple(messages),
            agency=envelope.agency,
            feed=envelope.feed,
            area=who.area,
            roles=who.roles,
            record=name,
            plan=plan.digest,
            detail=seal_detail(_detail(done), self._sealer),
            versions=(*self._versions, ("schema", plan.schema_id)),
            canary=accepted.canary is not None,
        )

    def _counted(self, record: Inbound, envelope: Envelope, done: Traversed, *, now: int) -> list[Message]:
        source, producer = (record.topic, record.partition, record.offset), (envelope.agency, envelope.feed)
        tally = self._counter.count(
            source, producer, masked=bool(done.masks), unknown_field=bool(done.dropped["drift"]), now=now
        )
        return [tally] if tally is not None else []

    def _proposals(
        self, record: Inbound, accepted: _Accepted, who: Attribution, *, name: str, batch: Batch
    ) -> Iterator[Message]:
        """What a duty may demand of the record, and what its persons allowed their advocates, sealed."""
        key, agency = self._secrets.pseudonym, accepted.envelope.agency
        if (due := notify(accepted.value, accepted.plan, who)) is not None:
            id_ = pseudonym(key, "duty", name)
            person = next((one.id for one in who.persons if one.pointer == VICTIM and one.id), None)
            subject = pseudonym(key, "duty", agency, person) if person else ""
            yield propose(due, id_=id_, now=record.timestamp, sealer=self._sealer, subject=subject)
        book = self._book(batch)
        if not book.asks_for_fields:
            return
        for one in disclosures(
            accepted.value, accepted.plan, subject=lambda id_: pseudonym(key, agency, id_), book=book, now=batch.now
        ):
            id_ = pseudonym(key, "consent", name, one.subject, one.recipient, one.scope, one.case)
            yield propose(one, id_=id_, now=record.timestamp, sealer=self._sealer)

    def _book(self, batch: Batch) -> Book:
        """The consents of this batch, read once for each version of them."""
        place = batch.facts.get("consents", "")
        if place != self._book_read[0]:
            self._book_read = place, Book.read(Path(place)) if place else Book()
        return self._book_read[1]

    def _claims(
        self, record: Inbound, accepted: _Accepted, who: Attribution, done: Traversed, *, name: str, sha256: str
    ) -> Claims:
        return Claims(
            sha256=sha256,
            schema=accepted.plan.schema_id,
            detector=self._engine.version,
            source=(record.topic, record.partition, record.offset),
            agency=accepted.envelope.agency,
            feed=accepted.envelope.feed,
            area=who.area,
            record=name,
            roles=who.roles,
            persons={person.pointer: tuple(sorted(person.roles)) for person in who.persons if person.pointer},
            subjects=tuple(
                pseudonym(self._secrets.pseudonym, accepted.envelope.agency, person.id) if person.id else ""
                for person in who.persons
                if not _ASKED.isdisjoint(person.roles)
            ),
            protected=who.protected,
            child=who.child,
            markers=who.markers,
            held=bool(done.held),
            vouchers=tuple(done.vouchers),
            canary=accepted.canary,
        )


def _detail(done: Traversed) -> Detail:
    return Detail(
        reason=Reason.TEXT_HELD.value if done.held else None,
        masks=tuple(done.masks),
        held=tuple(done.held),
        drift=tuple(done.drift),
        dropped=dict(done.dropped),
        leaves_in=done.leaves_in,
        leaves_out=done.leaves_out,
        risk=tuple(sorted(done.risk)),
    )
