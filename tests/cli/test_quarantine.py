"""`quarantine list` over a topic that is larger than the memory there is, without a broker."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest

from services.cli import quarantine
from services.kernel.record import Inbound
from services.kernel.sensitive import SensitiveBytes

MIB = 1024 * 1024
COUNT, LARGE = 12, 8 * MIB


def records() -> Iterator[Inbound]:
    """Twelve large ones and, at last, the tombstone of the first."""
    for number in range(COUNT):
        key, value = SensitiveBytes(b"%d" % number), SensitiveBytes(bytes(LARGE))
        headers = (("sr-reason", SensitiveBytes(b"format")),)
        yield Inbound("quarantine", 0, number, 1_795_000_000_000, key, value, headers)
    yield Inbound("quarantine", 0, COUNT, 1_795_000_000_000, SensitiveBytes(b"0"), None)


def test_the_list_holds_no_value_in_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(quarantine, "load_settings", lambda: type("_", (), {"kafka_config": staticmethod(dict)}))
    monkeypatch.setattr(quarantine, "read_all", lambda *_, **__: records())
    tracemalloc.start()
    try:
        quarantine.list_(as_json=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * LARGE
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["position"] for row in rows] == [f"0/{number}" for number in range(1, COUNT)]
    assert {row["bytes"] for row in rows} == {str(LARGE)}
    assert {row["reason"] for row in rows} == {"format"}
