"""G2 and G3 hold, and a fault in either is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kernel import notification
from services.kernel.duties import load_duties
from services.kernel.kafka.topology import load_topology
from services.kernel.notification import Notification
from services.kernel.paths import ROOT
from services.router import prove_sealed
from services.router.partners import load_partners
from services.router.prove_sealed import prove_cells, prove_reach

REGISTRY = load_partners(ROOT / "policies" / "partners.yaml")
DUTIES = load_duties(ROOT / "policies" / "duties.yaml").values()


def test_sealed_topics_are_out_of_reach() -> None:
    done = prove_reach(load_topology(), REGISTRY, DUTIES)
    assert done.faults == ()
    assert done.combinations > 100


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('write: ["partner.*", quarantine', 'write: ["partner.*", sealed.msa-s52, quarantine', "`router` may write"),
        ('read: ["partner.{partner}"]', 'read: ["partner.{partner}", sealed.msa-s52]', "`partner-housing-gm` may read"),
        (
            "    read: [quarantine, unlocked]\n",
            "    read: [quarantine, duty.proposal]\n",
            "`compliance` may read",
        ),
        ('    read: ["agency.*", consent]\n', '    read: ["agency.*", duty.proposal]\n', "`redactor` may read"),
        ('    read: ["sealed.advocate.{case}"]\n', '    read: ["sealed.*"]\n', "`advocate-k7f3a91c` may read"),
        (
            '    read: ["partner.{partner}"]',
            '    read: ["partner.{partner}", "sealed.advocate.*"]',
            "`partner-idva-service` may read",
        ),
    ],
)
def test_a_permission_too_many_is_found(tmp_path: Path, old: str, new: str, fault: str) -> None:
    text = (ROOT / "deploy" / "topology.yaml").read_text()
    assert old in text
    (tmp_path / "topology.yaml").write_text(text.replace(old, new, 1))
    done = prove_reach(load_topology(tmp_path / "topology.yaml"), REGISTRY, DUTIES)
    assert any(fault in one for one in done.faults)


def test_nobody_stands_out_in_a_quarter() -> None:
    done = prove_cells()
    assert done.faults == ()
    assert done.combinations == 5 * 3**5


@pytest.mark.parametrize("dropped", [(), ("age_band",), ("nationality",)])
def test_fields_that_are_not_dropped_are_found(monkeypatch: pytest.MonkeyPatch, dropped: tuple[str, ...]) -> None:
    monkeypatch.setattr(notification, "_DROPPED", dropped)
    assert prove_cells().faults


def test_a_lower_number_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = prove_sealed.coarsened

    def careless(wanted: Notification, period: list[Notification]) -> Notification:
        return wanted if len(period) > 4 else real(wanted, period)

    monkeypatch.setattr(prove_sealed, "coarsened", careless)
    assert prove_cells().faults
