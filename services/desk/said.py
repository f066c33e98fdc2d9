"""What the desk says on `ops.alert`: one alert for all holds of a level, not one for each."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from services.kernel.alert import alert
from services.kernel.jsonio import UNREADABLE
from services.kernel.record import Inbound, Message

SERVICE = "desk"
#: Milliseconds after which what lasts is said again, and within which what is new waits for more of its kind.
REPEAT_MS, GATHER_MS = 900_000, 60_000
SEVERITIES = {1: "warning", 2: "critical"}


class Event(StrEnum):
    """Closed list of what the desk alerts."""

    UNACKNOWLEDGED = "safety_unacknowledged"
    GATE_CLOSED = "safety_gate_closed"


class Escalation(NamedTuple):
    """All of one event at one level: how many (None: not known), and when the last of them got there."""

    event: Event
    level: int
    number: int | None
    latest: int

    @property
    def name(self) -> tuple[str, str]:
        """As an alert names it."""
        return self.event.value, SEVERITIES[self.level]


class _Alert(msgspec.Struct):
    service: str
    event: str
    severity: str


class Said:
    """When each alert was said last; read from `ops.alert` too, so that neither a restart nor a second desk repeats it.

    Times are milliseconds since the epoch.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}

    def hear(self, record: Inbound) -> None:
        """Take in a message of `ops.alert`; those of others, or that cannot be read, change nothing."""
        try:
            said = msgspec.json.decode(record.value.reveal() if record.value is not None else b"", type=_Alert)
        except UNREADABLE:
            return
        if said.service == SERVICE:
            self.note((said.event, said.severity), record.timestamp)

    def note(self, name: tuple[str, str], at: int) -> None:
        """It was said."""
        self._last[name] = max(at, self._last.get(name, 0))

    def due(self, found: Iterable[Escalation], *, now: int) -> list[Escalation]:
        """What must be said now: what was not said for `REPEAT_MS`, and what has grown since `GATHER_MS` ago."""
        return [one for one in found if self._is_due(one, now)]

    def _is_due(self, one: Escalation, now: int) -> bool:
        last = self._last.get(one.name)
        if last is None or now - last >= REPEAT_MS:
            return True
        return one.latest > last and now - last >= GATHER_MS


def message(one: Escalation, *, slot: int, now: int) -> Message:
    """The alert."""
    event, severity = one.name
    return alert(event, service=SERVICE, slot=slot, severity=severity, now=now, count=one.number)
