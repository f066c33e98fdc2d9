from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest

from services.kernel.errors import ConfigError
from services.kernel.london import london_day
from services.kernel.paths import ROOT
from services.router.partners import Access, Registry, json_schema, load_partners

FILE = ROOT / "policies" / "partners.yaml"


@pytest.fixture
def registry() -> Registry:
    return load_partners(FILE)


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = FILE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "partners.yaml"
    path.write_text(text)
    return path


def faults_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_partners(path)
    return "\n".join(caught.value.faults)


def test_the_schema_file_is_what_the_loader_checks() -> None:
    assert orjson.loads((ROOT / "policies" / "partners.schema.json").read_bytes()) == json_schema()


def test_partners_and_their_topics(registry: Registry) -> None:
    assert [partner.id for partner in registry.partners] == [
        "victim-support-gm",
        "idva-service",
        "community-safety-gm",
        "housing-gm",
        "gla-labour",
        "challenger-hub",
        "childrens-social-care-gm",
        "adult-social-care-gm",
        "nhs-safeguarding-gm",
        "anti-slavery-responder",
        "reporting-centre-gm",
        "probation-gm",
        "research-observatory",
        "custody-suite",
        "embedded-officer-desk",
        "immigration-enforcement",
    ]
    assert registry.by_id["housing-gm"].topic == "partner.housing-gm"


def test_subscribers_need_agency_and_feed(registry: Registry) -> None:
    named = {partner.id for partner in registry.subscribers("first-responder", "nrm")}
    assert named == {"gla-labour", "challenger-hub", "anti-slavery-responder", "immigration-enforcement"}
    assert registry.subscribers("gmp", "no-such-feed") == ()
    assert registry.subscribers("nobody", "marac") == ()


@pytest.mark.parametrize(
    ("day", "in_force"),
    [
        (date(2026, 9, 30), False),
        (date(2026, 10, 1), True),
        (date(2029, 9, 30), True),
        (date(2029, 10, 1), False),
    ],
)
def test_an_agreement_holds_on_its_first_and_last_day(registry: Registry, day: date, in_force: bool) -> None:
    assert registry.standings(day)["housing-gm"].agreement is in_force


def test_attestation_and_review_run_out(registry: Registry) -> None:
    last, after = registry.standings(date(2028, 9, 30)), registry.standings(date(2028, 10, 1))
    assert last["housing-gm"].attestation
    assert last["housing-gm"].review
    assert not after["housing-gm"].attestation
    assert not after["housing-gm"].review


def test_a_shared_system_takes_the_worst_answer(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        ("systems: [casebook]", "systems: [casebook, enforcement-casework]"),
        ("systems: [advocate-desk]", "systems: [advocate-desk, casebook]"),
    )
    standings = load_partners(path).standings(date(2027, 1, 1))
    assert standings["victim-support-gm"].access is Access.YES
    assert standings["idva-service"].access is Access.NONE
    assert standings["housing-gm"].access is Access.NONE


def test_an_outdated_review_counts_for_all_that_share_the_system(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        ("systems: [advocate-desk]", "systems: [advocate-desk, casebook]"),
        (
            "      until: 2028-09-30\n    purposes: [victim_support]",
            "      until: 2026-12-31\n    purposes: [victim_support]",
        ),
    )
    standings = load_partners(path).standings(date(2027, 1, 1))
    assert not standings["victim-support-gm"].access_review
    assert not standings["idva-service"].access_review
    assert standings["housing-gm"].access_review
    assert standings["victim-support-gm"].review


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        (datetime(2026, 7, 1, 22, 59, tzinfo=UTC), date(2026, 7, 1)),
        (datetime(2026, 7, 1, 23, 0, tzinfo=UTC), date(2026, 7, 2)),
        (datetime(2026, 12, 1, 23, 59, tzinfo=UTC), date(2026, 12, 1)),
    ],
)
def test_days_are_those_of_london(utc: datetime, day: date) -> None:
    assert london_day(int(utc.timestamp() * 1000)) == day


def test_every_fault_is_listed(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        ("answer: none", "answer: perhaps"),
        ("purposes: [independent_advocacy]", "purposes: [resale]"),
        ("view: community-safety", "view: community-safety\n    colour: blue"),
        ("from: 2026-10-01", "from: 2026-02-30"),
        ("E08000001", "E08000011"),
        ("    consent: none\n", ""),
    )
    faults = faults_of(path)
    for part in ("perhaps", "resale", "colour", "2026-02-30", "E08000011", "consent"):
        assert part in faults


def test_faults_between_fields_and_partners(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        ("until: 2029-09-30", "until: 2026-09-30"),
        ("  - id: idva-service", "  - id: victim-support-gm"),
        ("principal: User:partner-housing-gm", "principal: User:partner-gla-labour"),
        ("agencies: [gmp, marac-office]", "agencies: [gmp, gmp]"),
        ("purposes: [immigration_enforcement]", "purposes: [immigration_enforcement, housing]"),
        ("    text:\n      needed: false", "    text:\n      needed: true"),
    )
    faults = faults_of(path)
    for part in (
        "`until` lies before `from`",
        "`id` is used by another partner",
        "`principal` is used by another partner",
        "`agencies`: an entry is named twice",
        "immigration_enforcement cannot stand beside another purpose",
        "`text`: give `why`",
    ):
        assert part in faults


@pytest.mark.parametrize(
    "text", ["", "a: [", "version: 1\nversion: 1\npartners: []\n", "version: 1\npartners: []\n", "- 1\n"]
)
def test_what_is_no_registry_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "partners.yaml"
    path.write_text(text)
    assert faults_of(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "partners.yaml")


def test_yes_is_the_word_and_not_a_boolean(registry: Registry) -> None:
    assert registry.by_id["immigration-enforcement"].immigration_access.answer is Access.YES


def test_the_digest_names_the_version(registry: Registry, tmp_path: Path) -> None:
    assert load_partners(changed(tmp_path, ("ref: ISA-2026-001", "ref: ISA-2026-901"))).digest != registry.digest
