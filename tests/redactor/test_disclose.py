"""What a person allowed their advocate: that person, that scope, coded fields, and nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from services.kernel.consent import Grant
from services.kernel.disclosure import Disclosure
from services.kernel.keys import pseudonym
from services.kernel.paths import ROOT
from services.kernel.proposal import TOPIC, Proposal
from services.kernel.record import Batch
from tests.redactor.helpers import NOW, inbound, make_step, samples, unsealed

SAMPLE = "police-crime-01"
VICTIM = pseudonym(b"p" * 32, "gmp", "PC-001P1")
DAY = 86_400_000


def grant(scope: str, subject: str = VICTIM, begins: int = NOW - DAY, ends: int = NOW + DAY) -> Grant:
    return Grant(subject, "idva-service", "independent_advocacy", scope, begins, ends, "k7f3a91c")


def sealed(tmp_path: Path, *grants: Grant, change: Any = None) -> list[Disclosure]:
    sample = copy.deepcopy(samples()[SAMPLE])
    if change:
        change(sample["value"])
    book = tmp_path / "book"
    book.write_bytes(msgspec.msgpack.encode(grants))
    outcome = make_step()(inbound(sample), Batch(now=NOW, facts={"consents": str(book)}))
    opened = [msgspec.msgpack.decode(unsealed(m), type=Proposal) for m in outcome.messages if m.topic == TOPIC]
    return [proposal.disclosure() for proposal in opened]


def test_each_scope_gives_its_fields_of_that_person(tmp_path: Path) -> None:
    (nationality, status) = sealed(tmp_path, grant("f1"), grant("f2"))
    assert {(field.tag, field.value) for field in nationality.fields} == {
        ("NATIONALITY", "Albanian"), ("COUNTRY_OF_ORIGIN", "Albania"), ("COUNTRY_OF_ORIGIN", "Shkoder"),
    }  # fmt: skip
    assert {field.tag for field in status.fields} == {"IMMIGRATION_STATUS"}
    assert "overstayer" in {field.value for field in status.fields}
    assert (status.subject, status.topic) == (VICTIM, "sealed.advocate.k7f3a91c")
    schema = json.loads((ROOT / "schemas" / "sealed" / "advocate.json").read_text())
    for one in (nationality, status):
        said = {"case": one.case, "scope": one.scope, "fields": msgspec.to_builtins(one.fields)}
        jsonschema_rs.validator_for(schema).validate(said)


@pytest.mark.parametrize(
    "held",
    [
        grant("f2", subject="ee" * 16),
        grant("f2", ends=NOW),
        grant("f2", begins=NOW + 1),
        grant("record"),
    ],
    ids=["another person", "over", "not begun", "a record"],
)
def test_nothing_is_sealed_without_a_grant_that_holds(tmp_path: Path, held: Grant) -> None:
    assert sealed(tmp_path, held) == []


def test_another_person_in_the_same_record_stays_out(tmp_path: Path) -> None:
    child = pseudonym(b"p" * 32, "gmp", "PC-001P3")
    made = sealed(tmp_path, grant("f1", subject=child))
    assert all("Shkoder" not in str(field.value) for one in made for field in one.fields)
    assert {one.subject for one in made} <= {child}


@pytest.mark.parametrize(
    "value", ["Albanian\nand she told me more", "x" * 65, "<b>", "", "Albanian; ring 07700 900123"]
)
def test_a_field_that_is_no_short_word_is_left_out(tmp_path: Path, value: str) -> None:
    def change(record: dict[str, Any]) -> None:
        record["persons"][0]["nationality"] = value

    assert all(field.value != value for one in sealed(tmp_path, grant("f1"), change=change) for field in one.fields)


def test_no_proposal_where_the_step_was_told_of_no_consents() -> None:
    outcome = make_step()(inbound(samples()[SAMPLE]), Batch(now=NOW))
    assert [message for message in outcome.messages if message.topic == TOPIC] == []
