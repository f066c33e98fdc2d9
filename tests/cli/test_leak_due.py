"""What a withdrawn consent calls back: from partners that need one, and from nobody else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.cli import leak
from services.kernel.paths import ROOT
from services.kernel.settings import Settings
from services.ledger.store import Store
from tests.ledger.helpers import NOW, append, record, url
from tests.ledger.test_recall import SUBJECT, routed, withdrawal


@pytest.mark.parametrize(("rule", "due"), [("required", ["housing-gm"]), ("none", [])])
def test_a_withdrawal_calls_back_where_the_partner_needs_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, due: list[str]
) -> None:
    policies = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", policies)
    before, after = (policies / "partners.yaml").read_text().split("  - id: housing-gm\n")
    assert "consent: none" in after
    after = after.replace("consent: none", f"consent: {rule}", 1)
    (policies / "partners.yaml").write_text(f"{before}  - id: housing-gm\n{after}")
    monkeypatch.setattr(leak, "records_of", lambda *_: {SUBJECT: {record(1)}})
    settings = Settings(policies_dir=policies, kafka_bootstrap="nowhere:1", kafka_security_protocol="PLAINTEXT")
    with Store(url(tmp_path)) as store:
        sent = routed(1, {"housing-gm": "allow", "idva-service": "allow"}, at=NOW)
        append(store, [sent, withdrawal("record", recall_=True).value or b""])
        assert [one.partner for one in leak._due(settings, store)] == due
