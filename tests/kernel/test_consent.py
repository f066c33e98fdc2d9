"""Absent unless recorded, and recorded as it must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from services.kernel.consent import RECORD_SCOPE, Book, Consent, Register, Taken, faults
from services.kernel.ledger import rfc3339
from services.kernel.paths import ROOT
from services.kernel.record import Batch
from services.router.partners import ConsentRule, Purpose, Registry
from services.router.step import Rules
from tests.router.helpers import NOW, PERSON, claims_for, inbound, make_step, police_crime, rules

DAY = 86_400_000
TAKEN = Taken(
    by_role="advocate", in_private=True, wording="v3", interpreter="independent", given_by="subject", under_18=False,
    advocate_present=True, safeguarding_lead=False,
)  # fmt: skip
GIVEN = Consent(
    v=1, subject=PERSON, recipient="housing-gm", purpose="housing", scope=RECORD_SCOPE, state="given",
    at=rfc3339(NOW - DAY), by="A1234", reference="C-1", expires=rfc3339(NOW + DAY), taken=TAKEN,
)  # fmt: skip


def changed(consent: Consent = GIVEN, /, **fields: Any) -> Consent:
    return msgspec.structs.replace(consent, **fields)


def taken(**fields: Any) -> Consent:
    return changed(taken=msgspec.structs.replace(TAKEN, **fields))


def withdrawn(at: int) -> Consent:
    return changed(state="withdrawn", at=rfc3339(at), expires=None, taken=None)


def book(*consents: Consent) -> Book:
    register = Register()
    for offset, consent in enumerate(consents):
        assert register.hear(msgspec.json.encode(consent), offset)
    return Book(register.grants())


def holds(held: Book, now: int = NOW, subject: str = PERSON) -> bool:
    return held.given([subject], "housing-gm", "housing", now=now)


def test_a_grant_holds_for_its_person_recipient_purpose_and_time() -> None:
    held = book(GIVEN)
    assert holds(held)
    assert not holds(held, subject="ee" * 16)
    assert not held.given([PERSON], "victim-support-gm", "housing", now=NOW)
    assert not held.given([PERSON], "housing-gm", "victim_support", now=NOW)
    assert not holds(held, now=NOW - DAY - 1)
    assert not holds(held, now=NOW + DAY)


def test_everybody_who_is_asked_must_have_consented() -> None:
    held = book(GIVEN)
    assert not held.given([PERSON, "ee" * 16], "housing-gm", "housing", now=NOW)
    assert not held.given([PERSON, ""], "housing-gm", "housing", now=NOW)
    assert not held.given([], "housing-gm", "housing", now=NOW)


@pytest.mark.parametrize("order", [(GIVEN, withdrawn(NOW)), (withdrawn(NOW), GIVEN)])
def test_a_later_withdrawal_wins_in_any_order_of_the_topic(order: tuple[Consent, ...]) -> None:
    assert not holds(book(*order))


@pytest.mark.parametrize("behind", [0, 1, DAY])
def test_a_withdrawal_on_a_clock_behind_that_of_the_grant_is_as_late_as_the_grant(behind: int) -> None:
    register = Register()
    register.hear(msgspec.json.encode(GIVEN), 0)
    given_at = NOW - DAY
    assert register.ends(GIVEN.about, given_at - behind) == given_at
    assert register.ends(GIVEN.about, NOW) == NOW
    assert register.ends(("ee" * 16, *GIVEN.about[1:]), given_at - behind) == given_at - behind
    assert not holds(book(GIVEN, withdrawn(register.ends(GIVEN.about, given_at - behind))))


def test_of_two_words_of_the_same_time_the_withdrawal_counts() -> None:
    assert not holds(book(GIVEN, withdrawn(NOW - DAY)))


def test_a_withdrawal_that_stands_later_wins_over_a_clock_that_is_ahead() -> None:
    """The one who recorded the grant and the one who withdraws it have a clock each."""
    assert not holds(book(GIVEN, withdrawn(NOW - DAY - 5000)))
    assert holds(book(GIVEN, withdrawn(NOW - DAY - 5000), GIVEN))


def test_a_grant_after_a_withdrawal_holds() -> None:
    assert holds(book(withdrawn(NOW - 2 * DAY), GIVEN))


@pytest.mark.parametrize(
    ("consent", "fault"),
    [
        (taken(by_role="police"), "was taken by the police"),
        (changed(taken(by_role="victim_support"), scope="status"), "neither advocate nor solicitor"),
        (taken(in_private=False), "was not taken in private"),
        (taken(wording=" "), "names no version of its wording"),
        (taken(interpreter="relative"), "not independent"),
        (taken(interpreter="unknown"), "not independent"),
        (taken(given_by="suspect"), "was not given by the person"),
        (taken(under_18=True), "under 18 without advocate and safeguarding lead"),
        (taken(under_18=True, advocate_present=False, safeguarding_lead=True), "under 18"),
        (changed(expires=rfc3339(NOW + 90 * DAY)), "at most 90 days"),
        (changed(expires=rfc3339(NOW - 2 * DAY)), "at most 90 days"),
        (changed(expires=None), "from when until when"),
        (changed(taken=None), "does not say how it was taken"),
        (changed(at="yesterday"), "from when until when"),
    ],
)
def test_a_grant_that_was_not_taken_as_it_must_be_is_absent(consent: Consent, fault: str) -> None:
    assert fault in "; ".join(faults(consent))
    register = Register()
    register.hear(msgspec.json.encode(consent), 0)
    assert not holds(Book(register.grants()))


def test_a_child_may_consent_with_advocate_and_safeguarding_lead() -> None:
    assert holds(book(taken(under_18=True, safeguarding_lead=True)))


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"v": 2}', msgspec.json.encode(GIVEN)[:-9]])
def test_what_is_no_consent_changes_nothing(value: bytes | None) -> None:
    register = Register()
    register.hear(msgspec.json.encode(GIVEN), 0)
    assert not register.hear(value, 1)
    assert holds(Book(register.grants()))


def test_grants_and_withdrawals_have_keys_of_their_own() -> None:
    """Compaction keeps the last of each; a late grant cannot push a withdrawal off the topic."""
    assert GIVEN.key != withdrawn(NOW).key
    assert changed(purpose="other").key != GIVEN.key


def test_the_published_schema_takes_what_is_sent() -> None:
    schema = json.loads((ROOT / "schemas" / "messages" / "consent.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    for consent in (GIVEN, withdrawn(NOW)):
        validator.validate(msgspec.to_builtins(consent))


def consent_step() -> Any:
    partners = [
        msgspec.structs.replace(partner, consent=ConsentRule.REQUIRED) if partner.id == "housing-gm" else partner
        for partner in rules().registry.partners
    ]
    held = rules()
    return make_step(Rules(Registry(partners), held.areas, held.policies, held.views, held.residual))


def test_a_consent_for_one_purpose_opens_no_other(tmp_path: Path) -> None:
    held, both = rules(), (Purpose.HOUSING, Purpose.VICTIM_SUPPORT)
    partners = [
        msgspec.structs.replace(partner, consent=ConsentRule.REQUIRED, purposes=both)
        if partner.id == "housing-gm"
        else partner
        for partner in held.registry.partners
    ]
    step = make_step(Rules(Registry(partners), held.areas, held.policies, held.views, held.residual))
    value = police_crime()

    def permitted(purpose: str) -> tuple[str, ...]:
        register = Register()
        register.hear(msgspec.json.encode(changed(purpose=purpose)), 0)
        (tmp_path / purpose).write_bytes(msgspec.msgpack.encode(register.grants()))
        batch = Batch(now=NOW, facts={"consents": str(tmp_path / purpose)})
        decisions = step(inbound(value, claims_for(value)), batch).decisions
        return next(d.policies for d in decisions if d.partner == "housing-gm")

    assert permitted("housing") == ("permit-housing",)
    assert "permit-housing" not in permitted("victim_support")


def reached(step: Any, facts: dict[str, str], **claims: Any) -> set[str]:
    value = police_crime()
    outcome = step(inbound(value, claims_for(value, **claims)), Batch(now=NOW, facts=facts))
    assert ("consent-offset", facts.get("consent_offset")) in outcome.versions or not facts
    return {message.topic for message in outcome.messages}


def test_the_router_sends_where_the_book_holds_a_grant_and_stops_with_the_next_batch(tmp_path: Path) -> None:
    step = consent_step()

    def facts(offset: int, *consents: Consent) -> dict[str, str]:
        register = Register()
        for number, consent in enumerate(consents):
            register.hear(msgspec.json.encode(consent), number)
        path = tmp_path / f"book-{offset}"
        path.write_bytes(msgspec.msgpack.encode(register.grants()))
        return {"consents": str(path), "consent_offset": str(offset)}

    topic = "partner.housing-gm"
    assert topic not in reached(step, {})
    assert topic not in reached(step, facts(0))
    assert topic in reached(step, facts(1, GIVEN))
    assert topic not in reached(step, facts(1, GIVEN), subjects=("ee" * 16,))
    assert topic not in reached(step, facts(1, GIVEN), subjects=(PERSON, ""))
    assert topic not in reached(step, facts(2, GIVEN, withdrawn(NOW - 1)))


FIELDS = changed(scope="f2", purpose="independent_advocacy", recipient="idva-service", case="k7f3a91c")


@pytest.mark.parametrize(
    ("consent", "says"),
    [
        (changed(FIELDS, scope="f9"), "has none of the scopes"),
        (changed(FIELDS, purpose="housing"), "gives fields for another purpose"),
        (changed(FIELDS, case=None), "without the code of a case"),
        (changed(FIELDS, taken=msgspec.structs.replace(TAKEN, by_role="victim_support")), "neither advocate"),
    ],
)
def test_a_grant_of_fields_that_does_not_count(consent: Consent, says: str) -> None:
    assert says in "; ".join(faults(consent))
    assert book(consent).fields(PERSON, now=NOW) == []


def test_a_grant_of_fields_holds_for_its_person_and_time_and_opens_no_record() -> None:
    held = book(FIELDS)
    assert [(grant.scope, grant.case) for grant in held.fields(PERSON, now=NOW)] == [("f2", "k7f3a91c")]
    assert held.fields("ee" * 16, now=NOW) == []
    assert held.fields(PERSON, now=NOW + DAY) == []
    assert not held.given([PERSON], "idva-service", "independent_advocacy", now=NOW)
    assert not book(GIVEN).asks_for_fields


def test_a_withdrawal_takes_the_fields_back() -> None:
    assert not book(FIELDS, changed(FIELDS, state="withdrawn", at=rfc3339(NOW), taken=None)).asks_for_fields
