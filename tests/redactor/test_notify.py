"""What the duty to notify demands of a record, and when it demands nothing."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from services.kernel.notification import Notification
from services.kernel.proposal import TOPIC as PROPOSALS
from services.kernel.proposal import Proposal
from services.kernel.record import Batch, Outcome
from tests.redactor.helpers import inbound, make_step, samples, unsealed

NOW = 1_795_000_000_000
SAMPLE = "nrm-03"


def run(change: Any = None) -> Outcome:
    sample = copy.deepcopy(samples()[SAMPLE])
    if change:
        change(sample["value"])
    return make_step()(inbound(sample), Batch(now=NOW))


def notification(outcome: Outcome) -> Notification | None:
    found = [message for message in outcome.messages if message.topic == PROPOSALS]
    return msgspec.msgpack.decode(unsealed(found[0]), type=Proposal).notification() if found else None


def test_an_adult_who_does_not_consent_is_notified_of_without_a_trace() -> None:
    assert notification(run()) == Notification(
        nationality="Brazilian",
        exploitation=tuple(sorted(samples()[SAMPLE]["value"]["referral"]["exploitationTypes"])),
        sex=samples()[SAMPLE]["value"]["potentialVictim"].get("gender"),
        age_band="18-24",
        region="North West",
        quarter="2026-Q3",
    )


def subject(change: Any) -> str:
    (found,) = [message for message in run(change).messages if message.topic == PROPOSALS]
    return msgspec.msgpack.decode(unsealed(found), type=Proposal).subject


def test_the_proposal_names_the_person_by_a_keyed_hash_and_none_without_an_id() -> None:
    one = subject(victim(id="PV-1"))
    again = subject(lambda value: (victim(id="PV-1")(value), referral(id="R-2")(value)))
    assert one == again != subject(victim(id="PV-2"))
    assert "PV-1" not in one
    assert subject(lambda value: value["potentialVictim"].pop("id", None)) == ""


def test_the_ordinary_redacted_record_goes_on_without_the_nationality() -> None:
    ordinary = next(message for message in run().messages if message.topic == "redacted")
    assert b"Brazilian" not in (ordinary.value or b"")


def referral(**fields: Any) -> Any:
    return lambda value: value["referral"].update(fields)


def victim(**fields: Any) -> Any:
    return lambda value: value["potentialVictim"].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        referral(form="referral"),
        referral(form=None),
        referral(adult=False),
        referral(adult=None),
        referral(madeAt=None),
        referral(madeAt="2026-13-01T00:00:00Z"),
        referral(madeAt="2026-00-01T00:00:00Z"),
        victim(age=17),
        victim(birthDate="2010-01-01"),
        victim(surname="Brazilian"),
        victim(alias="west"),
    ],
)
def test_nothing_is_proposed_where_there_is_no_duty_or_it_could_identify(change: Any) -> None:
    outcome = run(change)
    assert notification(outcome) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("BRAZILIAN ", "Brazilian"),
        ("brazilian", "Brazilian"),
        ("Maria Silva, 07700 900123", None),
        ("", None),
        (None, None),
    ],
)
def test_a_nationality_is_a_word_of_the_lexicon_or_not_told(value: Any, said: str | None) -> None:
    found = notification(run(victim(nationality=value)))
    assert found is not None
    assert found.nationality == said


def test_an_unknown_borough_is_no_region() -> None:
    found = notification(run(referral(area=None)))
    assert found is None or found.region is None
