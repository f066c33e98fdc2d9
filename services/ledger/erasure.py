"""Content goes, the tree stays: what may expire, what a hold keeps, and which erasures the log itself explains."""

from __future__ import annotations

import re
from typing import Any

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

    def heard(self, entry: dict[str, Any]) -> None:
        """An entry of the log; those of an erasure count."""
        if entry["operation"] == "erasure" and (found := _SPAN.fullmatch(entry.get("reference") or "")):
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
