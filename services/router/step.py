"""The router's step: one redacted record in, exactly one outcome with a decision for every partner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.kernel import canary, quarantine, safety
from services.kernel.attestation import HEADER, AttestationError, Claims, verify
from services.kernel.consent import Book
from services.kernel.detail import Detail, seal_detail
from services.kernel.errors import ConfigError
from services.kernel.jsonio import BadJson, canonical, parse
from services.kernel.ledger import rfc3339
from services.kernel.london import london_day
from services.kernel.record import Batch, Decision, Inbound, Message, Outcome
from services.kernel.sealing import Sealer
from services.kernel.vocabulary import OutcomeKind, Reason, Risk
from services.router.answer import Answer, ask
from services.router.areas import Areas, load_areas
from services.router.headers import PartnerKeys, partner_headers
from services.router.partners import ConsentRule, Partner, Registry, Standing, load_partners
from services.router.policy import Policies
from services.router.profiles import load_profile
from services.router.residual import Find, Leaf, Residual, Vouchers, load_residual
from services.router.view import Built, View, Views, load_views
from services.router.view_compile import Holds

T = TypeVar("T")

#: Answers remembered for one day at most; beyond, Cedar is asked again.
_ANSWERS = 65_536

#: Facts of a batch that stand in the ledger's entry beside the versions, and their names there.
_NAMED = {"sequence": "policy-sequence", "consent_offset": "consent-offset"}

#: The error of a denial because the view is missing or does not validate.
VIEW_INVALID = "view invalid"

#: Nothing of such a record reaches anybody, and not because a policy wants it so: the safety desk is told. So it is of
#: one whose borough is not known, and of one that no partner subscribes to.
HELD_WHOLE = frozenset({Reason.RESIDUAL, Reason.VIEW_INVALID, Reason.POLICY_ERROR, Reason.DETECTOR_REFUSED})


@dataclass(frozen=True, slots=True)
class Rules:
    """All that decides, loaded and checked at the start."""

    registry: Registry
    areas: Areas
    policies: Policies
    views: Views
    residual: Residual

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """Digest of each part, for the ledger."""
        return (
            ("areas", self.areas.digest),
            ("policy", self.policies.digest),
            ("registry", self.registry.digest),
            ("residual", self.residual.digest),
            ("views", self.views.digest),
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """The one time of a batch, what holds then for each partner, and what was answered while the same held.

    `answers` is keyed by all that the facts of a partner are made of beside its standing, which is the day's.
    `facts` are the batch's: closed partners and consents; `versions` what of them stands in the ledger.
    """

    now: int
    stamp: str
    day: date
    standings: Mapping[str, Standing]
    started: frozenset[str]
    facts: Mapping[str, str]
    versions: tuple[tuple[str, str], ...]
    book: Book
    answers: dict[tuple[object, ...], Answer]


class RouterStep:
    """Decides for one redacted record what goes to whom; data never raises."""

    def __init__(
        self,
        *,
        rules: Rules,
        attest_keys: Mapping[str, Ed25519PublicKey],
        partner_keys: Mapping[str, bytes],
        sealer: Sealer,
        versions: Mapping[str, str],
    ) -> None:
        """`partner_keys` holds the 32 bytes of each partner's key file, by partner id.

        Raises:
            KeyError: a partner of the registry has no key.
        """
        self._rules = rules
        self._attest_keys = dict(attest_keys)
        self._sealer = sealer
        self._versions = (*sorted(versions.items()), *rules.versions)
        self._keys = {
            (partner.id, purpose): PartnerKeys.of(partner_keys[partner.id], partner.id, purpose)
            for partner in rules.registry.partners
            for purpose in partner.purposes
        }
        self._moment = Moment(-1, "", date.min, {}, frozenset(), {}, (), Book(), {})

    def __call__(self, record: Inbound, batch: Batch) -> Outcome:
        """Route one redacted record.

        1. No value: withheld as a tombstone.
        2. Verify the redactor's attestation, then parse; else quarantine. Hold what a refused detector wrote.
        3. Decide for each partner that subscribes to this agency and feed, as if nothing gave away; build and
           validate the views of those that are permitted.
        4. Scan all that would leave.
        5. One find: decide again for every partner, with it.
        6. Write the message of each partner that is allowed, under its own keys and new headers.
        7. What was planted goes to its watcher instead, and the ledger says of no partner that it got it.
        """
        if record.value is None:  # 1
            return self._withheld(None, Reason.TOMBSTONE, (), [], self._at(batch))
        data = record.value.reveal()
        try:  # 2
            claims = verify(record.header(HEADER), data, self._attest_keys)
            value = parse(data)
        except (AttestationError, BadJson) as error:
            return self.quarantine(record, error.reason)
        if not isinstance(value, dict):
            return self.quarantine(record, Reason.REDACTED_INVALID)
        moment = self._at(batch)
        if claims.detector in batch.facts.get("refused", "").split(","):
            risk = safety.grade(claims.feed, value)
            held = self._withheld(claims, Reason.DETECTOR_REFUSED, (), [], moment, risk)
            return _watched(held, claims.canary) if claims.canary is not None else held
        partners = self._rules.registry.subscribers(claims.agency, claims.feed)
        answers = [self._decide(partner, claims, moment, residual=False) for partner in partners]  # 3
        built = self._build(answers, value, claims, moment)
        finds = self._scan(built.values(), claims)  # 4
        if finds:  # 5
            answers = [self._decide(partner, claims, moment, residual=True) for partner in partners]
        answers = [self._fitting(answer, built) for answer in answers]
        messages = tuple(self._message(a, built, claims, moment) for a in answers if a.ruling.allowed)  # 6
        if not messages:
            risk = safety.grade(claims.feed, value)
            done = self._withheld(claims, _reason(answers, finds, self._rules), answers, finds, moment, risk)
        else:
            done = self._outcome(OutcomeKind.FORWARDED, claims, answers, moment, messages=messages)
        return _watched(done, claims.canary) if claims.canary is not None else done  # 7

    def quarantine(self, record: Inbound, reason: Reason) -> Outcome:
        """The outcome of a record that is set aside whole; whose it is, the redactor says under its signature."""
        data = record.value.reveal() if record.value is not None else b""
        try:
            claims = verify(record.header(HEADER), data, self._attest_keys)
        except AttestationError:
            return quarantine.outcome(record, reason, sealer=self._sealer, versions=self._versions)
        return quarantine.outcome(
            record, reason, sealer=self._sealer, versions=self._versions, agency=claims.agency, feed=claims.feed,
            source=claims.source, planted=claims.canary is not None,
        )  # fmt: skip

    def _at(self, batch: Batch) -> Moment:
        """The moment of a batch. It never goes back: what has run out stays closed."""
        last = self._moment
        now = max(batch.now, last.now)
        if now == last.now and batch.facts == last.facts:
            return last
        day = london_day(now)
        if day == last.day and batch.facts == last.facts:
            self._moment = dataclasses.replace(last, now=now, stamp=rfc3339(now))
            return self._moment
        closed = frozenset(filter(None, batch.facts.get("closed", "").split(",")))
        standings = {
            name: msgspec.structs.replace(standing, agreement=standing.agreement and name not in closed)
            for name, standing in self._rules.registry.standings(day).items()
        }
        book = Book.read(Path(batch.facts["consents"])) if "consents" in batch.facts else Book()
        named = tuple((name, batch.facts[fact]) for fact, name in _NAMED.items() if fact in batch.facts)
        started = self._rules.areas.started(day)
        self._moment = Moment(now, rfc3339(now), day, standings, started, batch.facts, named, book, {})
        return self._moment

    def _build(
        self, answers: list[Answer], value: dict[str, Any], claims: Claims, moment: Moment
    ) -> dict[str, tuple[View, Built]]:
        """The view of each partner that is permitted, once by name, whoever shares it."""
        built: dict[str, tuple[View, Built]] = {}
        for answer in answers:
            view = self._rules.views.get(answer.partner.view, claims.feed) if answer.ruling.allowed else None
            if view is not None and view.name not in built:
                built[view.name] = (view, view.build(value, claims, today=moment.day))
        return built

    def _scan(self, built: Any, claims: Claims) -> list[Find]:
        """Scan what any view holds, each source once."""
        leaves: dict[tuple[str, str], Leaf] = {}
        for _, view in built:
            for leaf in view.leaves:
                leaves.setdefault((leaf.pointer, leaf.text), leaf)
        return self._rules.residual.scan(leaves.values(), Vouchers(claims.vouchers))

    def _decide(self, partner: Partner, claims: Claims, moment: Moment, *, residual: bool) -> Answer:
        """The first of the partner's purposes that policy permits, or the answer to its first."""
        about = (claims.feed, claims.area, claims.roles, claims.markers, claims.protected, claims.child, claims.held)
        consented = frozenset(
            purpose
            for purpose in partner.purposes
            if partner.consent is ConsentRule.REQUIRED
            and moment.book.given(claims.subjects, partner.id, purpose, now=moment.now)
        )
        key = (partner.id, residual, consented, *about)
        known = moment.answers.get(key)
        if known is None:
            view = self._rules.views.get(partner.view, claims.feed)
            known = ask(
                self._rules.policies, partner, claims, standing=moment.standings[partner.id], started=moment.started,
                consented=consented, residual=residual, holds=view.holds if view else Holds(),
            )  # fmt: skip
            if len(moment.answers) < _ANSWERS:
                moment.answers[key] = known
        return known

    @staticmethod
    def _fitting(answer: Answer, built: dict[str, tuple[View, Built]]) -> Answer:
        """The answer, refused where the view is missing or what was built does not fit it."""
        held = built.get(answer.partner.view)
        if answer.ruling.allowed and (held is None or not held[1].valid):
            return dataclasses.replace(answer, ruling=answer.ruling.refused(VIEW_INVALID))
        return answer

    def _message(self, answer: Answer, built: dict[str, tuple[View, Built]], claims: Claims, moment: Moment) -> Message:
        partner, keys = answer.partner, self._keys[answer.partner.id, answer.purpose]
        view = built[partner.view][1]
        for slot in view.slots:
            slot.container[slot.key] = keys.record_id(slot.source) if slot.is_record else keys.subject_id(slot.source)
        event_id = keys.event_id(claims.record, claims.source)
        headers = partner_headers(partner.view, event_id=event_id, released=moment.stamp)
        return Message(partner.topic, keys.message_key(claims.record), canonical(view.value), headers)

    def _withheld(
        self, claims: Claims | None, reason: Reason, answers: Any, finds: list[Find], moment: Moment,
        risk: Risk = Risk.UNKNOWN,
    ) -> Outcome:  # fmt: skip
        marks = tuple((find.pointer, "residual", find.why, find.start, find.end) for find in finds)
        detail = seal_detail(Detail(reason=reason.value, masks=marks), self._sealer)
        alerts: tuple[Message, ...] = ()
        unseen = claims is not None and (claims.area == "unknown" or not answers)  # nobody can be meant to get it
        if claims and (reason in HELD_WHOLE or unseen):
            about = {"agency": claims.agency, "feed": claims.feed}
            alerts = (safety.hold(claims.source, moment.now, reason, risk=risk, **about),)
        return self._outcome(
            OutcomeKind.WITHHELD, claims, answers, moment, messages=alerts, reason=reason, detail=detail
        )

    def _outcome(
        self,
        kind: OutcomeKind,
        claims: Claims | None,
        answers: Any,
        moment: Moment,
        *,
        messages: tuple[Message, ...] = (),
        reason: Reason | None = None,
        detail: bytes = b"",
    ) -> Outcome:
        keys = {message.topic: message.key.decode() for message in messages if message.key is not None}
        decisions = tuple(
            Decision(
                a.partner.id, a.partner.view, a.ruling.effect, a.ruling.policies, a.ruling.basis,
                keys.get(a.partner.topic) if a.ruling.allowed else None,
            )
            for a in answers
        )  # fmt: skip
        made = (("detector", claims.detector), ("schema", claims.schema)) if claims else ()
        return Outcome(
            kind,
            reason,
            messages=messages,
            agency=claims.agency if claims else None,
            feed=claims.feed if claims else None,
            area=claims.area if claims else None,
            roles=claims.roles if claims else (),
            record=claims.record if claims else None,
            plan=claims.schema if claims else None,
            detail=detail,
            decisions=decisions,
            versions=(*self._versions, *moment.versions, *made),
            decided_at=moment.stamp,
        )


