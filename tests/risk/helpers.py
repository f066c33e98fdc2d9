"""Annotated statements of risk, and how well codes agree with their annotation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def read(name: str) -> list[dict[str, Any]]:
    """The lines of `name`.jsonl beside this file."""
    return [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


@dataclass(slots=True)
class Agreement:
    """Counts of codes found and annotated, over statements."""

    both: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    alike: int = 0
    statements: int = 0

    @property
    def f1(self) -> float:
        """Micro F1 over all codes."""
        hits = 2 * self.both.total()
        return hits / (hits + self.extra.total() + self.missed.total())

    @property
    def exact(self) -> float:
        """Share of statements whose set of codes is the annotated one."""
        return self.alike / self.statements

    def __str__(self) -> str:
        lines = [f"{'code':<32}{'precision':>10}{'recall':>10}{'annotated':>10}"]
        for code in sorted(self.both.keys() | self.extra.keys() | self.missed.keys()):
            found, there = self.both[code] + self.extra[code], self.both[code] + self.missed[code]
            lines.append(f"{code:<32}{_share(self.both[code], found)}{_share(self.both[code], there)}{there:>10}")
        lines.append(f"micro F1 {self.f1:.3f}, sets alike {self.alike} of {self.statements} ({self.exact:.3f})")
        return "\n".join(lines)


def compare(statements: Iterable[dict[str, Any]], codes_of: Callable[[str], frozenset[str]]) -> Agreement:
    """Set what `codes_of` says of each text against its annotation."""
    done = Agreement()
    for statement in statements:
        found, there = set(codes_of(statement["text"])), set(statement["codes"])
        done.both.update(found & there)
        done.extra.update(found - there)
        done.missed.update(there - found)
        done.alike += found == there
        done.statements += 1
    return done


def _share(part: int, whole: int) -> str:
    return f"{part / whole:>10.2f}" if whole else f"{'-':>10}"
