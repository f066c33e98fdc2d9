"""Scenarios: given a record, when something holds, then who receives it and who is refused, and by which policy.

YAML files under `policies/scenarios/`, read by people who do not read code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from services.kernel import policy_file
from services.kernel.approval import milliseconds
from services.kernel.consent import RECORD_SCOPE, Book, Consent, Register, Taken
from services.kernel.errors import ConfigError
from services.kernel.ledger import rfc3339
from services.kernel.policy_file import Strict
from services.router.answer import Answer
from services.router.situation import Situation, World

SCHEMA_ID = "urn:safe-reporting:scenarios:1.0"
_PERSON, _ANOTHER = "a" * 32, "b" * 32


class Said(Strict, frozen=True):
    """One word of consent as it was recorded. Without more it was given by the person of the record, as it must be."""

    recipient: str
    state: Literal["given", "withdrawn"] = "given"
    at: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}Z$")] = "2026-11-20T09:00Z"
    days: int = 30
    purpose: str | None = None
    person: Literal["the person", "another person"] = "the person"
    taken_by: Literal["advocate", "solicitor", "victim_support", "police", "other"] = "advocate"
    in_private: bool = True
    wording: str = "v3"
    interpreter: Literal["not_needed", "independent", "relative", "suspect", "unknown"] = "not_needed"
    given_by: Literal["subject", "relative", "suspect", "other"] = "subject"
    under_18: bool = False
    advocate_present: bool = False
    safeguarding_lead: bool = False


class When(Strict, frozen=True):
    """What holds at the time: the day, changes to partners and boroughs, and for whom consent is recorded.

    `consent` names partners that the person has consented to; `consents` tells each word of it, in the order of its
    recording.
    """

    day: date | None = None
    partners: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    areas: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    consent: tuple[str, ...] = ()
    consents: tuple[Said, ...] = ()


class Then(Strict, frozen=True):
    """What must come of it. The policies named are exactly those that decide."""

    receives: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    refused: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    no_output_to: tuple[str, ...] = ()
    nobody_else_receives: bool = False


class Scenario(Strict, frozen=True):
    """One scenario of a file."""

    name: Annotated[str, Meta(min_length=10, max_length=160)]
    given: Situation
    then: Then
    when: When = When()


class ScenarioFile(Strict, frozen=True):
    """One file: what its scenarios are about."""

    version: Annotated[int, Meta(ge=1, le=1)]
    about: Annotated[str, Meta(min_length=1)]
    scenarios: Annotated[tuple[Scenario, ...], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Result:
    """What one scenario found: its faults, and the policies that it saw decide as it said."""

    file: str
    scenario: Scenario
    faults: tuple[str, ...]
    decided: frozenset[str]


def json_schema() -> dict[str, Any]:
    """JSON Schema of a scenario file, as it stands in `policies/scenarios.schema.json`."""
    return policy_file.json_schema(ScenarioFile, identifier=SCHEMA_ID, title="Policy scenarios of safe-reporting")


def load_scenarios(folder: Path) -> dict[str, tuple[Scenario, ...]]:
    """Read every `*.yaml` of `folder`, by file name.

    Raises:
        ConfigError: listing every fault of every file; no file; a name used twice.
    """
    faults: list[str] = []
    found: dict[str, tuple[Scenario, ...]] = {}
    names: set[str] = set()
    for path in sorted(folder.glob("*.yaml")):
        try:
            read = policy_file.read(path, ScenarioFile, schema=json_schema(), what="scenarios").scenarios
        except ConfigError as error:
            faults += [f"`{path.name}`: {fault}" for fault in error.faults]
            continue
        faults += [f"`{path.name}`: `{one.name}` is told twice" for one in read if one.name in names]
        names |= {one.name for one in read}
        found[path.name] = read
    if not found and not faults:
        faults.append(f"no scenario file in `{folder}`")
    if faults:
        raise ConfigError("scenarios", faults)
    return found


def run(world: World, files: Mapping[str, tuple[Scenario, ...]]) -> Iterator[Result]:
    """Decide every scenario in its own changed world; `world` stays as it is."""
    for file, scenarios in files.items():
        for scenario in scenarios:
            yield _run(world, file, scenario)


def _run(world: World, file: str, scenario: Scenario) -> Result:
    when, then = scenario.when, scenario.then
    try:
        held = world.changed(partners=when.partners, areas=when.areas, day=when.day)
    except (KeyError, msgspec.ValidationError) as error:
        return Result(file, scenario, (f"`when` does not fit: {error}",), frozenset())
    if faults := scenario.given.faults(held.areas):
        return Result(file, scenario, tuple(faults), frozenset())
    consents = frozenset(when.consent) | _consented(held, when.consents)
    answers = held.answers(scenario.given, consents=consents)
    faults = []
    decided: set[str] = set()
    for wanted, allowed in ((then.receives, True), (then.refused, False)):
        for partner, policies in wanted.items():
            fault = _compare(answers.get(partner), partner, allowed, policies)
            faults += [fault] if fault else []
            decided |= set() if fault else set(policies)
    received = {name for name, answer in answers.items() if answer.ruling.allowed}
    faults += [f"`{name}` receives it" for name in then.no_output_to if name in received]
    if then.nobody_else_receives:
        faults += [f"`{name}` receives it too" for name in sorted(received - set(then.receives))]
    return Result(file, scenario, tuple(faults), frozenset(decided))


def _consented(world: World, said: tuple[Said, ...]) -> frozenset[str]:
    """Partners for one of whose purposes the person of the record has consented, at noon of the day."""
    noon = int(datetime.combine(world.day, time(12), UTC).timestamp() * 1000)
    register = Register()
    for number, one in enumerate(said):
        register.hear(msgspec.json.encode(_recorded(world, one)), number)
    book = Book(register.grants())
    return frozenset(
        partner.id
        for partner in world.registry.partners
        for purpose in partner.purposes
        if book.given([_PERSON], partner.id, purpose, now=noon)
    )


def _recorded(world: World, said: Said) -> Consent:
    """The message of the consent topic; without a purpose, that of the recipient."""
    begins = milliseconds(said.at) or 0
    taken = Taken(
        by_role=said.taken_by, in_private=said.in_private, wording=said.wording, interpreter=said.interpreter,
        given_by=said.given_by, under_18=said.under_18, advocate_present=said.advocate_present,
        safeguarding_lead=said.safeguarding_lead,
    )  # fmt: skip
    partner = world.registry.by_id.get(said.recipient)
    given = said.state == "given"
    return Consent(
        v=1, subject=_PERSON if said.person == "the person" else _ANOTHER, recipient=said.recipient,
        purpose=said.purpose or (partner.purposes[0] if partner else "none"), scope=RECORD_SCOPE, state=said.state,
        at=rfc3339(begins), by="scenario", expires=rfc3339(begins + said.days * 86_400_000) if given else None,
        taken=taken if given else None,
    )  # fmt: skip


def _compare(answer: Answer | None, partner: str, allowed: bool, policies: tuple[str, ...]) -> str | None:
    if answer is None:
        return f"`{partner}` has no agreement for this agency and feed, so nothing is decided for it"
    if answer.ruling.allowed != allowed:
        did = "receives it" if answer.ruling.allowed else "is refused"
        return f"`{partner}` {did}, by {', '.join(answer.named)}"
    if tuple(sorted(policies)) != answer.named:
        return f"`{partner}`: decided by {', '.join(answer.named)}, not by {', '.join(policies)}"
    return None
