from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cedarpy
import msgspec
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kernel import canary, ledger
from services.kernel.attestation import HEADER, digest, sign
from services.kernel.errors import ConfigError
from services.kernel.jsonio import canonical
from services.kernel.paths import ROOT
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.sealing import BLOCK
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import OutcomeKind, Reason
from services.router.policy import Facts, Policies
from services.router.step import HELD_WHOLE, load_rules
from services.router.view import View
from tests.router.helpers import (
    NOW,
    PERSON,
    RECORD,
    SIGNER,
    batch,
    claims_for,
    detail_of,
    inbound,
    make_step,
    police_crime,
    route,
    rules,
)

ALLOWED = [
    "victim-support-gm", "idva-service", "community-safety-gm", "housing-gm", "challenger-hub", "research-observatory",
]  # fmt: skip
#: Partners that receive other crime reports, or none.
REFUSED = [
    "childrens-social-care-gm", "adult-social-care-gm", "nhs-safeguarding-gm", "probation-gm", "custody-suite",
    "embedded-officer-desk", "immigration-enforcement",
]  # fmt: skip
LEAK = "IP is Polish and lives alone."


def test_a_record_goes_to_every_partner_that_policy_permits() -> None:
    outcome = route(police_crime())
    assert outcome.kind is OutcomeKind.FORWARDED
    assert [message.topic for message in outcome.messages] == [f"partner.{name}" for name in ALLOWED]
    assert {d.partner: d.effect for d in outcome.decisions} == dict.fromkeys(ALLOWED, "allow") | dict.fromkeys(
        REFUSED, "deny"
    )
    assert all(decision.policies and decision.basis for decision in outcome.decisions)
    assert outcome.decided_at == "2026-11-24T12:00:00.000Z"
    assert (outcome.agency, outcome.feed, outcome.area, outcome.record) == ("gmp", "police-crime", "E08000003", RECORD)
    assert {"areas", "policy", "registry", "residual", "views", "detector", "schema", "router"} == set(
        dict(outcome.versions)
    )


def test_every_message_fits_its_view() -> None:
    for message in route(police_crime()).messages:
        partner = rules().registry.by_id[message.topic.removeprefix("partner.")]
        view = rules().views.get(partner.view, "police-crime")
        assert view is not None
        assert view.valid(orjson.loads(message.value or b""))


def test_free_text_goes_only_where_the_agreement_names_the_need() -> None:
    text = "Two men forced the rear door"
    for message in route(police_crime(text)).messages:
        partner = rules().registry.by_id[message.topic.removeprefix("partner.")]
        assert (text.encode() in (message.value or b"")) is partner.text.needed


# -- what comes in ------------------------------------------------------------------------------------------


def test_a_tombstone_is_withheld() -> None:
    outcome = make_step()(msgspec.structs.replace(inbound(police_crime(), None), value=None), batch())
    assert (outcome.kind, outcome.reason) == (OutcomeKind.WITHHELD, Reason.TOMBSTONE)


def test_a_missing_attestation_is_quarantined() -> None:
    outcome = make_step()(inbound(police_crime(), None), batch())
    assert (outcome.kind, outcome.reason) == (OutcomeKind.QUARANTINED, Reason.ATTESTATION_MISSING)
    assert [message.topic for message in outcome.messages] == ["quarantine", "ops.safety"]


def forged() -> list[tuple[str, bytes]]:
    value = police_crime()
    claims = claims_for(value)
    other = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
    payload, signature, key_id = sign(claims, SIGNER, key_id="test").split(b".")
    looser = sign(claims_for(value, protected=False), other, key_id="test").split(b".")[0]
    return [
        ("another key", sign(claims, other, key_id="test")),
        ("an unknown key id", sign(claims, SIGNER, key_id="old")),
        ("other claims under the signature", b".".join((looser, signature, key_id))),
        ("claims of another record", sign(claims_for(police_crime("other")), SIGNER, key_id="test")),
        ("a cut signature", b".".join((payload, signature[:-2], key_id))),
        ("no signature", payload),
        ("no base64", b"!!.!!.test"),
        ("nothing", b""),
    ]


