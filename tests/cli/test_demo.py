"""The demo says whether every record has its entry, and its exit code says the same."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from services.cli import demo


def entry(service: str, outcome: str, offset: int, previous: int) -> dict[str, Any]:
    return {
        "service": service,
        "outcome": outcome,
        "source": {"topic": "t", "partition": 0, "offset": offset, "previous": previous},
    }


WHOLE = [
    entry("redactor", "redacted", 0, -1), entry("redactor", "quarantined", 1, 0), entry("router", "forwarded", 0, -1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "sent", "whole"),
    [
        (WHOLE, 2, True),
        (WHOLE, 3, False),
        (WHOLE[:2], 2, False),
        ([*WHOLE[:1], entry("redactor", "quarantined", 2, 1), WHOLE[2]], 2, False),
    ],
)
def test_a_record_without_its_entry_is_broken(entries: list[dict[str, Any]], sent: int, whole: bool) -> None:
    shown = io.StringIO()
    assert demo._reconcile(Console(file=shown, width=110), entries, sent) is whole
    assert ("BROKEN" in shown.getvalue()) is not whole
