"""What a service says of itself before it begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.kernel import telemetry
from services.kernel.errors import Exit
from services.kernel.kafka import service
from services.kernel.kafka.certificates import make
from services.kernel.settings import Settings


def ends(account: str) -> float | None:
    return REGISTRY.get_sample_value("safe_reporting_certificate_expires_timestamp_seconds", {"account": account})


def test_a_service_exports_when_the_certificate_ends_that_it_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    make(tmp_path, nodes={}, principals=["router", "desk"], now=now, days=50)
    monkeypatch.setattr(service, "explain", lambda _: None)
    monkeypatch.setattr(telemetry, "configure_logging", lambda: None)
    own = tmp_path / "clients" / "router"
    settings = Settings(
        kafka_username="router", kafka_certificate_file=own / "certificate.pem", kafka_key_file=own / "key.pem"
    )
    seen: list[float | None] = []

    def start(_: Settings) -> None:
        (own / "certificate.pem").unlink()  # renewed behind its back: it goes on with what it has
        seen.append(ends("router"))

    assert service.main(start, settings=lambda: settings) == Exit.DONE
    assert service.main(lambda _: None, settings=lambda: Settings(kafka_username="desk")) == Exit.DONE
    (until,) = seen
    assert until is not None
    assert abs(datetime.fromtimestamp(until, UTC) - (now + timedelta(days=50))) < timedelta(hours=1)
    assert ends("router") == until
    assert ends("desk") is None