@pytest.mark.parametrize(("case", "header"), forged(), ids=[case for case, _ in forged()])
def test_a_forged_attestation_is_quarantined(case: str, header: bytes) -> None:
    outcome = make_step()(inbound(police_crime(), None, header=header), batch())
    assert outcome.kind is OutcomeKind.QUARANTINED
    assert outcome.reason in (Reason.ATTESTATION_INVALID, Reason.ATTESTATION_MISSING)
    assert police_crime()["incident"]["narrative"].encode() not in b"".join(m.value or b"" for m in outcome.messages)


def test_an_attestation_given_twice_is_none() -> None:
    record = inbound(police_crime(), claims_for(police_crime()))
    twice = msgspec.structs.replace(record, headers=(*record.headers, record.headers[0]))
    assert make_step()(twice, batch()).reason is Reason.ATTESTATION_MISSING


def test_a_changed_value_is_quarantined() -> None:
    record = inbound(police_crime(), claims_for(police_crime()))
    changed = msgspec.structs.replace(record, value=SensitiveBytes(canonical(police_crime(LEAK))))
    assert make_step()(changed, batch()).reason is Reason.ATTESTATION_INVALID


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"a":1,"a":2}', b"\xff", b"NaN"])
def test_signed_nonsense_is_quarantined(data: bytes) -> None:
    header = sign(claims_for(police_crime(), sha256=digest(data)), SIGNER, key_id="test")
    record = Inbound("redacted", 0, 0, NOW, None, SensitiveBytes(data), ((HEADER, SensitiveBytes(header)),))
    assert make_step()(record, batch()).kind is OutcomeKind.QUARANTINED


def test_the_hold_of_what_is_set_aside_names_the_agencys_record() -> None:
    value = police_crime()
    claims = claims_for(value)
    outcome = make_step().quarantine(inbound(value, claims), Reason.CRASHED)
    assert (outcome.agency, outcome.feed) == ("gmp", "police-crime")
    (hold,) = [message for message in outcome.messages if message.topic == "ops.safety"]
    said = orjson.loads(hold.value or b"")
    assert (said["agency"], said["feed"]) == ("gmp", "police-crime")
    assert (said["source"]["topic"], said["source"]["offset"]) == (claims.source[0], claims.source[2])
    unsigned = make_step().quarantine(inbound(value, None), Reason.CRASHED)
    assert (unsigned.agency, unsigned.feed) == (None, None)


def test_quarantine_gives_one_sealed_message() -> None:
    outcome = make_step().quarantine(inbound(police_crime(), None), Reason.CRASHED)
    assert (outcome.kind, outcome.reason, len(outcome.messages)) == (OutcomeKind.QUARANTINED, Reason.CRASHED, 2)


# -- what was planted ---------------------------------------------------------------------------------------

PLANTED = "marac-1795600000000-0000000a"


def broken() -> dict[Reason, Outcome]:
    """A canary of each reason that holds a record whole."""
    view = police_crime()
    view["incident"]["offenceType"] = "unheard-of"
    return {
        Reason.RESIDUAL: route(police_crime(LEAK), canary=PLANTED),
        Reason.VIEW_INVALID: route(view, canary=PLANTED),
        Reason.POLICY_ERROR: route(police_crime(), roles=("passer_by",), canary=PLANTED),
        Reason.DETECTOR_REFUSED: make_step()(
            inbound(police_crime(), claims_for(police_crime(), canary=PLANTED)),
            Batch(now=NOW, facts={"refused": "test"}),
        ),
    }


def test_a_canary_that_is_held_because_something_broke_has_not_arrived() -> None:
    found = broken()
    assert found.keys() == HELD_WHOLE
    assert {reason: (one.kind, one.reason) for reason, one in found.items()} == {
        reason: (OutcomeKind.WITHHELD, reason) for reason in HELD_WHOLE
    }
    assert all(one.canary and one.messages == () for one in found.values())


