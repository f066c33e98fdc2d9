"""Totals of masks by class, as they may be published: one whole day by feed, nothing under ten, rounded to five.

Statistical disclosure control for a table with totals, as the Office for National Statistics describes it: primary
suppression of small cells, then secondary suppression, so that no hidden cell follows from the ones beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.kernel.detail import Detail
from services.kernel.vocabulary import EntityClass

#: A number below this is not said, and a hidden part of a shown total is at least as large.
LEAST = 10
#: Numbers are rounded to the nearest multiple, half of it upwards.
ROUNDED_TO = 5


@dataclass(frozen=True, slots=True)
class Totals:
    """Records by feed and class of mask; None is a number that is not said.

    A record with masks of two classes counts once in each, so `feeds` and `classes` add up cells, not records.
    """

    cells: Mapping[tuple[str, str], int | None]
    feeds: Mapping[str, int | None]
    classes: Mapping[str, int | None]


def counted(details: Iterable[tuple[str, Detail]]) -> Counter[tuple[str, str]]:
    """Number of records by feed and class, from (feed, detail) of each record."""
    found: Counter[tuple[str, str]] = Counter()
    for feed, detail in details:
        found.update((feed, name) for name in {mask[1] for mask in detail.masks})
    return found


def publishable(counts: Mapping[tuple[str, str], int], feeds: Iterable[str]) -> Totals:
    """The table that may be shown.

    1. Every feed and class has a cell, so that one with nothing looks like one with little.
    2. Hide small cells.
    3. In each line whose total is shown, hide the smallest other cells until two or none are hidden, and those hold
       at least `LEAST`; where the line has no more cells, hide its total. A cell that was hidden for its row may
       leave its column with one: go round until nothing changes.
    4. Round what is left, each number by itself.
    """
    rows, columns = sorted(set(feeds)), sorted({*EntityClass, *(name for _, name in counts)})
    full = {(row, column): counts.get((row, column), 0) for row in rows for column in columns}  # 1
    lines = {("feed", row): [(row, column) for column in columns] for row in rows}
    lines |= {("class", column): [(row, column) for row in rows] for column in columns}
    hidden = {cell for cell, number in full.items() if number < LEAST}  # 2
    totals = {name: sum(full[cell] for cell in line) for name, line in lines.items()}
    unsaid = {name for name, total in totals.items() if total < LEAST}
    changed = True
    while changed:  # 3
        changed = False
        for name, line in lines.items():
            while name not in unsaid and _follows([full[cell] for cell in line if cell in hidden]):
                rest = [cell for cell in line if cell not in hidden]
                changed = True
                if rest:
                    hidden.add(min(rest, key=lambda cell: (full[cell], cell)))
                else:
                    unsaid.add(name)
    said = {cell: None if cell in hidden else _rounded(number) for cell, number in full.items()}  # 4
    margin = {name: None if name in unsaid else _rounded(total) for name, total in totals.items()}
    return Totals(
        said,
        {name: number for (kind, name), number in margin.items() if kind == "feed"},
        {name: number for (kind, name), number in margin.items() if kind == "class"},
    )


def _follows(hidden: list[int]) -> bool:
    """Whether hidden numbers of a line follow, about, from its total and the others."""
    return bool(hidden) and (len(hidden) == 1 or sum(hidden) < LEAST)


def _rounded(number: int) -> int:
    return (number + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO
