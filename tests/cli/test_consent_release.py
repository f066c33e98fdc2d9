"""What an advocate may be sent at the moment of the release, with the broker's topics as lists."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from services.cli import consent
from services.cli.sealed import Content, Desk
from services.kernel import policy_file
from services.kernel.disclosure import Disclosure, Field
from services.kernel.errors import RefusedError
from services.kernel.london import london_day
from services.kernel.paths import ROOT
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes
from services.kernel.settings import Settings
from services.kernel.vocabulary import Tag
from services.router.partners import load_partners
from tests.kernel.test_consent import FIELDS
from tests.router.helpers import NOW, PERSON
from tests.router.test_lease import APPROVERS, manifest

TODAY = london_day(NOW)
PAST = TODAY - timedelta(days=1)
ASKED = Disclosure(
    PERSON, "idva-service", "independent_advocacy", "f2", "k7f3a91c",
    (Field(Tag.IMMIGRATION_STATUS, "status", "overstayer"),),
)  # fmt: skip


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", folder)
    return folder


def change(policies: Path, id_: str, **fields: Any) -> None:
    """Change what the registry says of one partner; a dict changes what it names."""
    path = policies / "partners.yaml"
    held = yaml.load(path.read_text(), Loader=policy_file._Loader)  # noqa: S506 - a SafeLoader
    partner = next(one for one in held["partners"] if one["id"] == id_)
    for name, value in fields.items():
        partner[name] = partner[name] | value if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(held))


def allowed(policies: Path, monkeypatch: pytest.MonkeyPatch, *control: Any) -> Content:
    """Ask for the release while `control` holds these messages."""

    def message(topic: str, offset: int, value: Any) -> Inbound:
        return Inbound(topic, 0, offset, NOW, None, SensitiveBytes(msgspec.json.encode(value)))

    topics = {"consent": [FIELDS], "control": list(control)}

    def read_all(_: object, topic: str, *, name: str) -> list[Inbound]:
        assert name == "cli-duty"
        return [message(topic, offset, value) for offset, value in enumerate(topics[topic])]

    monkeypatch.setattr(consent, "read_all", read_all)
    monkeypatch.setattr(consent, "load_approvers", lambda _: APPROVERS)
    settings = Settings(policies_dir=policies, kafka_bootstrap="nowhere:1", kafka_security_protocol="PLAINTEXT")
    return consent._allowed(Desk(settings), ASKED, NOW)


def test_it_leaves_where_nothing_stands_against_the_recipient(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unsigned = msgspec.structs.replace(manifest(2, revoked=("idva-service",)), approvals=())
    content = allowed(policies, monkeypatch, {"kind": "gate"}, manifest(1), unsigned)
    assert content.topic == "sealed.advocate.k7f3a91c"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"agreement": {"until": PAST}}, "its agreement is not in force"),
        ({"attestation": {"until": PAST}}, "its attestation ran out"),
        ({"agreement": {"review": PAST}}, "the review of its agreement is overdue"),
        ({"immigration_access": {"answer": "yes"}}, "immigration staff reach its systems, or may"),
        ({"immigration_access": {"answer": "unknown"}}, "immigration staff reach its systems, or may"),
        ({"immigration_access": {"until": PAST}}, "the review of who reaches its systems ran out"),
    ],
)
def test_a_recipient_whose_topic_is_closed_gets_no_fields(
    policies: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], why: str
) -> None:
    change(policies, "idva-service", **fields)
    with pytest.raises(RefusedError, match=f"`idva-service` is closed: {why}"):
        allowed(policies, monkeypatch)


def test_an_answer_of_a_partner_on_the_same_system_counts(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systems = list(load_partners(policies / "partners.yaml").by_id["idva-service"].systems)
    change(policies, "housing-gm", systems=systems, immigration_access={"answer": "yes"})
    with pytest.raises(RefusedError, match="immigration staff reach its systems, or may"):
        allowed(policies, monkeypatch)


def test_a_recipient_that_a_signed_manifest_revokes_gets_no_fields(
    policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RefusedError, match="a signed manifest revokes it"):
        allowed(policies, monkeypatch, manifest(1), manifest(2, begins=NOW + 86_400_000, revoked=("idva-service",)))
