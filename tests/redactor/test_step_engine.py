"""The step with the project's own text engine, over the samples of every feed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from services.kernel.mask import TOKEN
from services.kernel.schema.tags import Action
from services.kernel.schema.words import THREATS, RiskMark
from services.redactor.roles import attribute
from services.redactor.text import risk
from services.redactor.text.engine import Kind, TextEngine
from services.redactor.traverse import traverse
from tests.redactor.helpers import BATCH, NOW, crime, feeds, inbound, make_step, opened, redacted, samples, small_crime


@cache
def engine() -> TextEngine:
    return TextEngine.build()


@cache
def step() -> Any:
    return make_step(engine())


def leaves(value: Any, pattern: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{pattern}/{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{pattern}/*")
    else:
        yield pattern, value


def plan_of(name: str) -> Any:
    return feeds().get(samples()[name]["headers"]["ce_dataschema"])


#: All but those in which every person is unprotected: there the law lets more stand.
PROTECTED = [
    name for name, sample in sorted(samples().items()) if attribute(sample["value"], plan_of(name), NOW).protected
]


@pytest.mark.parametrize("name", PROTECTED)
def test_no_detected_span_survives_in_a_protected_record(name: str) -> None:
    outcome = step()(inbound(samples()[name]), BATCH)
    plan = plan_of(name)
    for pattern, item in leaves(redacted(outcome)):
        leaf = plan.leaves[pattern]
        if leaf.protected is Action.SCAN and item:
            assert engine().detect(item, Kind(leaf.kind.value)) == [], pattern


@pytest.mark.parametrize("name", PROTECTED)
def test_redacting_the_texts_of_a_record_again_changes_nothing(name: str) -> None:
    once = redacted(step()(inbound(samples()[name]), BATCH))

    def scan(text: str, kind: Any) -> Any:
        return engine().redact(text, Kind(kind.value))

    def same(_: Any, given: str) -> str:
        return given

    again = traverse(once, plan_of(name), protected=True, scan=scan, pseudonym=same)
    assert again.value == once
    assert not again.dropped


@pytest.mark.parametrize("name", sorted(samples()))
def test_masks_of_the_sealed_detail_stand_on_tokens(name: str) -> None:
    outcome = step()(inbound(samples()[name]), BATCH)
    value = redacted(outcome)
    for pointer, entity, _, start, end in opened(outcome).masks:
        text: Any = value
        for part in pointer.split("/")[1:]:
            text = text[int(part) if isinstance(text, list) else part]
        assert text[start:end] == TOKEN, (pointer, entity)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("IP is Polish and was hit in the face.", "IP is British and was hit in the face."),
        ("She was born in Lagos and lives with her sister.", "She was born in Leeds and lives with her sister."),
    ],
)
def test_twins_in_text_come_out_alike(one: str, other: str) -> None:
    made = []
    for text in (one, other):
        value = small_crime(persons=[{"id": "p1", "roles": ["VIC"], "nationality": text[:4]}])
        value["incident"]["narrative"] = text
        made.append(step()(crime(value), BATCH).messages[0].value)
    assert made[0] == made[1]


def test_every_lifted_code_has_a_place() -> None:
    assert THREATS | {RiskMark.COERCIVE_CONTROL.value, RiskMark.CONTROLLED.value} == risk.CODES


def test_a_threat_is_lifted_before_it_is_masked() -> None:
    value = small_crime()
    value["incident"]["narrative"] = "He said he would kill her and ring immigration if she told the police."
    assert {"kill_or_harm", "report_to_an_authority"} <= set(redacted(step()(crime(value), BATCH))["risk"]["threats"])


def test_another_script_is_held_and_the_rest_goes_on() -> None:
    value = small_crime(persons=[{"id": "p1", "roles": ["VIC"]}])
    value["incident"]["narrative"] = "Она говорит, что муж её бьёт"
    outcome = step()(crime(value), BATCH)
    assert redacted(outcome)["incident"]["narrative"] == TOKEN
    assert [message.topic for message in outcome.messages] == ["redacted", "quarantine"]
