"""Closing the gate: which workers are fenced, and between which messages."""

from __future__ import annotations

import pytest

from services.kernel.kafka import closing


@pytest.mark.parametrize("highest", [0, 3])
def test_the_highest_slot_is_fenced_too(monkeypatch: pytest.MonkeyPatch, highest: int) -> None:
    done: list[str] = []
    monkeypatch.setattr(closing, "fence", lambda _, ids: done.extend(ids))
    monkeypatch.setattr(closing, "send", lambda _, messages: done.extend(message.topic for message, _ in messages))
    closing.close_gate({}, by="A1", why="drill", reference=None, slots=highest)
    assert done == ["control", *(f"router-{slot}" for slot in range(highest)), f"router-{highest}", "ledger"]
