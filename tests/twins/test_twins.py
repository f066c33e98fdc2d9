"""Twins: records that differ only in nationality, status, documents, language and entry look alike to partners.

One twin is born in Britain, the other undocumented. Both take the same place in the same topic, so that even
keyed ids must be equal: topics, partitions, number of messages, headers and bodies are compared byte for byte.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.kernel import keys
from services.kernel.kafka.topology import load_topology
from services.kernel.paths import ROOT
from services.kernel.record import Batch, Inbound, Message, Outcome
from services.kernel.samples import Sample, load_samples
from services.kernel.schema import Action, Leaf, Plan, load_feeds
from services.kernel.sensitive import SensitiveBytes
from services.kernel.settings import Settings
from services.kernel.vocabulary import OutcomeKind, Tag
from services.redactor.build import build_step as build_redactor
from services.router.build import build_step as build_router

NOW = 1_795_550_400_000

#: (said of the twin born in Britain, said of the undocumented twin)
SAID = [
    ("She is British.", "She is Eritrean."),
    ("IP is a British citizen.", "IP is an overstayer."),
    ("NAT: British. Calm on arrival.", "NAT: Eritrean. Calm on arrival."),
    ("She showed us her British passport, number 533401372.", "She showed us her BRP, number RZ1234567."),
    ("He was born in Bolton and rents a room.", "He was born in Asmara and rents a room."),
    ("The victim is an English female of slim build.", "The victim is a Somali female of slim build."),
    ("IP speaks English.", "IP speaks Tigrinya."),
    ("Partner is a UK national.", "Partner is a foreign national."),
]
SAMPLES = load_samples(ROOT / "samples")
FEEDS = load_feeds(ROOT / "schemas")

Steps = tuple[Callable[[Inbound, Batch], Outcome], Callable[[Inbound, Batch], Outcome]]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    folder: Path = tmp_path_factory.mktemp("keys")
    keys.init_dev(folder, load_topology().partners)
    settings = Settings(keys_dir=folder)
    return build_redactor(settings), build_router(settings)


def inbound(message: Message, offset: int = 7) -> Inbound:
    headers = tuple((name, SensitiveBytes(value)) for name, value in message.headers)
    key = None if message.key is None else SensitiveBytes(message.key)
    return Inbound(message.topic, 1, offset, NOW, key, SensitiveBytes(message.value or b""), headers)


def partners_see(message: Message, steps: Steps) -> list[Message]:
    """Everything that leaves for partners because of one agency record."""
    redactor, router = steps
    redacted = redactor(inbound(message), Batch(now=NOW))
    assert redacted.kind is OutcomeKind.REDACTED
    sent = next(m for m in redacted.messages if m.topic == "redacted")
    return [m for m in router(inbound(sent), Batch(now=NOW)).messages if m.topic.startswith("partner.")]


def plan_of(sample: Sample) -> Plan:
    plan = FEEDS.get(sample.headers["ce_dataschema"])
    assert plan is not None
    return plan


def places(value: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    """(container, key, pattern) of every leaf."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, child in pairs:
        pattern = f"{path}/{key if isinstance(value, dict) else '*'}"
        if isinstance(child, dict | list):
            yield from places(child, pattern)
        else:
            yield value, key, pattern


def protected_leaf(leaf: Leaf) -> bool:
    return leaf.protected is Action.DROP and leaf.tag is not Tag.ATTACHMENT


def twin(sample: Sample, said: str, *, british: bool) -> Message:
    """The sample with `said` as its text; the British twin has no protected field at all."""
    value, plan = copy.deepcopy(sample.value), plan_of(sample)
    for container, key, pattern in list(places(value)):
        leaf = plan.leaves.get(pattern)
        if leaf is None:
            continue
        if leaf.tag is Tag.FREE_TEXT:
            container[key] = f"Attended at 18:40, the door was damaged. {said} Children asleep upstairs."
        elif protected_leaf(leaf) and british and isinstance(container, dict):
            del container[key]
    return sample.message(value)


def is_protected(sample: Sample) -> bool:
    """All but the charged adults alone: there a nationality may stand, and no view names it."""
    return "unprotected" not in sample.about or "protected all the same" in sample.about


def test_nearly_all_samples_take_part() -> None:
    assert sum(not is_protected(sample) for sample in SAMPLES) <= 2
    assert len(SAMPLES) * 4 >= 200


@pytest.mark.parametrize("sample", [s for s in SAMPLES if is_protected(s)], ids=lambda s: s.name)
def test_partners_cannot_tell_twins_apart(sample: Sample, steps: Steps) -> None:
    first = SAMPLES.index(sample)
    seen = 0
    for said in (SAID[(first + n) % len(SAID)] for n in range(4)):
        british = partners_see(twin(sample, said[0], british=True), steps)
        other = partners_see(twin(sample, said[1], british=False), steps)
        assert british == other
        seen += len(british)
    assert seen > 0 or sample.value.get("report", {}).get("anonymous")


#: (field, what the twin born in Britain wrote there, what the other did): partners see neither.
WRITTEN = [
    ("email", "british.lad1@gmail.com", "afghan1@gmail.com"),
    ("email", "english_girl@gmail.com", "polish_girl@gmail.com"),
    ("email", "leilabritish@gmail.com", "leilasyria@gmail.com"),
    ("email", "london.brit1@gmail.com", "london.asylumseeker1@gmail.com"),
    ("surname", "Ali GBR", "Ali PAK"),
    ("surname", "Ali GB", "Ali PK"),
    ("surname", "Ali - England", "Ali - Syria"),
    ("givenNames", "Amina (UK)", "Amina (SO)"),
]


@pytest.mark.parametrize(("field", "british", "other"), WRITTEN)
def test_what_a_field_of_a_person_gives_away_looks_absent(steps: Steps, field: str, british: str, other: str) -> None:
    sample = next(sample for sample in SAMPLES if sample.topic.endswith(".police-crime") and is_protected(sample))

    def seen(text: str | None) -> list[Message]:
        value = copy.deepcopy(sample.value)
        value["persons"][0][field] = text
        return partners_see(sample.message(value), steps)

    absent = seen(None)
    assert any(message.topic == "partner.victim-support-gm" for message in absent)
    assert seen(british) == seen(other) == absent


@pytest.mark.parametrize("others", [[], ["Ann"], ["Ann", "Jo", "Mo"]])
def test_a_masked_given_name_looks_absent_whatever_stands_beside_it(steps: Steps, others: list[str]) -> None:
    sample = next(sample for sample in SAMPLES if sample.topic.endswith(".online-report") and is_protected(sample))

    def seen(names: list[str] | None) -> list[Message]:
        value = copy.deepcopy(sample.value)
        person = next(item for item in value["included"] if item["type"] == "person")
        person["attributes"]["givenName"] = names or []
        return partners_see(sample.message(value), steps)

    assert any(message.topic == "partner.victim-support-gm" for message in seen(["Ann"]))
    assert seen(["Ann"]) != seen(None)
    for place in range(len(others) + 1):
        british = [*others[:place], "Amina (GB)", *others[place:]]
        other = [*others[:place], "Amina (SO)", *others[place:]]
        assert seen(british) == seen(other) == seen(None)
