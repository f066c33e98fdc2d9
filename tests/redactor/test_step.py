"""The step on good records: what goes on, what is signed, what is sealed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.kernel import quarantine
from services.kernel.attestation import AttestationError, verify
from services.kernel.record import Batch
from services.kernel.sensitive import SensitiveBytes
from services.kernel.vocabulary import OutcomeKind
from tests.redactor.helpers import (
    BATCH,
    IDENTITY,
    NOW,
    PUBLIC_KEYS,
    FakeEngine,
    crime,
    feeds,
    inbound,
    make_step,
    opened,
    redacted,
    samples,
    small_crime,
    unsealed,
)

STEP = make_step()
ALLOWED = {
    "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "content-type",
    "sr-received", "sr-detector", "sr-policy", "sr-attestation",
}  # fmt: skip
DROPPED_FIELDS = (
    "nationality", "secondNationality", "countryOfBirth", "immigration", "firstLanguage", "interpreterRequired",
    "pncId", "croNumber", "pncMarkers", "ethnicitySelfDefined", "religion", "tasks", "attachments", "employer",
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(samples()))
def test_every_sample_is_redacted_signed_and_accounted_for(name: str) -> None:
    sample = samples()[name]
    outcome = STEP(inbound(sample, offset=7), BATCH)
    value = redacted(outcome)
    message = outcome.messages[0]
    headers = dict(message.headers)
    assert message.topic == "redacted"
    assert message.key == (outcome.record or "").encode()
    assert headers.keys() == ALLOWED
    assert message.value is not None
    claims = verify(headers["sr-attestation"], message.value, PUBLIC_KEYS)
    assert claims.source == (sample["topic"], 0, 7)
    assert (claims.area, claims.record, claims.roles) == (outcome.area, outcome.record, outcome.roles)
    plan = feeds().get(sample["headers"]["ce_dataschema"])
    assert plan is not None
    assert plan.validate_redacted(value)
    assert (outcome.plan, headers["sr-policy"]) == (plan.digest, plan.digest.encode())
    detail = opened(outcome)
    assert detail.leaves_in == detail.leaves_out + sum(detail.dropped.values())
    for pointer in claims.persons:
        assert isinstance(at(value, pointer), dict)


def at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = value[int(step) if isinstance(value, list) else step]
    return value


def person(**changes: Any) -> dict[str, Any]:
    return {"id": "p1", "roles": ["VIC"], "nationality": "Fooish", **changes}


def test_protected_fields_go_and_kept_leaves_are_equal() -> None:
    sample = samples()["police-crime-01"]
    value = redacted(STEP(inbound(sample), BATCH))
    text = json.dumps(value)
    for field in DROPPED_FIELDS:
        assert f'"{field}"' not in text
    for pointer in ("/incident/area", "/incident/markers", "/record/version", "/record/createdAt", "/persons/0/roles"):
        assert at(value, pointer) == at(sample["value"], pointer)


def test_the_unprotected_suspect_keeps_the_nationality_that_a_victim_loses() -> None:
    suspect = person(roles=["SUS"], charged=True, age=30, immigration={"status": "x"}, firstLanguage="x")
    assert redacted(STEP(crime(small_crime(persons=[suspect])), BATCH))["persons"][0]["nationality"] == "Fooish"
    both = small_crime(persons=[suspect, person(id="p2")])
    kept = redacted(STEP(crime(both), BATCH))["persons"]
    assert all("nationality" not in one for one in kept)
    alone = redacted(STEP(crime(small_crime(persons=[suspect])), BATCH))["persons"][0]
    assert alone["immigration"] == {}
    assert "firstLanguage" not in alone


def test_text_is_open_only_where_everybody_is_unprotected() -> None:
    for protected, roles in ((True, ["VIC"]), (False, ["SUS"])):
        value = small_crime(persons=[person(roles=roles, charged=True, age=30)])
        value["incident"]["narrative"] = "A Fooish man"
        expected = "A [removed] man" if protected else "A Fooish man"
        assert redacted(STEP(crime(value), BATCH))["incident"]["narrative"] == expected


def test_an_unprotected_nationality_of_a_wrong_type_is_dropped() -> None:
    suspect = person(roles=["SUS"], charged=True, age=30, nationality={"code": "FOO"})
    outcome = STEP(crime(small_crime(persons=[suspect])), BATCH)
    assert "nationality" not in redacted(outcome)["persons"][0]
    assert opened(outcome).dropped == {"misfit": 1}


@pytest.mark.parametrize("odd", ["IC0", "ic1", 7])
def test_an_unprotected_code_outside_its_list_is_dropped_and_the_record_goes_on(odd: object) -> None:
    suspect = person(roles=["SUS"], charged=True, age=30, ethnicityOfficer=odd)
    outcome = STEP(crime(small_crime(persons=[suspect])), BATCH)
    assert "ethnicityOfficer" not in redacted(outcome)["persons"][0]
    assert opened(outcome).dropped == {"misfit": 1}
    known = person(roles=["SUS"], charged=True, age=30, ethnicityOfficer="IC1")
    assert redacted(STEP(crime(small_crime(persons=[known])), BATCH))["persons"][0]["ethnicityOfficer"] == "IC1"


def test_unknown_fields_are_dropped_and_only_sealed_detail_names_them() -> None:
    key = "Jan Przykładowy, Fooish"
    outcome = STEP(crime(small_crime(**{key: {"a": [1, 2]}})), BATCH)
    assert redacted(outcome).keys() == {"record", "incident"}
    detail = opened(outcome)
    assert detail.drift == (f"/{key}",)
    assert detail.dropped == {"drift": 2}
    assert "Fooish" not in repr(outcome)


def test_a_personal_key_and_unknown_headers_do_not_go_on() -> None:
    secret = b"fooish-jan"
    sample = inbound(samples()["police-crime-02"])
    record = crime(
        small_crime(), key=SensitiveBytes(secret), headers=(*sample.headers, ("x-status", SensitiveBytes(secret)))
    )
    outcome = STEP(record, BATCH)
    assert outcome.kind is OutcomeKind.REDACTED
    assert secret not in repr(outcome.messages).encode()


def test_pseudonyms_keep_joins_inside_an_agency_and_hide_ids() -> None:
    value = small_crime(persons=[person()], statements=[{"personId": "p1"}])
    one = redacted(STEP(crime(value, offset=1), BATCH))
    two = redacted(STEP(crime(value, offset=2), BATCH))
    assert one == two
    assert one["persons"][0]["id"] == one["statements"][0]["personId"]
    assert "p1" not in json.dumps(one)
    assert one["record"]["id"] != one["persons"][0]["id"]


def test_the_message_key_is_the_record_not_the_position() -> None:
    first, second = (STEP(crime(small_crime(), offset=offset), BATCH).messages[0] for offset in (1, 2))
    assert first.key == second.key
    assert dict(first.headers)["ce_id"] != dict(second.headers)["ce_id"]
    other = small_crime()
    other["record"]["id"] = "CR-2"
    assert STEP(crime(other), BATCH).messages[0].key != first.key


def test_unreadable_text_is_set_aside_and_the_rest_goes_on() -> None:
    value = small_crime(enquiryLog=[["plain", "zzz one"]])
    value["incident"]["narrative"] = "zzz two"
    outcome = STEP(crime(value), BATCH)
    made = redacted(outcome)
    assert made["incident"] == {"area": "E08000003", "narrative": "[removed]"}
    assert made["enquiryLog"] == [["plain", "[removed]"]]
    aside = outcome.messages[1]
    assert (aside.topic, dict(aside.headers)["sr-reason"]) == ("quarantine", b"content")
    content = quarantine.read(unsealed(aside))
    assert content.texts == {"/incident/narrative": "zzz two", "/enquiryLog/0/1": "zzz one"}
    assert (content.value, content.key, content.headers) == (None, None, ())
    assert outcome.reason is None
    assert opened(outcome).reason == "text_held"
    assert verify(
        dict(outcome.messages[0].headers)["sr-attestation"], outcome.messages[0].value or b"", PUBLIC_KEYS
    ).held


def test_risk_is_lifted_beside_what_the_agency_coded() -> None:
    value = small_crime(risk={"threats": ["money"], "coercive_control": False})
    value["incident"]["narrative"] = "he will kill her and spy on her"
    made = redacted(STEP(crime(value), BATCH))
    assert made["risk"] == {"threats": ["kill_or_harm", "money"], "coercive_control": True}
    value = small_crime()
    value["incident"]["narrative"] = "he will kill her"
    assert redacted(STEP(crime(value), BATCH))["risk"] == {"threats": ["kill_or_harm"]}


def test_detail_is_always_sealed_and_its_size_tells_nothing() -> None:
    plain = STEP(crime(small_crime()), BATCH)
    masked = small_crime(enquiryLog=[["a Fooish man"] * 60])
    full = STEP(crime(masked), BATCH)
    assert len(opened(full).masks) == 60
    assert opened(full).masks[0] == ("/enquiryLog/0/0", "NATIONALITY", "fake", 2, 11)
    # age adds a stanza of random length; what it encrypts is one block in both.
    assert abs(len(plain.detail) - len(full.detail)) < 400
    assert all(b"Fooish" not in outcome.detail for outcome in (plain, full))


def test_what_is_open_is_the_same_for_a_filled_and_an_empty_field() -> None:
    bare, filled = small_crime(persons=[person(nationality=None)]), small_crime(persons=[person()])
    one, two = (STEP(crime(value), BATCH) for value in (bare, filled))
    assert one.messages[0].value == two.messages[0].value
    assert (one.kind, one.reason, one.plan, one.roles, one.versions) == (
        two.kind, two.reason, two.plan, two.roles, two.versions,
    )  # fmt: skip


def test_a_signature_does_not_fit_another_value() -> None:
    outcome = STEP(crime(small_crime()), BATCH)
    with pytest.raises(AttestationError):
        verify(dict(outcome.messages[0].headers)["sr-attestation"], b"{}", PUBLIC_KEYS)


def test_an_engine_that_breaks_the_shape_is_caught_by_the_closed_schema() -> None:
    class Broken(FakeEngine):
        def redact(self, text: str, kind: Any, protected: bool) -> Any:
            made = super().redact(text, kind, protected)
            return type(made)(text=["not", "text"])  # type: ignore[arg-type]

    value = small_crime()
    value["incident"]["narrative"] = "x"
    outcome = make_step(Broken())(crime(value), BATCH)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.QUARANTINED, "redacted_invalid")


def test_the_step_never_shows_its_keys() -> None:
    assert str(IDENTITY) not in repr(vars(STEP))
    assert repr(b"p" * 32) not in repr(vars(STEP))


def test_a_tally_is_told_of_many_records_at_once() -> None:
    step, sample = make_step(), samples()["police-crime-01"]
    outcomes = [step(inbound(sample, offset=n), Batch(now=NOW + n * 2000)) for n in range(60)]
    told = [(n, m) for n, outcome in enumerate(outcomes) for m in outcome.messages if m.topic == "ops.tally"]
    ((number, message),) = told
    assert number == 49
    assert message.partition == 0
    tally = json.loads(message.value or b"")
    assert (tally["agency"], tally["feed"], tally["records"]) == ("gmp", "police-crime", 50)
    assert sorted(tally) == sorted(["v", "id", "time", "agency", "feed", "records", "masked", "unknown_fields"])