def test_a_canary_that_policy_withholds_has() -> None:
    outcome = route(police_crime(), area="unknown", canary=PLANTED)
    assert (outcome.kind, outcome.reason, outcome.canary) == (OutcomeKind.WITHHELD, Reason.FORBIDDEN, True)
    (receipt,) = outcome.messages
    assert (receipt.topic, receipt.value, dict(receipt.headers)[canary.HEADER]) == (
        canary.TOPIC, b"", PLANTED.encode()
    )  # fmt: skip


def test_a_canary_that_is_set_aside_asks_nobody_to_look_at_a_source() -> None:
    value = police_crime()
    planted = inbound(value, claims_for(value, canary=PLANTED))
    for reason in (Reason.CRASHED, Reason.TIMEOUT, Reason.OVERSIZE):
        outcome = make_step().quarantine(planted, reason)
        assert (outcome.kind, outcome.reason, outcome.canary) == (OutcomeKind.QUARANTINED, reason, True)
        assert [message.topic for message in outcome.messages] == ["quarantine"]
    header = sign(claims_for(value, sha256=digest(b"[]"), canary=PLANTED), SIGNER, key_id="test")
    record = msgspec.structs.replace(inbound(value, None, header=header), value=SensitiveBytes(b"[]"))
    outcome = make_step()(record, batch())
    assert (outcome.reason, outcome.canary, len(outcome.messages)) == (Reason.REDACTED_INVALID, True, 1)


def test_what_only_says_that_it_was_planted_is_held_as_any_other() -> None:
    value = police_crime()
    other = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
    forged = sign(claims_for(value, canary=PLANTED), other, key_id="test")
    unsigned = inbound(value, None)
    marked = (*unsigned.headers, (canary.HEADER, SensitiveBytes(PLANTED.encode())))
    for record in (inbound(value, None, header=forged), msgspec.structs.replace(unsigned, headers=marked)):
        for outcome in (make_step()(record, batch()), make_step().quarantine(record, Reason.CRASHED)):
            assert (outcome.kind, outcome.canary) == (OutcomeKind.QUARANTINED, False)
            assert [message.topic for message in outcome.messages] == ["quarantine", "ops.safety"]


# -- what is refused ------------------------------------------------------------------------------------------


def test_immigration_enforcement_never_receives_a_protected_person() -> None:
    outcome = route(police_crime())
    decision = next(d for d in outcome.decisions if d.partner == "immigration-enforcement")
    assert decision.effect == "deny"
    assert "forbid-immigration-enforcement" in decision.policies
    assert not any("immigration" in message.topic for message in outcome.messages)


def test_nor_an_unprotected_one_in_this_profile() -> None:
    outcome = route(police_crime(), protected=False, roles=("suspect",), persons={"/persons/0": ("suspect",)})
    assert not any("immigration" in message.topic for message in outcome.messages)


def test_a_residual_withholds_for_every_partner() -> None:
    outcome = route(police_crime(LEAK))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.WITHHELD, Reason.RESIDUAL)
    assert [message.topic for message in outcome.messages] == ["ops.safety"]
    assert {decision.effect for decision in outcome.decisions} == {"deny"}


def test_the_open_part_does_not_say_that_a_residual_was_found() -> None:
    open_part = msgspec.structs.replace(route(police_crime(LEAK)), detail=b"", reason=None)
    assert "residual" not in repr(msgspec.structs.replace(open_part, versions=()))


def open_entry(outcome: Outcome) -> dict[str, Any]:
    """The ledger entry of an outcome, but for its ciphertext and its salt."""
    made = ledger.entry(inbound(police_crime(), None), outcome, service="router", slot=0, previous=2, now=NOW)
    entry: dict[str, Any] = orjson.loads(made.value or b"")
    assert len(entry.pop("sealed")) > BLOCK
    del entry["salt"]
    return entry