def _watched(outcome: Outcome, id_: str) -> Outcome:
    """The outcome of a canary: what partners would have got, or a receipt that by policy nothing would have left.

    One that is held whole because something broke gets no receipt: it is late, and somebody looks.
    """
    mark = (canary.HEADER, id_.encode())
    receipt = () if outcome.reason in HELD_WHOLE else (Message(canary.TOPIC, id_.encode(), b"", (mark,)),)
    copies = tuple(
        Message(
            canary.TOPIC,
            one.key,
            one.value,
            (*one.headers, mark, (canary.PARTNER, one.topic.removeprefix("partner.").encode())),
        )
        for one in outcome.messages
        if one.topic.startswith("partner.")
    )
    return msgspec.structs.replace(
        outcome,
        messages=copies or receipt,
        decisions=tuple(msgspec.structs.replace(one, key=None) for one in outcome.decisions),
        canary=True,
    )


def _reason(answers: list[Answer], finds: list[Find], rules: Rules) -> Reason:
    """Why nothing leaves: the gravest reason first."""
    if finds:
        return Reason.RESIDUAL
    rulings = [answer.ruling for answer in answers]
    if any(VIEW_INVALID in ruling.errors for ruling in rulings):
        return Reason.VIEW_INVALID
    if any(ruling.errors for ruling in rulings):
        return Reason.POLICY_ERROR
    if any(rules.policies.forbids.intersection(ruling.policies) for ruling in rulings):
        return Reason.FORBIDDEN
    return Reason.NO_POLICY_PERMITS


def load_rules(*, schemas_dir: Path, policies_dir: Path, profile: str = "default") -> Rules:
    """Read partners, policies, views and word list, and check that they fit each other.

    Raises:
        ConfigError: listing every fault of every part.
    """
    faults: list[str] = []

    def part(load: Callable[[], T]) -> T | None:
        try:
            return load()
        except ConfigError as error:
            faults.extend(error.faults)
            return None

    registry = part(lambda: load_partners(policies_dir / "partners.yaml"))
    areas = part(lambda: load_areas(policies_dir / "areas.yaml"))
    policies = part(lambda: load_profile(policies_dir, profile, for_service=True))
    views = part(lambda: load_views(schemas_dir / "partners"))
    residual = part(load_residual)
    if registry and views:
        part(lambda: views.check(registry))
    if faults or not (registry and areas and policies and views and residual):
        raise ConfigError("router", faults)
    return Rules(registry, areas, policies, views, residual)
