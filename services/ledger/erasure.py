"""What the log itself says of erasures and holds: which of them its entries explain."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

#: `service` of the entries of erasures and holds: they never expire, for they explain what is not there.
SERVICE = "retention"
#: `reference` of an erasure entry: the leaves from the first to the last, both included.
_SPAN = re.compile(r"leaves/(\d+)-(\d+)")


def reference(first: int, last: int) -> str:
    """How an erasure entry names its leaves."""
    return f"leaves/{first}-{last}"


class Erased:
    """Which leaves have no content, and which erasures have an entry."""

    def __init__(self) -> None:
        self._gone: list[tuple[int, int]] = []
        self._said: list[tuple[int, int]] = []

    def saw(self, idx: int) -> None:
        """A leaf without content; in the order of the log."""
        if self._gone and self._gone[-1][1] == idx - 1:
            self._gone[-1] = (self._gone[-1][0], idx)
        else:
            self._gone.append((idx, idx))

    def heard(self, idx: int, entry: dict[str, Any]) -> None:
        """An entry of the log; those of an expiry count, which speak of leaves before them."""
        found = _SPAN.fullmatch(entry.get("reference") or "")
        if found and entry["service"] == SERVICE and entry.get("why") == "expiry" and int(found[2]) < idx:
            self._said.append((int(found[1]), int(found[2])))

    def unexplained(self) -> list[tuple[int, int]]:
        """Spans without content that no entry explains."""
        return [(first, last) for first, last in self._gone if not self._explained(first, last)]

    def _explained(self, first: int, last: int) -> bool:
        at = first
        for begins, ends in sorted(self._said):
            if begins <= at <= ends:
                at = ends + 1
        return at > last


class Holds:
    """Which holds stand, by the entries of their placing and lifting."""

    def __init__(self) -> None:
        self._placed: dict[str, int] = {}

    def heard(self, entry: dict[str, Any], time: int) -> None:
        """An entry of the log, and its time in milliseconds since the epoch; in the order of the log."""
        if entry["service"] != SERVICE:
            return
        name, why = entry.get("reference") or "", entry.get("why")
        if why == "hold_placed":
            self._placed[name] = time
        elif why == "hold_lifted":
            self._placed.pop(name, None)

    def gone(self, there: Collection[str], before: int) -> list[str]:
        """Names of holds that stand and are not `there`; one placed since `before` may still come to be."""
        return sorted(name for name, time in self._placed.items() if name not in there and time < before)