def test_the_open_entry_of_a_residual_is_that_of_any_other_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view that fits nobody, an error of Cedar, no permit at all: the same bytes, and each names something."""
    residual = open_entry(route(police_crime(LEAK)))
    assert {name for decision in residual["decisions"] for name in decision["policies"]} == {
        "deny-by-default", "forbid-custody", "forbid-immigration-access", "forbid-immigration-enforcement",
    }  # fmt: skip
    assert all(decision["policies"] and decision["basis"] for decision in residual["decisions"])

    monkeypatch.setattr(View, "valid", lambda *_: False)
    unfit = route(police_crime())
    assert (unfit.reason, open_entry(unfit)) == (Reason.VIEW_INVALID, residual)
    monkeypatch.undo()

    real = Policies._ask
    error = cedarpy.AuthzResult({"decision": "Deny", "diagnostics": {"reason": [], "errors": ["an error"]}})

    def ask(policies: Policies, partner: str, view: str, facts: Facts) -> cedarpy.AuthzResult:
        answer = real(policies, partner, view, facts)
        return error if answer.decision is cedarpy.Decision.Allow else answer

    monkeypatch.setattr(Policies, "_ask", ask)
    fresh = make_step(load_rules(schemas_dir=ROOT / "schemas", policies_dir=ROOT / "policies"))
    failed = route(police_crime(), step=fresh)
    assert (failed.reason, open_entry(failed)) == (Reason.POLICY_ERROR, residual)


def test_what_a_refused_detector_wrote_is_held_whole_and_the_desk_is_told() -> None:
    step, value = make_step(), police_crime()

    def routed(refused: str) -> Outcome:
        return step(inbound(value, claims_for(value)), Batch(now=NOW, facts={"refused": refused}))

    held = routed("0123456789abcdef,test")
    assert (held.kind, held.reason) == (OutcomeKind.WITHHELD, Reason.DETECTOR_REFUSED)
    assert [message.topic for message in held.messages] == ["ops.safety"]
    assert ("detector", "test") in held.versions
    for other in ("", "0123456789abcdef", "tes"):
        assert routed(other).kind is OutcomeKind.FORWARDED


def test_what_was_found_is_sealed_and_without_words() -> None:
    outcome = route(police_crime(LEAK))
    detail = detail_of(outcome)
    assert detail.reason == "residual"
    assert detail.masks == (("/incident/narrative", "residual", "never:people", 6, 12),)
    assert "Polish" not in repr(outcome)


def test_text_in_no_view_holds_nothing_back() -> None:
    value = police_crime() | {"notInAnyView": LEAK}
    assert route(value).kind is OutcomeKind.FORWARDED


@pytest.mark.parametrize("local", ["afghan1", "polish_girl", "leilasyria", "london.asylumseeker1"])
def test_an_address_that_gives_away_is_dropped_and_not_its_record(local: str) -> None:
    def seen(email: str | None) -> list[Message]:
        value = police_crime()
        value["persons"][0] |= {"mobile": "07700 900123", "email": email}
        vouchers = (("/persons/0/email", 0, 6, "phrase"),) if email else ()
        return list(route(value, vouchers=vouchers).messages)

    assert b"07700900123" in (seen(None)[0].value or b"")
    assert b"jo@gmail.com" in (seen("jo@gmail.com")[0].value or b"")
    assert seen(f"{local}@gmail.com") == seen(None)


def test_vouchers_of_the_redactor_count_where_they_hold() -> None:
    text = "Seen on Poland Street at nine."
    voucher = ("/incident/narrative", 8, 14, "street_name")
    assert route(police_crime(text), vouchers=(voucher,)).kind is OutcomeKind.FORWARDED
    assert route(police_crime(text)).reason is Reason.RESIDUAL
    assert route(police_crime(text), vouchers=(("/incident/other", *voucher[1:]),)).reason is Reason.RESIDUAL
    assert route(police_crime(LEAK), vouchers=(voucher,)).reason is Reason.RESIDUAL


def test_vouchers_never_leave() -> None:
    text = "Seen on Poland Street at nine."
    outcome = route(police_crime(text), vouchers=(("/incident/narrative", 8, 14, "street_name"),))
    assert not any(b"street_name" in (message.value or b"") for message in outcome.messages)


def test_an_unknown_area_matches_no_permit() -> None:
    outcome = route(police_crime(), area="unknown")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.WITHHELD, Reason.FORBIDDEN)
    assert all("forbid-area" in decision.policies for decision in outcome.decisions)


@pytest.mark.parametrize("changes", [{"area": "unknown"}, {"agency": "another-agency"}])
def test_what_nobody_can_be_meant_to_get_is_a_hold(changes: dict[str, str]) -> None:
    """No borough, or no partner that subscribes: what it says of danger must not be silenced."""
    (hold,) = route(police_crime(), **changes).messages
    said = orjson.loads(hold.value or b"")
    assert (hold.topic, said["reason"], said["feed"]) == ("ops.safety", "policy", "police-crime")
    assert said["agency"] == changes.get("agency", "gmp")


def test_what_policy_keeps_from_every_subscriber_is_no_hold() -> None:
    outcome = route(police_crime(), at=datetime(2020, 1, 1, tzinfo=UTC))
    assert (outcome.kind, outcome.reason, outcome.messages) == (OutcomeKind.WITHHELD, Reason.FORBIDDEN, ())


@pytest.mark.parametrize(
    ("day", "policy"),
    [
        (datetime(2026, 9, 30, 12, tzinfo=UTC), "forbid-agreement-not-in-force"),
        (datetime(2029, 10, 1, 12, tzinfo=UTC), "forbid-agreement-not-in-force"),
        (datetime(2028, 10, 1, 12, tzinfo=UTC), "forbid-attestation-not-in-force"),
        (datetime(2028, 10, 1, 12, tzinfo=UTC), "forbid-review-not-in-force"),
    ],
)
def test_what_has_run_out_closes_every_topic(day: datetime, policy: str) -> None:
    outcome = route(police_crime(), at=day)
    assert (outcome.kind, outcome.messages) == (OutcomeKind.WITHHELD, ())
    assert all(policy in decision.policies for decision in outcome.decisions)


def test_the_clock_never_goes_back() -> None:
    step = make_step()
    assert route(police_crime(), step=step, at=datetime(2030, 1, 1, tzinfo=UTC)).kind is OutcomeKind.WITHHELD
    assert route(police_crime(), step=step, at=datetime(2026, 11, 24, tzinfo=UTC)).kind is OutcomeKind.WITHHELD


def test_nobody_subscribes() -> None:
    outcome = route(police_crime(), agency="somebody-else")
    assert (outcome.kind, outcome.reason, outcome.decisions) == (OutcomeKind.WITHHELD, Reason.NO_POLICY_PERMITS, ())


def test_a_feed_that_policy_does_not_know_is_refused_without_an_error_that_opens() -> None:
    assert route(police_crime(), feed="unheard-of").kind is OutcomeKind.WITHHELD


def test_a_role_that_the_schema_does_not_know_is_a_policy_error() -> None:
    outcome = route(police_crime(), roles=("passer_by",))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.WITHHELD, Reason.POLICY_ERROR)


@pytest.mark.parametrize(("level", "risk"), [("high", "high"), (None, "unknown"), ("Fooish", "unknown")])
def test_a_record_held_whole_carries_the_grade_that_its_agency_coded(level: str | None, risk: str) -> None:
    value = {**police_crime(), "referral": {"riskLevel": level}}
    outcome = route(value, roles=("passer_by",), agency="marac-office", feed="marac")
    assert outcome.reason is Reason.POLICY_ERROR
    (alert,) = outcome.messages
    assert orjson.loads(alert.value or b"")["risk"] == risk


def test_a_view_that_does_not_validate_is_refused_for_its_partner_alone() -> None:
    value = police_crime()
    value["incident"]["narrative"] = 7
    outcome = route(value)
    effects = {decision.partner: decision.effect for decision in outcome.decisions}
    assert effects["victim-support-gm"] == "deny"
    assert effects["housing-gm"] == "allow"
    value["incident"]["offenceType"] = "unheard-of"
    assert route(value).reason is Reason.VIEW_INVALID


def test_a_held_text_leaves_the_coded_rest() -> None:
    outcome = route(police_crime("[removed]"), held=True)
    assert outcome.kind is OutcomeKind.FORWARDED
    values = {message.topic: orjson.loads(message.value or b"") for message in outcome.messages}
    assert values["partner.victim-support-gm"]["narrative"] is None


# -- what leaves beside the value -----------------------------------------------------------------------------

HEADERS = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "content-type"}


def test_headers_are_written_anew() -> None:
    for message in route(police_crime()).messages:
        headers = dict(message.headers)
        assert set(headers) == HEADERS
        assert len(message.headers) == len(HEADERS)
        assert headers["ce_source"] == b"/safe-reporting"
        assert headers["ce_time"] == b"2026-11-24T12:00:00.000Z"
        everything = b" ".join((*headers.values(), message.key or b""))
        for word in (b"gmp", b"police-crime", b"agency", RECORD.encode(), PERSON.encode()):
            assert word not in everything


def strings(value: object) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(strings, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(strings, value)) if value else set()
    return {value} if isinstance(value, str) else set()


def ids(message_index: int) -> set[str]:
    message = route(police_crime()).messages[message_index]
    inside = {s for s in strings(orjson.loads(message.value or b"")) if len(s) == 32}
    return inside | {(message.key or b"").decode(), dict(message.headers)["ce_id"].decode()}


def test_no_two_partners_can_join_their_copies() -> None:
    held = [ids(index) for index in range(len(ALLOWED))]
    for index, own in enumerate(held):
        assert len(own) == (2 if ALLOWED[index] == "research-observatory" else 4)
        assert not own & {RECORD, PERSON, "0" * 32}
        for other in held[index + 1 :]:
            assert not own & other


def test_a_newer_version_has_the_same_key_and_another_event_id() -> None:
    step = make_step()
    old = route(police_crime(), step=step).messages[0]
    new = route(police_crime("later"), step=step, source=("agency.gmp.police-crime", 0, 8)).messages[0]
    again = route(police_crime(), step=step).messages[0]
    assert old.key == new.key
    assert dict(old.headers)["ce_id"] != dict(new.headers)["ce_id"]
    assert again == old


def test_twins_give_equal_views_but_for_ids() -> None:
    step = make_step()
    first = route(police_crime(), step=step).messages
    second = route(police_crime(), step=step, record="ef" * 16).messages
    for one, two in zip(first, second, strict=True):
        left, right = orjson.loads(one.value or b""), orjson.loads(two.value or b"")
        assert "recordRef" not in left or left.pop("recordRef") != right.pop("recordRef")
        assert left == right
        assert len(one.value or b"") == len(two.value or b"")


# -- start ----------------------------------------------------------------------------------------------------


def test_faults_of_every_part_are_listed_together(tmp_path: Path) -> None:
    (tmp_path / "policies" / "cedar").mkdir(parents=True)
    shutil.copytree(ROOT / "policies" / "profiles", tmp_path / "policies" / "profiles")
    (tmp_path / "schemas" / "partners").mkdir(parents=True)
    with pytest.raises(ConfigError) as caught:
        load_rules(schemas_dir=tmp_path / "schemas", policies_dir=tmp_path / "policies")
    faults = "\n".join(caught.value.faults)
    for part in ("partners.yaml", "schema.cedarschema", "no permit", "no views"):
        assert part in faults


def test_the_projects_own_rules_load() -> None:
    held = load_rules(schemas_dir=ROOT / "schemas", policies_dir=ROOT / "policies")
    assert held.versions == rules().versions
